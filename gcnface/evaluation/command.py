"""``gcnface evaluate``: from the arguments to a report."""

from __future__ import annotations

import resource
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gcnface.batch.loop import reason
from gcnface.batch.progress import Reporter
from gcnface.errors import GcnfaceError, printable
from gcnface.evaluation.extras import EXTRAS
from gcnface.evaluation.figures import Lpips
from gcnface.evaluation.groups import GLASSES_SHARE, read_groups, tone_of
from gcnface.evaluation.identity import load_identity_networks
from gcnface.evaluation.methods import DEFAULT_METHODS, build_methods
from gcnface.evaluation.page import write_pages
from gcnface.evaluation.people import Choice, Subject, Subjects, choose_subjects
from gcnface.evaluation.photos import PHOTO_ITSELF, EvaluatedPhoto, Measured, PhotoEvaluator, Protocol
from gcnface.evaluation.records import Figure
from gcnface.evaluation.report_pictures import ReportPictures
from gcnface.evaluation.table import Report, Summary, number_of, write_tables
from gcnface.io.atomic import staged, writable
from gcnface.io.images import read_photo
from gcnface.options import ReconstructionOptions
from gcnface.photo.detection import no_face
from gcnface.pipeline import Reconstructor
from gcnface.stages.coarse import Stopwatch
from gcnface.system.streams import reader_gone
from gcnface.version import __version__


@dataclass(frozen=True)
class EvaluateOptions:
    """What the user asked for.

    Attributes:
        photos: files, folders and glob patterns.
        output: folder of the report.
        choice: which of the photos.
        methods: keys of `METHODS`; None takes the usual ones that are there.
        identity: names of identity networks; None takes those that are there.
        sface: file of SFace, when it is not installed.
        protocol: what is measured.
        extras: for keys of `EXTRAS` how many photos go through them.
        groups: a table file,COLUMN,... by which figures are split as well.
        device: where the networks run.
        fit: adjust the coefficients to each photo.
        quiet: no bar and no results on stdout.
        debug: stack traces.
    """

    photos: Sequence[str]
    output: Path
    choice: Choice = Choice()
    methods: tuple[str, ...] | None = None
    identity: tuple[str, ...] | None = None
    sface: Path | None = None
    protocol: Protocol = Protocol()
    extras: Mapping[str, int] = field(default_factory=dict)
    groups: Path | None = None
    device: str = "cpu"
    fit: bool = True
    quiet: bool = False
    debug: bool = False


def evaluate(options: EvaluateOptions) -> int:
    """Measure every photo and write the report.

    Returns:
        The exit status: 0 when every photo gave its figures, else 1; 130 after an interrupt, with a report of what was
        done by then.
    """
    reporter = Reporter(0, quiet=options.quiet, debug=options.debug)
    try:
        subjects = choose_subjects(options.photos, options.choice)
        columns = read_groups(options.groups) if options.groups else {}
        with writable(options.output):
            return _measure(options, reporter, subjects, columns)
    except GcnfaceError as error:
        reporter.error(error)
        return 1


def _measure(
    options: EvaluateOptions, reporter: Reporter, subjects: Subjects, columns: Mapping[str, Mapping[str, str]]
) -> int:
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
        run = _Run(options, reporter, columns)
    except Exception as error:
        reporter.error(error, None if isinstance(error, GcnfaceError) else f"cannot start ({reason(error)})")
        return 1
    with reporter.running(stages=len(run.examiner.methods) + 12):
        interrupted = run.all(subjects.chosen)
    if not run.figures:
        reporter.error(GcnfaceError("no photo gave figures; nothing was written"))
        return 130 if interrupted else 1
    notes = [*subjects.notes, *(["interrupted before the last photo"] if interrupted else [])]
    run.write(notes)
    if interrupted:
        return 130
    return 1 if run.failed or subjects.errors else 0


