"""``gcnface refine``: from the options to reconstructions and their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gcnface.batch.loop import ReadPhoto, ResultFiles, Work, Write, Written, work_through
from gcnface.loading import ReconstructsPhotos, faces_of, load_reconstructor
from gcnface.options import ReconstructionOptions, RefineOptions, part

if TYPE_CHECKING:
    from gcnface.result.reconstruction import Reconstruction

STAGES = 10
"""Those of the pipeline and, around them, reading and writing; only the bar depends on it."""


def refine(
    options: RefineOptions,
    make_reconstructor: Callable[[ReconstructionOptions], ReconstructsPhotos] = load_reconstructor,
) -> int:
    """Reconstruct every photo and write its files.

    Args:
        options: what the user asked for.
        make_reconstructor: called once in each worker, when the first photo has been read.

    Returns:
        The exit status: 0 when every argument gave its results, else 1.
    """
    files = ResultFiles(partial(_files, options.formats), all_faces=options.all_faces)
    return work_through(options, files, partial(_load, make_reconstructor, options), stages=STAGES)


def _files(formats: Sequence[str], name: str) -> list[str]:
    """Names of the files of one face."""
    from gcnface.result.files.bundle import file_names

    return file_names(name, formats)


def _load(make_reconstructor: Callable[[ReconstructionOptions], ReconstructsPhotos], options: RefineOptions) -> Work:
    """The work, with its networks."""
    return partial(_reconstructed, make_reconstructor(part(ReconstructionOptions, options)), options.formats)


def _reconstructed(
    reconstructor: ReconstructsPhotos,
    formats: tuple[str, ...],
    photo: ReadPhoto,
    on_stage: Callable[[str], None],
) -> list[Write]:
    """What writes each face of one photo."""
    faces = faces_of(reconstructor, photo.pixels, photo.path, on_stage=on_stage)
    timed = [replace(face, timings={"read": photo.seconds, **face.timings}) for face in faces]
    return [partial(_write, face, formats) for face in timed]


def _write(face: Reconstruction, formats: tuple[str, ...], folder: Path, name: str) -> Written:
    """The files of one face."""
    face.save(folder, name, formats)
    return Written(" ".join(formats))
