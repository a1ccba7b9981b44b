"""Photos in, files out, one photo's failure never another's: what every command that works through photos shares."""

from __future__ import annotations

import os
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gcnface.batch.capacity import default_workers
from gcnface.batch.executor import WorkerLostError, run_tasks
from gcnface.batch.failures import failed, reason
from gcnface.batch.inputs import RESULT_ENDINGS, ResultNames, collect_photos, in_the_way, shard
from gcnface.batch.progress import Reporter, tell_nobody
from gcnface.batch.worker import TaskResult
from gcnface.errors import GcnfaceError, LowQualityWarning, OutputError, printable
from gcnface.io.atomic import writable
from gcnface.io.images import read_photo
from gcnface.options import BatchOptions
from gcnface.system.streams import READER_GONE, reader_gone

Loaded = TypeVar("Loaded")

_AHEAD = 1000
"""Photos that are looked for before the first is done, to tell how many there are."""


class CannotStartError(GcnfaceError):
    """What no photo can do without is missing."""


@dataclass(frozen=True)
class ReadPhoto:
    """A photo that has been read.

    Attributes:
        pixels: (H, W, 3) float32 sRGB in [0, 1].
        path: as the user named it.
        seconds: that reading took.
    """

    pixels: NDArray[np.float32]
    path: Path
    seconds: float


@dataclass(frozen=True)
class Written:
    """What was written of a face: in a few words, and what the caller wants to keep of it."""

    what: str
    kept: Any = None


Write = Callable[[Path, str], Written]
"""Writes the files of one face into a folder under a name."""

Work = Callable[[ReadPhoto, Callable[[str], None]], Sequence[Write]]
"""From a photo to its faces, the largest first; the second argument is told the name of each stage as it begins."""


def savings(faces: Iterable[Any], formats: Sequence[str]) -> list[Write]:
    """What writes faces whose `save` takes a folder, a name and formats."""

    def write(face: Any, folder: Path, name: str) -> Written:
        face.save(folder, name, formats)
        quality = getattr(face, "quality", None)
        return Written(" ".join(formats) + (f"; quality {quality.value:.2f}" if quality else ""))

    return [partial(write, face) for face in faces]


def loaded(load: Callable[[], Loaded]) -> Loaded:
    """What `load` gives.

    Raises:
        CannotStartError: it cannot be loaded.
    """
    try:
        return load()
    except Exception as error:
        raise CannotStartError(f"the networks cannot be loaded ({reason(error)})") from error


@dataclass(frozen=True)
class ResultFiles:
    """What the result of a photo consists of.

    Attributes:
        names: the files of a result, given its name.
        endings: what may follow the name in its pictures (.png).
        all_faces: a photo may have several results.
    """

    names: Callable[[str], Sequence[str]]
    endings: tuple[str, ...] = RESULT_ENDINGS
    all_faces: bool = False

    def whole(self, folder: Path, name: str) -> bool:
        """Whether all files are there and none is empty; they appear together, those of the largest face last."""
        try:
            return all(os.path.getsize(folder / file) for file in self.names(name))
        except OSError:
            return False


def work_through(
    options: BatchOptions,
    files: ResultFiles,
    load: Callable[[], Work],
    *,
    stages: int = 10,
    keep: Callable[[Any], None] | None = None,
) -> int:
    """Do every photo and write its files.

    Args:
        options: what the user asked for.
        files: that each photo gives.
        load: gives the work, with its networks; called once in each worker, when it has read its first photo.
            Picklable where there are several.
        stages: of one photo, reading and writing among them; only the bar depends on it.
        keep: is given what was kept of each face, in the order of the photos.

    Returns:
        The exit status: 0 when every argument gave its results, else 1.

    Raises:
        OutputError: the folder cannot be written to.
        GcnfaceError: the cluster cannot be used.
        SystemExit: whoever read the list of results has left; the photos in hand were finished.
    """
    if options.cluster:  # its workers have other working folders
        photos = tuple(os.path.abspath(photo) if photo.strip() else photo for photo in options.photos)
        options = replace(options, photos=photos, output=options.output.absolute())
    inputs = collect_photos(options.photos)
    reporter = Reporter(None, quiet=options.quiet, debug=options.debug)
    for error in inputs.errors:
        reporter.error(error)
    if len(inputs.errors) == len(options.photos):
        return 1
    with writable(options.output):
        tasks = _Tasks(options, files, inputs.photos)
        run = _Run(options, reporter, keep or (lambda kept: None))
        went_well = run.all(tasks, PhotoProcessor(load, options.output, files.endings), stages)
    if reader_gone():
        raise SystemExit(READER_GONE)
    if tasks.left_out:
        reporter.note(f"{tasks.left_out} photos left out: their results are there")
    return 0 if went_well and not inputs.errors else 1


@dataclass(frozen=True)
class PhotoTask:
    """A photo, and the name of its result."""

    path: Path
    name: str


@dataclass(frozen=True)
class Failure:
    """Why a photo gave nothing.

    Attributes:
        line: for the user.
        trace: of the error, for --debug.
        final: no other photo can be done either.
    """

    line: str
    trace: str = ""
    final: bool = False


