"""Photos in, files out, one photo's failure never another's: what every command that works through photos shares."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gcnface.errors import GcnfaceError
from gcnface.inputs import RESULT_ENDINGS, ResultNames, collect_photos
from gcnface.io.atomic import check_writable
from gcnface.io.images import read_photo
from gcnface.progress import Reporter


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
    """

    photos: Sequence[str]
    output: Path
    quiet: bool = False
    debug: bool = False
    stages: int = 10
    endings: tuple[str, ...] = RESULT_ENDINGS


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
        load: gives the work, with its networks; called once, when the first photo has been read.

    Returns:
        The exit status: 0 when every argument gave its results, else 1.
    """
    inputs = collect_photos(request.photos)
    reporter = Reporter(len(inputs.photos), quiet=request.quiet, debug=request.debug)
    for error in inputs.errors:
        reporter.error(error)
    if not inputs.photos:
        return 1
    try:
        check_writable(request.output)
    except GcnfaceError as error:
        reporter.error(error)
        return 1
    names = ResultNames(request.output, inputs.photos, request.endings)
    with reporter.running(stages=request.stages):
        done = _Run(request.output, reporter, names, load).all(inputs.photos)
    return 0 if done and not inputs.errors else 1


@dataclass
class _Run:
    """One call of a command."""

    output: Path
    reporter: Reporter
    names: ResultNames
    load: Callable[[], Work]
    work: Work | None = None

    def all(self, photos: Sequence[Path]) -> bool:
        """Every photo in turn; whether all went well."""
        names = [self.names.claim(path.stem) for path in photos]
        went_well = True
        for path, name in zip(photos, names, strict=True):
            self.reporter.photo(path)
            try:
                self._one(path, name)
            except CannotStartError as error:
                self.reporter.error(error)
                return False
            except GcnfaceError as error:
                self.reporter.error(error)
                went_well = False
            except Exception as error:
                text = f"{path}: failed ({reason(error)}); run again with --debug to see where"
                self.reporter.error(error, text)
                went_well = False
        return went_well

    def _one(self, path: Path, name: str) -> None:
        """One photo: read, work, write."""
        begin = time.perf_counter()
        self.reporter.stage("read")
        photo = ReadPhoto(read_photo(path), path, time.perf_counter() - begin)
        work = self._loaded()
        for index, write in enumerate(work(photo, self.reporter.stage)):
            self.reporter.stage("write")
            face_name = name if index == 0 else self.names.claim(f"{name}_face{index + 1}")
            what = write(self.output, face_name)
            seconds = time.perf_counter() - begin
            self.reporter.result(f"{path} -> {self.output / face_name} ({what}), {seconds:.1f} s")
            begin = time.perf_counter()

    def _loaded(self) -> Work:
        """The work, made when it is needed first; without it no photo can be done."""
        if self.work is None:
            self.reporter.stage("load")
            try:
                self.work = self.load()
            except Exception as error:
                raise CannotStartError(f"the networks cannot be loaded ({reason(error)})") from error
        return self.work


def reason(error: Exception) -> str:
    """What a user can make of an error; those that were not foreseen are named by their type."""
    if isinstance(error, GcnfaceError):
        return str(error)
    if isinstance(error, ImportError) and "cannot open shared object file" in str(error):
        return f"{error}; OpenCV needs system libraries, on Debian and Ubuntu: apt install libgl1 libglib2.0-0"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
