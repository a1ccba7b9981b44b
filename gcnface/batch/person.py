"""``gcnface refine --same-person``: all photos into one result, or one line that says which photo is in the way."""

from __future__ import annotations

import time

from gcnface.batch.inputs import ResultNames, collect_photos
from gcnface.batch.loop import left_out_faces, loaded
from gcnface.batch.progress import Reporter
from gcnface.batch.refine import STAGES
from gcnface.errors import GcnfaceError, OutputError, printable
from gcnface.io.atomic import writable
from gcnface.io.images import read_photo
from gcnface.loading import load_person_reconstructor
from gcnface.options import ReconstructionOptions, RefineOptions, part
from gcnface.photo.input import NamedPhoto


def refine_person(options: RefineOptions) -> int:
    """Fuse all photos and write one result, called after the first; `all_faces` and `adapt` have no meaning here.

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
    begin, shown = time.perf_counter(), ", ".join(map(printable, photos))
    with reporter.running(stages=STAGES), writable(options.output):
        named = [NamedPhoto(read_photo(path), path) for path in photos]
        reconstructor = loaded(lambda: load_person_reconstructor(part(ReconstructionOptions, options)))
        with left_out_faces() as told:
            face = reconstructor(named, on_stage=reporter.stage, on_photo=reporter.photo, on_doubt=reporter.warning)
        for words in told:
            reporter.warning(words)
        reporter.stage("write")
        name = ResultNames(options.output).claim(photos[0].stem)
        try:
            face.save(options.output, name, options.formats)
        except OutputError as error:
            raise GcnfaceError(f"{shown}: {error}") from error
        took = f"({' '.join(options.formats)}), {time.perf_counter() - begin:.1f} s"
        reporter.result(f"{shown} -> {options.output / name} {took}")
    return 0
