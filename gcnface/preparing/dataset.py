"""``gcnface prepare``: all photos in parallel, again where it was interrupted, and a report of what was left out."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gcnface.batch.progress import Reporter
from gcnface.data.faces import PreparedFaces, load_prepared, read_settings
from gcnface.errors import GcnfaceError, WeightsError, printable
from gcnface.io.atomic import staged, writable
from gcnface.preparing.faces import FAILED, Drop, FaceSettings
from gcnface.preparing.landmarkers import STORED, find_landmarks
from gcnface.preparing.layouts import find_sources, read_identities
from gcnface.preparing.parallel import finished_parts
from gcnface.preparing.shards import SHARD_FACES, assemble, remove_parts, shard_path
from gcnface.preparing.sources import Source
from gcnface.version import __version__

OPTION_OF = {
    "layout": "--layout",
    "landmarks": "--landmarks",
    "parsing": "--parsing",
    "embeddings": "--no-embed",
    "min_face_px": "--min-face",
    "identities": "--identities",
}
"""The option behind each of the settings that a data set keeps."""
_LISTED = 5


@dataclass(frozen=True)
class PrepareOptions:
    """What the user asked for.

    Attributes:
        photos: files, folders and glob patterns.
        output: folder of the data set.
        layout: "auto" or a key of `gcnface.preparing.layouts.LAYOUTS`.
        workers: processes; 1 works in this one.
        landmarks: MediaPipe's network or a wheel with it; None looks for an installed mediapipe.
        identities: CSV file with the columns file, identity.
        parsing: "shipped" or "stored" label maps.
        embed: compute FaceNet embeddings.
        min_face_px: smallest face.
        quiet: no bar and no summary.
        debug: stack traces.
    """

    photos: Sequence[str]
    output: Path
    layout: str = "auto"
    workers: int = 1
    landmarks: Path | None = None
    identities: Path | None = None
    parsing: str = "shipped"
    embed: bool = True
    min_face_px: int = 40
    quiet: bool = False
    debug: bool = False


@dataclass(frozen=True)
class Report:
    """What came of it.

    Attributes:
        version: of gcnface.
        prepared: faces in the data set.
        held_out: those of held-out people.
        people: how many there are.
        landmarks: where they came from.
        parsing: where label maps came from.
        embeddings: whether there are any.
        reasons: dropped photos by reason.
        dropped: each of them.
        seconds: of the last call.
    """

    version: str
    prepared: int
    held_out: int
    people: int
    landmarks: str
    parsing: str
    embeddings: bool
    reasons: dict[str, int]
    dropped: list[Drop]
    seconds: float

    def text(self, folder: Path) -> str:
        """A readable summary."""
        lines = [
            f"{printable(folder)}: {self.prepared} faces of {self.people} people, {self.held_out} of them held out",
            f"landmarks: {self.landmarks}; label maps: {self.parsing}; embeddings: {self.embeddings}",
        ]
        for reason, count in sorted(self.reasons.items(), key=lambda item: -item[1]):
            lines.append(f"dropped {count}: {reason}")
            alike = [drop for drop in self.dropped if drop.reason == reason]
            lines += [
                f"  {printable(drop.file)}{': ' * bool(drop.detail)}{printable(drop.detail)}"
                for drop in alike[:_LISTED]
            ]
            if len(alike) > _LISTED:
                lines.append(f"  and {len(alike) - _LISTED} more, see report.json")
        return "\n".join(lines)


def prepare(options: PrepareOptions) -> Report:
    """Make or complete a data set: only photos that it does not hold and has not dropped are looked at.

    Raises:
        GcnfaceError: an argument leads nowhere, the folder cannot be written to or holds a data set that was prepared
            otherwise, or a network is missing.
    """
    begin = time.perf_counter()
    sources = find_sources(options.photos, options.layout, read_identities(options.identities))
    with writable(options.output):
        landmarks = STORED if _all_stored(sources) else find_landmarks(options.landmarks)
        settings = FaceSettings(landmarks, options.parsing, options.embed, options.min_face_px)
        if options.embed:
            _check_facenet()
        _agree(options, settings)
    before, dropped = _so_far(options.output)
    dropped = [drop for drop in dropped if drop.reason != FAILED]
    done = {drop.file for drop in dropped}
    if before is not None and before.files is not None:
        done |= set(before.files.tolist())
    missing = [source for source in sources if str(source.file) not in done]
    parts = [missing[start : start + SHARD_FACES] for start in range(0, len(missing), SHARD_FACES)]
    paths = [shard_path(options.output, part) for part in parts]
    if parts:
        _work(parts, paths, settings, options)
        dropped += assemble(options.output, paths, before)
    remove_parts(options.output)
    return _report(options, settings, dropped, time.perf_counter() - begin)


def _all_stored(sources: Sequence[Source]) -> bool:
    """Whether every usable photo brings its 468 landmarks."""
    usable = (source.annotation for source in sources if not source.dropped)
    return all(annotation is not None and annotation.landmarks468 is not None for annotation in usable)


def _check_facenet() -> None:
    from refine.facenet import find_weights

    try:
        find_weights()
    except WeightsError as error:
        raise GcnfaceError(f"{error}; or leave embeddings out with --no-embed") from error


def _agree(options: PrepareOptions, settings: FaceSettings) -> None:
    """Keep the settings beside the data, or compare them with those that are there."""
    wanted = {
        "layout": options.layout,
        "landmarks": settings.landmarks.name,
        "parsing": settings.parsing,
        "embeddings": settings.embed,
        "min_face_px": settings.min_face_px,
        "identities": None if options.identities is None else str(options.identities.resolve()),
    }
    found = read_settings(options.output)
    for name, value in wanted.items():
        if found and found.get(name) != value:
            raise GcnfaceError(
                f"{printable(options.output)}: was prepared with {name.replace('_', ' ')} {found.get(name)!r}, this "
                f"call says {value!r}; give {OPTION_OF[name]} as before or choose another folder"
            )
    if not found:
        with staged(options.output) as stage:
            (stage / "settings.json").write_text(json.dumps(wanted, indent=1) + "\n")


def _so_far(folder: Path) -> tuple[PreparedFaces | None, list[Drop]]:
    """The faces and the dropped photos of earlier calls."""
    report = folder / "report.json"
    drops = json.loads(report.read_text())["dropped"] if report.exists() else []
    before = load_prepared(folder) if (folder / "table.csv").exists() else None
    return before, [Drop(**drop) for drop in drops]


def _work(parts: list[list[Source]], paths: list[Path], settings: FaceSettings, options: PrepareOptions) -> None:
    """Prepare the parts that are not on disk yet."""
    reporter = Reporter(sum(map(len, parts)), quiet=options.quiet, debug=options.debug)
    todo = [(part, path) for part, path in zip(parts, paths, strict=True) if not path.exists()]
    with reporter.running(stages=1):
        for part, path in zip(parts, paths, strict=True):
            if path.exists():
                _tell(reporter, part)
        for part in finished_parts(todo, settings, min(options.workers, len(todo))):
            _tell(reporter, part)


def _tell(reporter: Reporter, part: Sequence[Source]) -> None:
    for source in part:
        reporter.photo(source.file)


def _report(options: PrepareOptions, settings: FaceSettings, dropped: list[Drop], seconds: float) -> Report:
    """Write report.json and return what it says."""
    there = (options.output / "table.csv").exists()
    faces = load_prepared(options.output) if there else None
    report = Report(
        version=__version__,
        prepared=0 if faces is None else len(faces),
        held_out=0 if faces is None else int(faces.validation.sum()),
        people=0 if faces is None else len(set(faces.identities.tolist())),
        landmarks=settings.landmarks.name,
        parsing=settings.parsing,
        embeddings=settings.embed,
        reasons=dict(Counter(drop.reason for drop in dropped)),
        dropped=dropped,
        seconds=round(seconds, 1),
    )
    with staged(options.output) as stage:
        (stage / "report.json").write_text(json.dumps(asdict(report), indent=1) + "\n")
    return report