@dataclass
class PhotoResult:
    """What came of a photo.

    Attributes:
        faces: of each that was written a line for the user, and what was kept of it.
        failure: what went wrong, if something did.
        warnings: what to say beside that.
    """

    faces: list[tuple[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failure: Failure | None = None


@dataclass
class _Tasks:
    """The photos that are to be done, with the names of their results, found as they are taken.

    Names are claimed for photos of other shards and for those that are left out too, so that they are always the same.
    """

    options: BatchOptions
    files: ResultFiles
    photos: Iterable[Path]
    left_out: int = 0

    def __iter__(self) -> Iterator[PhotoTask]:
        names = ResultNames(self.options.output, self.files.endings, self.files.all_faces)
        named = ((path, names.claim(path.stem)) for path in self.photos)
        for path, name in shard(self.options.shard, named):
            if self.options.resume and self.files.whole(self.options.output, name):
                self.left_out += 1
            else:
                yield PhotoTask(path, name)


@dataclass(frozen=True)
class _Run:
    """One call of a command."""

    options: BatchOptions
    reporter: Reporter
    keep: Callable[[Any], None]

    def all(self, every: Iterable[PhotoTask], processor: PhotoProcessor, stages: int) -> bool:
        """Every photo; whether all went well."""
        tasks = iter(every)
        first = list(islice(tasks, _AHEAD))
        tasks = takewhile(lambda task: not reader_gone(), chain(first, tasks))
        workers, cluster = self.options.workers, self.options.cluster
        on_cpu = getattr(self.options, "device", "cpu") == "cpu"
        if workers is None:
            workers = default_workers(len(first)) if on_cpu else 1
        workers = min(workers, len(first))
        ready = processor.ready if on_cpu else None
        shared = workers > 1 or cluster is not None
        if not shared:
            processor.on_photo, processor.on_stage = self.reporter.photo, self.reporter.stage
        went_well = True
        if len(first) < _AHEAD:
            self.reporter.expect(len(first))
        with self.reporter.running(stages):
            with closing(run_tasks(processor, tasks, workers=workers, cluster=cluster, ready=ready)) as results:
                for result in results:
                    if shared:
                        self.reporter.photo(result.task.path)
                    failure = self._tell(result)
                    went_well = went_well and failure is None
                    if failure and failure.final:
                        break
        return went_well

    def _tell(self, result: TaskResult) -> Failure | None:
        """Say what came of a photo; what went wrong, if something did."""
        found = PhotoResult(failure=_failure(result.task, result.error)) if result.error else result.value
        for line, kept in found.faces:
            self.reporter.result(line)
            self.keep(kept)
        for warning in found.warnings:
            self.reporter.warning(warning)
        if found.failure:
            self.reporter.failure(found.failure.line, found.failure.trace)
        return found.failure


def _failure(task: PhotoTask, error: Exception) -> Failure:
    """What to say of an error."""
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, CannotStartError):
        return Failure(str(error), trace, final=True)
    if isinstance(error, WorkerLostError):
        what, _, remedy = str(error).partition("; ")
        return Failure(f"{printable(task.path)}: failed ({what}); {remedy}")
    if isinstance(error, OutputError):
        return Failure(f"{printable(task.path)}: {error}", trace)
    if isinstance(error, GcnfaceError):
        return Failure(str(error), trace)
    return Failure(failed(task.path, error), trace)


@contextmanager
def left_out_faces() -> Iterator[list[str]]:
    """Gives a list that afterwards holds what was said of faces that are left out; other warnings go their way."""
    told: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LowQualityWarning)
        yield told
    for warning in caught:
        if issubclass(warning.category, LowQualityWarning):
            told.append(str(warning.message))
        else:
            warnings.showwarning(warning.message, warning.category, warning.filename, warning.lineno)


@dataclass
class PhotoProcessor:
    """Reads a photo, works on it and writes its files; loads the networks when it needs them first.

    Attributes:
        load: gives the work.
        output: folder of the results.
        endings: as in `ResultFiles`.
        on_photo: is told the path of each photo as it begins.
        on_stage: is told the name of each stage as it begins.
    """

    load: Callable[[], Work]
    output: Path
    endings: tuple[str, ...]
    on_photo: Callable[[Path], None] = tell_nobody
    on_stage: Callable[[str], None] = tell_nobody
    _work: Work | None = None

    def __call__(self, task: PhotoTask) -> PhotoResult:
        """Do a photo; what fails is told in the result."""
        result = PhotoResult()
        self.on_photo(task.path)
        try:
            self._do(task, result)
        except Exception as error:
            result.failure = _failure(task, error)
        return result

    def _do(self, task: PhotoTask, result: PhotoResult) -> None:
        begin = time.perf_counter()
        self.on_stage("read")
        photo = ReadPhoto(read_photo(task.path), task.path, time.perf_counter() - begin)
        with left_out_faces() as told:
            found = self._loaded()(photo, self.on_stage)
        result.warnings += [f"{printable(task.path)}: {words}" for words in told]
        faces = list(zip(found, self._names(task.name), strict=False))
        for write, name in reversed(faces):  # the largest face last: its files tell that all others are there
            self.on_stage("write")
            written = write(self.output, name)
            took = f"{time.perf_counter() - begin:.1f} s"
            line = f"{task.path} -> {self.output / name} ({written.what}), {took}"
            result.faces.insert(0, (line, written.kept))

    def _names(self, name: str) -> Iterator[str]:
        """NAME, NAME_face2, NAME_face3, ..., but for what would overwrite a picture that is no result."""
        yield name
        for number in range(2, 10_000):
            other = f"{name}_face{number}"
            if not in_the_way(self.output, other, self.endings):
                yield other

    def ready(self) -> None:
        """Load the networks; that they cannot be loaded is told by the first photo."""
        with suppress(CannotStartError):
            self._loaded()

    def _loaded(self) -> Work:
        """The work, made when it is needed first; without it no photo can be done."""
        if self._work is None:
            self.on_stage("load")
            self._work = loaded(self.load)
        return self._work
