"""``gcnface evaluate``: from the options to a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from gcnface.batch.executor import run_tasks
from gcnface.batch.failures import failed, reason
from gcnface.batch.progress import Reporter
from gcnface.errors import GcnfaceError, printable
from gcnface.evaluation.collected import Collected
from gcnface.evaluation.groups import read_groups
from gcnface.evaluation.identity_networks import load_identity_networks
from gcnface.evaluation.methods import build_methods
from gcnface.evaluation.page import write_pages
from gcnface.evaluation.people import Subject, Subjects, choose_subjects
from gcnface.evaluation.photo_evaluator import EvaluatedPhoto, PhotoEvaluator
from gcnface.evaluation.records import Measured
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
    subjects = choose_subjects(options.photos, options)
    collected = Collected(read_groups(options.groups) if options.groups else {})
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
        run = _Run(options, reporter, collected)
    except Exception as error:
        reporter.error(error, None if isinstance(error, GcnfaceError) else f"cannot start ({reason(error)})")
        return 1
    with reporter.running(stages=len(run.evaluator.methods) + 12):
        interrupted = run.all(subjects.chosen)
    if not collected.values:
        reporter.error(GcnfaceError("no photo could be measured; nothing was written"))
        return 130 if interrupted else 1
    run.write([*subjects.notes, *(["interrupted before the last photo"] if interrupted else [])])
    if interrupted:
        return 130
    return 1 if collected.failed or subjects.errors else 0


@dataclass
class _Run:
    """One call of the command: what is loaded, the loop over the photos, and the report."""

    options: EvaluateOptions
    reporter: Reporter
    collected: Collected
    left_out: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        options = self.options
        self.reporter.stage("load")
        reconstructor = Reconstructor(ReconstructionOptions(device=options.device, fit=options.fit))
        names = options.methods or usual(METHODS)
        methods, no_methods = build_methods(reconstructor, names, strict=options.methods is not None)
        networks, no_networks = load_identity_networks(reconstructor.stages.facenet, options.identity, options.sface)
        of_pictures = [name for name, row in METRICS.items() if row.source]
        metrics, no_metrics = build_all(METRICS, of_pictures, lambda row: row.load()())
        self.left_out |= no_methods | no_networks | no_metrics
        for name, why in self.left_out.items():
            self.reporter.warning(f"{name} is left out: {why}")
        self.evaluator = PhotoEvaluator(reconstructor, methods, networks, metrics, options)
        self.pictures = ReportPictures(options.output, reconstructor.model, self.evaluator.renderer)

    def all(self, subjects: Sequence[Subject]) -> bool:
        """Every photo, in this process alone, whose seconds are measured; whether the user interrupted."""
        done = 0
        try:
            for result in run_tasks(self._one, takewhile(lambda subject: not reader_gone(), subjects)):
                done += 1
                if isinstance(result.error, GcnfaceError):
                    self._fail(result.task, result.error, str(result.error))
                elif result.error is not None:
                    self._fail(result.task, result.error, failed(result.task.file, result.error))
        except KeyboardInterrupt:
            return True
        return done < len(subjects)

    def write(self, notes: Sequence[str]) -> None:
        """The report of all photos so far."""
        summary = Summary(self.collected.report(self.options, self.evaluator, self.left_out, notes))
        with staged(self.options.output) as folder:
            write_tables(folder, summary)
        write_pages(self.options.output, summary, self.pictures.photos)
        count = number_of(len(summary.photos), "photo")
        self.reporter.result(f"{count} of {summary.people} people -> {self.options.output / 'index.html'}")

    def _fail(self, subject: Subject, error: Exception, text: str) -> None:
        self.collected.failed[str(subject.file)] = text.removeprefix(f"{printable(subject.file)}: ")
        self.reporter.error(error, text)

    def _one(self, subject: Subject) -> None:
        """Read, measure and keep one photo."""
        self.reporter.photo(subject.file)
        self.reporter.stage("read")
        photo = read_photo(subject.file)
        evaluated = self.evaluator(photo, Stopwatch(self.reporter.stage))
        if evaluated is None:
            raise no_face(subject.file, photo, "check that a face is seen from the front")
        measured = self._by_protocols(evaluated)
        self.pictures.add(str(subject.file), evaluated)
        self.collected.add(subject, evaluated, measured)
        fits = [m for m in evaluated.measured if (m.metric.metric, m.metric.view) == ("psnr", "face")]
        line = ", ".join(f"{m.method} {m.value:.1f}" for m in fits)
        self.reporter.result(f"{subject.file}: PSNR of the face, dB: {line}")

    def _by_protocols(self, evaluated: EvaluatedPhoto) -> list[Measured]:
        """The protocols that have not had photos enough; those that have no use for this one do not count it."""
        measured: list[Measured] = []
        for name, wanted in self.options.protocols.items():
            if self.collected.done[name] < wanted:
                self.reporter.stage(name)
                protocol = PROTOCOLS[name].load()
                found = protocol(self.evaluator.reconstructor, self.evaluator.methods, evaluated)
                self.collected.done[name] += bool(found)
                measured += found
        return measured
