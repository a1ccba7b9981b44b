"""``gcnface refine``: from the options to reconstructions and their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from gcnface.batch.loop import ReadPhoto, ResultFiles, Work, Write, savings, work_through
from gcnface.loading import faces_of, load_reconstructor
from gcnface.options import ReconstructionOptions, RefineOptions, part

STAGES = 10
"""Those of the pipeline and, around them, reading and writing; only the bar depends on it."""


def refine(options: RefineOptions) -> int:
    """Reconstruct every photo and write its files.

    Returns:
        The exit status: 0 when every argument gave its results, else 1.
    """
    files = ResultFiles(partial(_files, options.formats), all_faces=options.all_faces)
    return work_through(options, files, partial(_load, options), stages=STAGES)


def _files(formats: Sequence[str], name: str) -> list[str]:
    """Names of the files of one face."""
    from gcnface.result.files.bundle import file_names

    return file_names(name, formats)


def _load(options: RefineOptions) -> Work:
    """The work, with its networks."""
    reconstructor = load_reconstructor(part(ReconstructionOptions, options))

    def work(photo: ReadPhoto, on_stage: Callable[[str], None]) -> list[Write]:
        faces = faces_of(reconstructor, photo.pixels, photo.path, on_stage)
        timed = [replace(face, timings={"read": photo.seconds, **face.timings}) for face in faces]
        return savings(timed, options.formats)

    return work