@dataclass
class _Run:
    """One call of the command."""

    options: EvaluateOptions
    reporter: Reporter
    columns: Mapping[str, Mapping[str, str]]
    figures: list[Figure] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    features: dict[str, dict[str, NDArray[np.float32]]] = field(default_factory=dict)
    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        options = self.options
        self.reporter.stage("load")
        reconstructor = Reconstructor(ReconstructionOptions(device=options.device, fit=options.fit))
        names = options.methods or DEFAULT_METHODS
        methods, self.left_out = build_methods(reconstructor, names, strict=options.methods is not None)
        networks, without = load_identity_networks(reconstructor.facenet, options.identity, options.sface)
        self.left_out |= without
        lpips = None
        try:
            lpips = Lpips()
        except GcnfaceError as error:
            self.left_out["lpips"] = str(error)
        for name, why in self.left_out.items():
            self.reporter.warning(f"{name} is left out: {why}")
        self.examiner = PhotoEvaluator(reconstructor, methods, networks, options.protocol, lpips)
        self.album = ReportPictures(options.output, reconstructor.model, self.examiner.renderer)

    def all(self, subjects: Sequence[Subject]) -> bool:
        """Every photo in turn; whether the user interrupted."""
        for subject in subjects:
            if reader_gone():
                return True
            self.reporter.photo(subject.file)
            try:
                self._one(subject)
            except KeyboardInterrupt:
                return True
            except GcnfaceError as error:
                self._fail(subject, error, str(error))
            except Exception as error:
                self._fail(subject, error, f"{printable(subject.file)}: failed ({reason(error)}); --debug shows where")
        return False

    def write(self, notes: Sequence[str]) -> None:
        """The report of all photos so far."""
        report = Report(
            [*self.figures, *self._strangers()],
            list(self.examiner.methods),
            self.groups,
            self._settings(),
            self.left_out,
            self.failed,
            notes,
        )
        summary = Summary(report)
        with staged(self.options.output) as folder:
            write_tables(folder, summary)
        write_pages(self.options.output, summary, self.album.photos)
        count = number_of(len(summary.photos), "photo")
        self.reporter.result(f"{count} of {summary.people} people -> {self.options.output / 'index.html'}")

    def _fail(self, subject: Subject, error: Exception, text: str) -> None:
        self.failed[str(subject.file)] = text.removeprefix(f"{printable(subject.file)}: ")
        self.reporter.error(error, text)

    def _one(self, subject: Subject) -> None:
        """One photo."""
        self.reporter.stage("read")
        photo = read_photo(subject.file)
        examined = self.examiner(photo, Stopwatch(self.reporter.stage))
        if examined is None:
            raise no_face(subject.file, photo, "check that a face is seen from the front")
        measured = list(examined.figures)
        measured += self._extras(examined)
        key = str(subject.file)
        self.album.add(key, examined)
        self.figures += [Figure(key, subject.person, *figure) for figure in measured]
        self.features[key], self.people[key] = dict(examined.features), subject.person
        self._group(subject, examined)
        self.reporter.result(f"{subject.file}: {_line(examined)}")

    def _extras(self, examined: EvaluatedPhoto) -> list[Measured]:
        """The protocols that have not had photos enough; those that have no use for this one do not count it."""
        measured = []
        for name, wanted in self.options.extras.items():
            if self.done[name] < wanted:
                self.reporter.stage(name)
                found = EXTRAS[name](self.examiner.reconstructor, examined.seen, self.examiner.methods)
                self.done[name] += bool(found)
                measured += found
        return measured

    def _group(self, subject: Subject, examined: EvaluatedPhoto) -> None:
        own = {name: value for method, name, value in examined.figures if method == PHOTO_ITSELF}
        tone = tone_of(own["skin_angle_albedo"])
        found = {"glasses": "with" if own["glasses_share"] > GLASSES_SHARE else "without"}
        found |= {"skin tone": tone} if tone else {}
        found |= self.columns.get(subject.name, self.columns.get(subject.file.name, {}))
        for kind, group in found.items():
            self.groups.setdefault(kind, {})[str(subject.file)] = group

    def _strangers(self) -> list[Figure]:
        """The mean cosine of each photo to those of all other people: what a wrong face scores."""
        found = []
        for photo, own in self.features.items():
            for network, feature in own.items():
                others = [f[network] for p, f in self.features.items() if self.people[p] != self.people[photo]]
                if others:
                    value = float((np.stack(others) @ feature).mean())
                    found.append(Figure(photo, self.people[photo], PHOTO_ITSELF, f"{network}_strangers", value))
        return found

    def _settings(self) -> dict[str, Any]:
        options, protocol = self.options, self.options.protocol
        return {
            "gcnface": __version__,
            "torch": torch.__version__,
            "face_model": self.examiner.reconstructor.model.name,
            "picture_px": protocol.side_px,
            "yaws_deg": list(protocol.yaws_deg),
            "mirrored": protocol.mirrored,
            "photos_of": dict(self.done),
            "fit": options.fit,
            "device": options.device,
            "threads": torch.get_num_threads(),
            "held_out": options.choice.held_out,
            "identity_networks": [network.name for network in self.examiner.networks],
            "peak_memory_gb": round(peak_memory_gb(), 2),
        }


def peak_memory_gb() -> float:
    """Largest resident memory of this process so far, 10^9 bytes; networks of the measuring included."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _line(examined: EvaluatedPhoto) -> str:
    """PSNR of every method, in a few words."""
    parts = [f"{method} {value:.1f}" for method, name, value in examined.figures if name == "psnr_face"]
    return "PSNR of the face, dB: " + ", ".join(parts)
