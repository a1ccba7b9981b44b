"""Photos in, files out, one photo's failure never another's: what every command that works through photos shares."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gcnface.batch.inputs import RESULT_ENDINGS, ResultNames, collect_photos
from gcnface.batch.progress import Reporter
from gcnface.errors import GcnfaceError, OutputError, printable
from gcnface.io.atomic import writable
from gcnface.io.images import read_photo
from gcnface.system.streams import READER_GONE, reader_gone


class CannotStartError(GcnfaceError):
    """What no photo can do without is missing."""


@dataclass(frozen=True)
class PhotoRequest:
    """What the user asked for, as far as it is the same in every command.

    Attributes:
        photos: files, folders and glob patterns.
        output: folder of the results.
        quiet: no bar and no results on stdout.
        debug: stack traces.
        stages: of one photo, reading and writing among them; only the bar depends on it.
        endings: what may follow a result's name in the .png files written, so that none replaces a photo.
        workers: processes that share the photos, one thread each; 1 is this process alone, None as many as pay.
    """

    photos: Sequence[str]
    output: Path
    quiet: bool = False
    debug: bool = False
    stages: int = 10
    endings: tuple[str, ...] = RESULT_ENDINGS
    workers: int | None = 1


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


Write = Callable[[Path, str], str]
"""Writes the files of one face into a folder under a name; says in a few words what was written."""

Work = Callable[[ReadPhoto, Callable[[str], None]], Sequence[Write]]
"""From a photo to its faces, the largest first; the second argument is told the name of each stage as it begins."""


def work_through(request: PhotoRequest, load: Callable[[], Work]) -> int:
    """Do every photo and write its files.

    Args:
        request: what the user asked for.
        load: gives the work, with its networks; called once, when the first photo has been read. With several workers
            it is called before them, or in each of them where processes cannot be forked; then it must be picklable.

    Returns:
        The exit status: 0 when every argument gave its results, else 1.

    Raises:
        SystemExit: whoever read the list of results has left; the photos in hand were finished.
    """
    inputs = collect_photos(request.photos)
    reporter = Reporter(len(inputs.photos), quiet=request.quiet, debug=request.debug)
    for error in inputs.errors:
        reporter.error(error)
    if not inputs.photos:
        return 1
    try:
        with writable(request.output):
            done = _work_through(request, inputs.photos, load, reporter)
    except OutputError as error:
        reporter.error(error)
        return 1
    if reader_gone():
        raise SystemExit(READER_GONE)
    return 0 if done and not inputs.errors else 1


def _work_through(request: PhotoRequest, photos: Sequence[Path], load: Callable[[], Work], reporter: Reporter) -> bool:
    """Every photo, in as many processes as asked for; whether all went well."""
    from gcnface.batch.workers import default_workers, share_photos

    names = ResultNames(request.output, photos, request.endings)
    tasks = [Task(path, names.claim(path.stem)) for path in photos]
    workers = default_workers(len(tasks)) if request.workers is None else min(request.workers, len(tasks))
    with reporter.running(stages=request.stages):
        if workers > 1:
            return share_photos(tasks, load, request.output, workers, names, reporter)
        return _in_turn(tasks, load, request.output, names, reporter)


def _in_turn(
    tasks: Sequence[Task], load: Callable[[], Work], output: Path, names: ResultNames, reporter: Reporter
) -> bool:
    """Every photo in this process; whether all went well."""
    desk, went_well = PhotoDesk(load, output, _Direct(names, reporter)), True
    for task in tasks:
        reporter.photo(task.path)
        failure = desk.do(task)
        if failure is not None:
            reporter.failure(failure.line, failure.trace)
            went_well = False
            if failure.final:
                break
        if reader_gone():
            break
    return went_well


@dataclass(frozen=True)
class Task:
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
    trace: str
    final: bool = False


class Counter(Protocol):
    """What somebody who does photos tells, and asks, the one who hands them out."""

    def stage(self, name: str) -> None:
        """A stage begins."""
        ...

    def claim(self, wanted: str) -> str:
        """A name for one more result, like the one wanted, that nothing has yet."""
        ...

    def result(self, text: str) -> None:
        """A face is done."""
        ...


@dataclass
class _Direct:
    """The counter of somebody who hands out to himself."""

    names: ResultNames
    reporter: Reporter

    def stage(self, name: str) -> None:
        """Show it."""
        self.reporter.stage(name)

    def claim(self, wanted: str) -> str:
        """The next free name."""
        return self.names.claim(wanted)

    def result(self, text: str) -> None:
        """Show it."""
        self.reporter.result(text)


@dataclass
class PhotoDesk:
    """Does photos one by one; loads the networks when it needs them first."""

    load: Callable[[], Work]
    output: Path
    counter: Counter
    work: Work | None = None

    def do(self, task: Task) -> Failure | None:
        """Read, work, write; what failed, if something did."""
        try:
            self._do(task)
        except CannotStartError as error:
            return Failure(str(error), _trace(error), final=True)
        except OutputError as error:
            return Failure(f"{printable(task.path)}: {error}", _trace(error))
        except GcnfaceError as error:
            return Failure(str(error), _trace(error))
        except Exception as error:
            text = f"{printable(task.path)}: failed ({reason(error)}); run again with --debug to see where"
            return Failure(text, _trace(error))
        return None

    def _do(self, task: Task) -> None:
        begin = time.perf_counter()
        self.counter.stage("read")
        photo = ReadPhoto(read_photo(task.path), task.path, time.perf_counter() - begin)
        for index, write in enumerate(self.loaded()(photo, self.counter.stage)):
            self.counter.stage("write")
            name = task.name if index == 0 else self.counter.claim(f"{task.name}_face{index + 1}")
            what = write(self.output, name)
            seconds = time.perf_counter() - begin
            self.counter.result(f"{task.path} -> {self.output / name} ({what}), {seconds:.1f} s")
            begin = time.perf_counter()

    def loaded(self) -> Work:
        """The work, made when it is needed first; without it no photo can be done."""
        if self.work is None:
            self.counter.stage("load")
            try:
                self.work = self.load()
            except Exception as error:
                raise CannotStartError(f"the networks cannot be loaded ({reason(error)})") from error
        return self.work


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def reason(error: Exception) -> str:
    """What a user can make of an error; those that were not foreseen are named by their type."""
    if isinstance(error, GcnfaceError):
        return str(error)
    if isinstance(error, ImportError) and "cannot open shared object file" in str(error):
        return f"{error}; OpenCV needs system libraries, on Debian and Ubuntu: apt install libgl1 libglib2.0-0"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
