"""``gcnface prepare``: all photos in parallel, again where it was interrupted, and a report of what was left out."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from gcnface.batch.capacity import default_workers
from gcnface.batch.executor import WorkerLostError, run_tasks
from gcnface.batch.inputs import shard
from gcnface.batch.progress import Reporter
from gcnface.data.faces import PreparedFaces, load_prepared, read_settings
from gcnface.errors import GcnfaceError, WeightsError, printable
from gcnface.io.atomic import staged, writable
from gcnface.options import PrepareOptions
from gcnface.preparing.faces import FAILED, Drop, FacePreparer
from gcnface.preparing.landmarkers import STORED, find_landmarks
from gcnface.preparing.layouts import find_sources, read_identities
from gcnface.preparing.likeness import FILE, Likeness, hold_out_alike
from gcnface.preparing.shards import SHARD_FACES, assemble, remove_parts, shard_path, write_shard
from gcnface.preparing.sources import Source
from gcnface.system.threads import single_threaded
from gcnface.version import __version__

_LISTED = 5


@dataclass(frozen=True)
class Report:
    """What came of it.

    Attributes:
        prepared: faces in the data set.
        held_out: those of held-out people.
        people: how many there are.
        landmarks: where they came from.
        parsing: where label maps came from.
        embeddings: whether there are any.
        reasons: dropped photos by reason.
        dropped: each of them.
        seconds: of the last call.
        alike: photos held out because they look like a held-out person of another name.
    """

    prepared: int
    held_out: int
    people: int
    landmarks: str
    parsing: str
    embeddings: bool
    reasons: dict[str, int]
    dropped: list[Drop]
    seconds: float
    alike: list[Likeness] = field(default_factory=list)

    def text(self, folder: Path) -> str:
        """A readable summary."""
        lines = [
            f"{printable(folder)}: {self.prepared} faces of {self.people} people, {self.held_out} of them held out",
            f"landmarks: {self.landmarks}; label maps: {self.parsing}; embeddings: {self.embeddings}",
        ]
        if self.alike:
            lines.append(f"held out {len(self.alike)} photos that look like a held-out person, see {FILE}")
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
    found = find_sources(options.photos, options.layout, read_identities(options.identities))
    sources = list(shard(options.shard, found))
    with writable(options.output):
        landmarks = STORED if _all_stored(sources) else find_landmarks(options.landmarks)
        if options.embed:
            _check_facenet()
        _agree(options, landmarks.name)
    before, dropped = _so_far(options.output)
    done = {drop.file for drop in dropped}
    if before is not None and before.files is not None:
        done |= set(before.files.tolist())
    missing = [source for source in sources if str(source.file) not in done]
    groups = [missing[start : start + SHARD_FACES] for start in range(0, len(missing), SHARD_FACES)]
    parts = [_Part(group, shard_path(options.output.absolute(), group)) for group in groups]
    if parts:
        _work(parts, options, FacePreparer(options, landmarks))
        dropped += assemble(options.output, [part.path for part in parts], before)
    remove_parts(options.output)
    return _report(options, landmarks.name, dropped, time.perf_counter() - begin)


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


def _agree(options: PrepareOptions, landmarks: str) -> None:
    """Keep the settings beside the data, or compare them with those that are there."""
    wanted = {
        "layout": (options.layout, "--layout"),
        "landmarks": (landmarks, "--landmarks"),
        "parsing": (options.parsing, "--parsing"),
        "embeddings": (options.embed, "--no-embed"),
        "min_face_px": (options.min_face_px, "--min-face"),
        "identities": (options.identities and str(options.identities.resolve()), "--identities"),
    }
    found = read_settings(options.output)
    for name, (value, option) in wanted.items():
        if found and found.get(name) != value:
            raise GcnfaceError(
                f"{printable(options.output)}: was prepared with {name.replace('_', ' ')} {found.get(name)!r}, this "
                f"call says {value!r}; give {option} as before or choose another folder"
            )
    if not found:
        with staged(options.output) as stage:
            kept = {name: value for name, (value, _) in wanted.items()}
            (stage / "settings.json").write_text(json.dumps(kept, indent=1) + "\n")


def _so_far(folder: Path) -> tuple[PreparedFaces | None, list[Drop]]:
    """The faces and the dropped photos of earlier calls, but for those that are to be tried again."""
    report = folder / "report.json"
    drops = json.loads(report.read_text())["dropped"] if report.exists() else []
    before = load_prepared(folder) if (folder / "table.csv").exists() else None
    return before, [Drop(**drop) for drop in drops if drop["reason"] != FAILED]


@dataclass(frozen=True)
class _Part:
    """Photos, and the file that their faces go to."""

    sources: list[Source]
    path: Path


def _prepare_part(preparer: FacePreparer, part: _Part) -> None:
    """Prepare and write a part; it is the same wherever it is done."""
    with single_threaded():
        write_shard(part.path, *preparer(part.sources))


def _nothing() -> None:
    """What workers are forked with: each loads what its photos need."""


def _work(parts: list[_Part], options: PrepareOptions, preparer: FacePreparer) -> None:
    """Prepare the parts that are not on disk yet.

    Raises:
        GcnfaceError: workers were lost; all other parts were done.
        OutputError: a part cannot be written.
    """
    photos = sum(len(part.sources) for part in parts)
    reporter = Reporter(photos, quiet=options.quiet, debug=options.debug)
    todo = [part for part in parts if not part.path.exists()]
    workers = min(default_workers(photos) if options.workers is None else options.workers, len(todo))
    lost: list[str] = []
    with reporter.running(stages=1):
        for part in parts:
            if part not in todo:
                _tell(reporter, part)
        do = partial(_prepare_part, preparer)
        with closing(run_tasks(do, todo, workers=workers, cluster=options.cluster, ready=_nothing)) as results:
            for result in results:
                if isinstance(result.error, WorkerLostError):
                    lost.append(str(result.error).split("; ")[0])
                elif result.error is not None:
                    raise result.error
                else:
                    _tell(reporter, result.task)
    if lost:
        raise GcnfaceError(
            f"{len(lost)} of {len(parts)} parts are missing ({'; '.join(dict.fromkeys(lost))}); "
            "run again with fewer --workers to do these alone"
        )


def _tell(reporter: Reporter, part: _Part) -> None:
    for source in part.sources:
        reporter.photo(source.file)


def _report(options: PrepareOptions, landmarks: str, dropped: list[Drop], seconds: float) -> Report:
    """Write report.json and return what it says."""
    there = (options.output / "table.csv").exists()
    alike = hold_out_alike(options.output) if there else []
    faces = load_prepared(options.output) if there else None
    report = Report(
        prepared=0 if faces is None else len(faces),
        held_out=0 if faces is None else int(faces.validation.sum()),
        people=0 if faces is None else len(set(faces.identities.tolist())),
        landmarks=landmarks,
        parsing=options.parsing,
        embeddings=options.embed,
        alike=alike,
        reasons=dict(Counter(drop.reason for drop in dropped)),
        dropped=dropped,
        seconds=round(seconds, 1),
    )
    with staged(options.output) as stage:
        (stage / "report.json").write_text(json.dumps({"version": __version__, **asdict(report)}, indent=1) + "\n")
    return report
