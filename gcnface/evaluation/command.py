"""``gcnface evaluate``: from the options to a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from gcnface.batch.executor import run_tasks
from gcnface.batch.failures import failed, reason
from gcnface.batch.progress import Reporter, tell_nobody
from gcnface.errors import GcnfaceError, printable
from gcnface.evaluation.collected import Collected, MeasuredPhoto
from gcnface.evaluation.groups import read_groups
from gcnface.evaluation.identity_networks import load_identity_networks
from gcnface.evaluation.methods import build_methods
from gcnface.evaluation.page import write_pages
from gcnface.evaluation.people import Subject, Subjects, choose_subjects
from gcnface.evaluation.photo_evaluator import PhotoEvaluator
from gcnface.evaluation.registries import METHODS, METRICS, PROTOCOLS, build_all, usual
from gcnface.evaluation.report_pictures import ReportPictures
from gcnface.evaluation.summary import Summary
from gcnface.evaluation.table import number_of, write_tables
from gcnface.io.atomic import staged, writable
from gcnface.io.images import read_photo
from gcnface.options import EvaluateOptions, ReconstructionOptions
from gcnface.photo.detection import no_face
from gcnface.pipeline import Reconstructor
from gcnface.stages.coarse import Stopwatch
from gcnface.system.streams import reader_gone


def evaluate(options: EvaluateOptions) -> int:
    """Measure every photo and write the report.

    Returns:
        The exit status: 0 when every photo was measured, else 1; 130 after an interrupt, with a report of what was
        done by then.

    Raises:
        GcnfaceError: a table cannot be read, or the folder cannot be written to.
    """
    reporter = Reporter(0, quiet=options.quiet, debug=options.debug)
    if options.protocol is not None:
        return int(PROTOCOLS[options.protocol].load()(options, reporter))
    subjects = choose_subjects(options.photos, options)
    collected = Collected(read_groups(options.groups) if options.groups else {}, options.protocols)
    with writable(options.output):
        return _measure(options, reporter, subjects, collected)


def _measure(options: EvaluateOptions, reporter: Reporter, subjects: Subjects, collected: Collected) -> int:
    """Every photo that was chosen; the exit status."""
    for wrong in subjects.errors:
        reporter.error(wrong)
    if not subjects.chosen:
        reporter.error(GcnfaceError("no photo is left to measure; name others, or fewer conditions"))
        return 1
    reporter = Reporter(len(subjects.chosen), quiet=options.quiet, debug=options.debug)
    for note in subjects.notes:
        reporter.warning(note)
    try:
        measurer = PhotoMeasurer(options)
        run = _Run(options, reporter, collected, measurer, measurer.ready())
    except Exception as error:
        reporter.error(error, None if isinstance(error, GcnfaceError) else f"cannot start ({reason(error)})")
        return 1
    for name, why in measurer.left_out.items():
        reporter.warning(f"{name} is left out: {why}")
    with reporter.running(stages=len(run.evaluator.methods) + 12):
        interrupted = run.all(subjects.chosen)
    if not collected.values:
        reporter.error(GcnfaceError("no photo could be measured; nothing was written"))
        return 130 if interrupted else 1
    run.write([*subjects.notes, *(["interrupted before the last photo"] if interrupted else [])])
    if interrupted:
        return 130
    return 1 if collected.failed or subjects.errors else 0


@dataclass(frozen=True)
class MeasuringTask:
    """A photo to measure.

    Attributes:
        number: in the names of its pictures.
        subject: the photo.
        protocols: slow ones that it is to go through.
    """

    number: int
    subject: Subject
    protocols: Sequence[str]


class PhotoMeasurer:
    """Measures photos one by one and writes their pictures, with the methods that the first one has loaded.

    Args:
        options: what the user asked for.
    """

    def __init__(self, options: EvaluateOptions) -> None:
        self.options = options
        self.on_stage: Callable[[str], None] = tell_nobody
        self.left_out: dict[str, str] = {}
        self._evaluator: PhotoEvaluator | None = None

    def __reduce__(self) -> tuple[type[PhotoMeasurer], tuple[EvaluateOptions]]:
        """Other machines load what they need themselves."""
        return PhotoMeasurer, (self.options,)

    def ready(self) -> PhotoEvaluator:
        """What measures, loaded when it is asked for first."""
        if self._evaluator is None:
            options = self.options
            how = ReconstructionOptions(device=options.device, fit=options.fit, detector=options.detector)
            reconstructor = Reconstructor(how)
            names = options.methods or usual(METHODS)
            methods, no_methods = build_methods(reconstructor, names, strict=options.methods is not None)
            networks, no_networks = load_identity_networks(
                reconstructor.stages.facenet, options.identity, options.sface
            )
            of_pictures = [name for name, row in METRICS.items() if row.source]
            metrics, no_metrics = build_all(METRICS, of_pictures, lambda row: row.load()())
            self.left_out = no_methods | no_networks | no_metrics
            self._evaluator = PhotoEvaluator(reconstructor, methods, networks, metrics, options)
        return self._evaluator

    def __call__(self, task: MeasuringTask) -> MeasuredPhoto:
        """Read and measure one photo.

        Raises:
            PhotoError: it cannot be read.
            NoFaceError: it shows no face.
        """
        evaluator, file = self.ready(), task.subject.file
        self.on_stage("read")
        photo = read_photo(file)
        evaluated = evaluator(photo, Stopwatch(self.on_stage))
        if evaluated is None:
            raise no_face(file, photo, "check that a face is seen from the front")
        protocols = {}
        for name in task.protocols:
            self.on_stage(name)
            protocols[name] = PROTOCOLS[name].load()(evaluator.reconstructor, evaluator.methods, evaluated)
        pictures = ReportPictures(self.options.output, evaluator.reconstructor.model, evaluator.renderer)
        written = pictures.write(task.number, evaluated)
        return MeasuredPhoto(evaluated.measured, evaluated.features, protocols, written)


@dataclass
class _Run:
    """One call of the command: the loop over the photos, and the report."""

    options: EvaluateOptions
    reporter: Reporter
    collected: Collected
    measurer: PhotoMeasurer
    evaluator: PhotoEvaluator

    def all(self, subjects: Sequence[Subject]) -> bool:
        """Every photo, in this process alone where nothing else is asked for; whether the user interrupted."""
        workers, cluster = self.options.workers or 1, self.options.cluster
        alone, done = workers == 1 and cluster is None, 0
        if alone:
            self.measurer.on_stage = self.reporter.stage
        tasks = self._tasks(subjects, begun=alone)
        ready = self.measurer.ready if self.options.device == "cpu" else None
        workers = min(workers, len(subjects))
        try:
            with closing(run_tasks(self.measurer, tasks, workers=workers, cluster=cluster, ready=ready)) as results:
                for result in results:
                    done += 1
                    if not alone:
                        self.reporter.photo(result.task.subject.file)
                    self._take(result.task.subject, result.value, result.error)
        except KeyboardInterrupt:
            return True
        return done < len(subjects)

    def _tasks(self, subjects: Sequence[Subject], *, begun: bool) -> Iterator[MeasuringTask]:
        """The photos, as long as somebody reads what is said of them."""
        for number, subject in enumerate(subjects, 1):
            if reader_gone():
                return
            if begun:
                self.reporter.photo(subject.file)
            yield MeasuringTask(number, subject, self.collected.open_protocols)

    def _take(self, subject: Subject, measured: MeasuredPhoto, error: Exception | None) -> None:
        """Keep what was measured of a photo, or say why nothing was."""
        if error is not None:
            text = str(error) if isinstance(error, GcnfaceError) else failed(subject.file, error)
            self.collected.failed[str(subject.file)] = text.removeprefix(f"{printable(subject.file)}: ")
            self.reporter.error(error, text)
            return
        self.collected.add(subject, measured)
        fits = [m for m in measured.measured if (m.metric.metric, m.metric.view) == ("psnr", "face")]
        line = ", ".join(f"{m.method} {m.value:.1f}" for m in fits)
        self.reporter.result(f"{subject.file}: PSNR of the face, dB: {line}")

    def write(self, notes: Sequence[str]) -> None:
        """The report of all photos so far."""
        summary = Summary(self.collected.report(self.options, self.evaluator, self.measurer.left_out, notes))
        with staged(self.options.output) as folder:
            write_tables(folder, summary)
        write_pages(self.options.output, summary, self.collected.pictures)
        count = number_of(len(summary.photos), "photo")
        self.reporter.result(f"{count} of {summary.people} people -> {self.options.output / 'index.html'}")
