"""``gcnface flatten``: from the arguments to flattened faces, their mean, and the files of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gcnface.batch.inputs import ResultNames, collect_photos
from gcnface.batch.loop import PhotoRequest, ReadPhoto, Work, Write, work_through
from gcnface.batch.progress import Reporter
from gcnface.dense.flattener import DEFAULT_SIZE, STAGES, FlattenedFace, Flattener, mean_face
from gcnface.errors import GcnfaceError, printable
from gcnface.io.atomic import staged
from gcnface.io.images import save_picture

ENDING, MEAN_ENDING, MASK_ENDING = "_flat", "_mean", "_mean_mask"


@dataclass(frozen=True)
class FlattenOptions:
    """What the user asked for.

    Attributes:
        photos: files, folders and glob patterns.
        output: folder of the results.
        size: texels a side.
        mean: name of the mean face of all photos; None for no mean.
        device: where the localiser runs.
        quiet: no bar and no results on stdout.
        debug: stack traces.
    """

    photos: Sequence[str]
    output: Path
    size: int = DEFAULT_SIZE
    mean: str | None = None
    device: str = "cpu"
    quiet: bool = False
    debug: bool = False


def load_flattener(options: FlattenOptions) -> Flattener:
    """The flattener with its networks."""
    return Flattener(options.device, size=options.size)


def flatten_photos(
    options: FlattenOptions, make_flattener: Callable[[FlattenOptions], Callable[..., FlattenedFace]] = load_flattener
) -> int:
    """Flatten every photo and write its file, then the mean of those that could be done.

    Args:
        options: what the user asked for.
        make_flattener: called once, when the first photo has been read.

    Returns:
        The exit status: 0 when every argument gave its results, else 1.
    """
    done = _Done(keep=options.mean is not None)

    def load() -> Work:
        return partial(_flattened, make_flattener(options), done)

    request = PhotoRequest(
        options.photos,
        options.output,
        options.quiet,
        options.debug,
        stages=len(STAGES) + 2,
        endings=(ENDING,),
    )
    status = work_through(request, load)
    return _write_mean(options, done.faces, status) if options.mean is not None and done.faces else status


@dataclass
class _Done:
    """The faces whose files were written, where a mean is wanted."""

    keep: bool
    faces: list[FlattenedFace] = field(default_factory=list)


def _flattened(
    flattener: Callable[..., FlattenedFace], done: _Done, photo: ReadPhoto, on_stage: Callable[[str], None]
) -> list[Write]:
    """What writes the face of one photo."""
    return [partial(_write, flattener(photo.pixels, name=photo.path, on_stage=on_stage), done)]


def _write(face: FlattenedFace, done: _Done, folder: Path, name: str) -> str:
    """The file of one face."""
    _save(folder, {f"{name}{ENDING}.png": face.rgba})
    if done.keep:
        done.faces.append(face)
    return f"{name}{ENDING}.png, {100 * face.mask.mean():.0f} % seen"


def _write_mean(options: FlattenOptions, faces: Sequence[FlattenedFace], status: int) -> int:
    """The files of the mean; the exit status."""
    reporter = Reporter(len(faces), quiet=options.quiet, debug=options.debug)
    photos = collect_photos(options.photos).photos
    name = ResultNames(options.output, photos, (MEAN_ENDING, MASK_ENDING)).claim(str(options.mean))
    mean = mean_face(faces)
    try:
        _save(options.output, {f"{name}{MEAN_ENDING}.png": mean.rgba, f"{name}{MASK_ENDING}.png": mean.seen})
    except GcnfaceError as error:
        reporter.error(error)
        return 1
    target = options.output / f"{name}{MEAN_ENDING}.png"
    reporter.result(f"{len(faces)} photos -> {printable(target)} ({100 * (mean.seen > 0).mean():.0f} % seen)")
    return status


def _save(folder: Path, pictures: dict[str, NDArray[np.float32]]) -> None:
    """PNG files of (S, S), (S, S, 3) or (S, S, 4) values in [0, 1]; all appear or none."""
    with staged(folder) as stage:
        for name, values in pictures.items():
            pixels = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
            save_picture(Image.fromarray(pixels), stage / name)
