"""``gcnface refine``: from the arguments to reconstructions and their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from gcnface.api import ReconstructsPhotos, faces_of, load_reconstructor
from gcnface.batch.loop import PhotoRequest, ReadPhoto, Work, Write, work_through
from gcnface.options import ReconstructionOptions
from gcnface.result.reconstruction import Reconstruction

STAGES = 10
"""Those of the pipeline and, around them, reading and writing; only the bar depends on it."""


@dataclass(frozen=True)
class RefineOptions:
    """What the user asked for.

    Attributes:
        photos: files, folders and glob patterns.
        output: folder of the results.
        formats: some of `gcnface.result.reconstruction.FORMATS`.
        how: the photos are reconstructed.
        quiet: no bar and no results on stdout.
        debug: stack traces.
        workers: processes that share the photos; None as many as pay.
    """

    photos: Sequence[str]
    output: Path
    formats: tuple[str, ...]
    how: ReconstructionOptions
    quiet: bool = False
    debug: bool = False
    workers: int | None = None


def refine(
    options: RefineOptions,
    make_reconstructor: Callable[[ReconstructionOptions], ReconstructsPhotos] = load_reconstructor,
) -> int:
    """Reconstruct every photo and write its files.

    Args:
        options: what the user asked for.
        make_reconstructor: called once, when the first photo has been read.

    Returns:
        The exit status: 0 when every argument gave its results, else 1.
    """
    workers = options.workers if options.how.device == "cpu" else 1
    request = PhotoRequest(
        options.photos, options.output, options.quiet, options.debug, stages=STAGES, workers=workers
    )
    return work_through(request, partial(_load, make_reconstructor, options))


def _load(make_reconstructor: Callable[[ReconstructionOptions], ReconstructsPhotos], options: RefineOptions) -> Work:
    """The work, with its networks."""
    return partial(_reconstructed, make_reconstructor(options.how), options.formats)


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


def _write(face: Reconstruction, formats: tuple[str, ...], folder: Path, name: str) -> str:
    """The files of one face."""
    face.save(folder, name, formats)
    return " ".join(formats)
