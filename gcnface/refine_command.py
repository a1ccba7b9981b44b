"""``gcnface refine``: photos in, files out, one photo's failure never another's."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gcnface.api import Options, ReconstructsPhotos, faces_of, load_reconstructor
from gcnface.errors import GcnfaceError
from gcnface.inputs import ResultNames, collect_photos
from gcnface.io.atomic import check_writable
from gcnface.io.images import read_photo
from gcnface.progress import Reporter

STAGES = 10
"""Those of the pipeline and, around them, reading and writing; only the bar depends on it."""


class CannotStartError(GcnfaceError):
    """What no photo can do without is missing."""


@dataclass(frozen=True)
class RefineOptions:
    """What the user asked for.

    Attributes:
        photos: files, folders and glob patterns.
        output: folder of the results.
        formats: some of `gcnface.reconstruction.FORMATS`.
        how: the photos are reconstructed.
        quiet: no bar and no results on stdout.
        debug: stack traces.
    """

    photos: Sequence[str]
    output: Path
    formats: tuple[str, ...]
    how: Options
    quiet: bool = False
    debug: bool = False


def refine(
    options: RefineOptions, make_reconstructor: Callable[[Options], ReconstructsPhotos] = load_reconstructor
) -> int:
    """Reconstruct every photo and write its files.

    Args:
        options: what the user asked for.
        make_reconstructor: called once, when the first photo has been read.

    Returns:
        The exit status: 0 when every argument gave its results, else 1.
    """
    inputs = collect_photos(options.photos)
    reporter = Reporter(len(inputs.photos), quiet=options.quiet, debug=options.debug)
    for error in inputs.errors:
        reporter.error(error)
    if not inputs.photos:
        return 1
    try:
        check_writable(options.output)
    except GcnfaceError as error:
        reporter.error(error)
        return 1
    run = _Run(options, reporter, ResultNames(options.output, inputs.photos), make_reconstructor)
    with reporter.running(stages=STAGES):
        done = run.all(inputs.photos)
    return 0 if done and not inputs.errors else 1


@dataclass
class _Run:
    """One call of the command."""

    options: RefineOptions
    reporter: Reporter
    names: ResultNames
    make_reconstructor: Callable[[Options], ReconstructsPhotos]
    reconstructor: ReconstructsPhotos | None = None

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
                self.reporter.error(error, f"{path}: failed ({_reason(error)}); run again with --debug to see where")
                went_well = False
        return went_well

    def _one(self, path: Path, name: str) -> None:
        """One photo: read, reconstruct, write."""
        begin = time.perf_counter()
        self.reporter.stage("read")
        photo = read_photo(path)
        seconds = {"read": time.perf_counter() - begin}
        reconstructor = self._loaded()
        for index, face in enumerate(faces_of(reconstructor, photo, path, on_stage=self.reporter.stage)):
            self.reporter.stage("write")
            face_name = name if index == 0 else self.names.claim(f"{name}_face{index + 1}")
            timed = replace(face, timings={**seconds, **face.timings})
            timed.save(self.options.output, face_name, self.options.formats)
            target, formats = self.options.output / face_name, " ".join(self.options.formats)
            self.reporter.result(f"{path} -> {target} ({formats}), {time.perf_counter() - begin:.1f} s")
            begin = time.perf_counter()

    def _loaded(self) -> ReconstructsPhotos:
        """The reconstructor, made when it is needed first; without it no photo can be done."""
        if self.reconstructor is None:
            self.reporter.stage("load")
            try:
                self.reconstructor = self.make_reconstructor(self.options.how)
            except Exception as error:
                raise CannotStartError(f"the networks cannot be loaded ({_reason(error)})") from error
        return self.reconstructor


def _reason(error: Exception) -> str:
    """What a user can make of an error; those that were not foreseen are named by their type."""
    if isinstance(error, GcnfaceError):
        return str(error)
    if isinstance(error, ImportError) and "cannot open shared object file" in str(error):
        return f"{error}; OpenCV needs system libraries, on Debian and Ubuntu: apt install libgl1 libglib2.0-0"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
