"""``gcnface refine --same-person``: all photos into one result, or one line that says which photo is in the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from gcnface.batch.failures import reason
from gcnface.batch.inputs import ResultNames, collect_photos
from gcnface.batch.loop import CannotStartError
from gcnface.batch.progress import Reporter
from gcnface.batch.refine import STAGES
from gcnface.errors import GcnfaceError, OutputError, printable
from gcnface.io.atomic import writable
from gcnface.io.images import read_photo
from gcnface.loading import FusesPhotos, load_person_reconstructor
from gcnface.options import ReconstructionOptions, RefineOptions, part
from gcnface.photo.input import NamedPhoto


def refine_person(
    options: RefineOptions,
    make_reconstructor: Callable[[ReconstructionOptions], FusesPhotos] = load_person_reconstructor,
) -> int:
    """Fuse all photos and write one result, called after the first.

    Args:
        options: what the user asked for; `all_faces` and `adapt` have no meaning here.
        make_reconstructor: called once, when all photos have been read.

    Returns:
        The exit status: 0 when the result was written; 1, and then nothing was, when an argument leads nowhere.

    Raises:
        GcnfaceError: a photo cannot be used, or the folder cannot be written to; then nothing is written either.
    """
    inputs = collect_photos(options.photos)
    photos = tuple(inputs.photos)
    reporter = Reporter(len(photos), quiet=options.quiet, debug=options.debug)
    for error in inputs.errors:
        reporter.error(error)
    if inputs.errors or not photos:
        return 1
    with reporter.running(stages=STAGES), writable(options.output):
        _fuse(options, photos, reporter, make_reconstructor)
    return 0


def _fuse(
    options: RefineOptions,
    photos: tuple[Path, ...],
    reporter: Reporter,
    make_reconstructor: Callable[[ReconstructionOptions], FusesPhotos],
) -> None:
    """Read, fuse and write; raises GcnfaceError for what the user can mend."""
    begin = time.perf_counter()
    named = [NamedPhoto(read_photo(path), path) for path in photos]
    try:
        reconstructor = make_reconstructor(part(ReconstructionOptions, options))
    except Exception as error:
        raise CannotStartError(f"the networks cannot be loaded ({reason(error)})") from error
    face = reconstructor(named, on_stage=reporter.stage, on_photo=reporter.photo, on_doubt=reporter.warning)
    reporter.stage("write")
    name = ResultNames(options.output).claim(photos[0].stem)
    try:
        face.save(options.output, name, options.formats)
    except OutputError as error:
        raise GcnfaceError(f"{_named(photos)}: {error}") from error
    took = f"({' '.join(options.formats)}), {time.perf_counter() - begin:.1f} s"
    reporter.result(f"{_named(photos)} -> {options.output / name} {took}")


def _named(photos: tuple[Path, ...]) -> str:
    return ", ".join(printable(path) for path in photos)
