"""``gcnface flatten``: from the options to flattened faces, their mean, and the files of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gcnface.batch.inputs import ResultNames
from gcnface.batch.loop import ReadPhoto, ResultFiles, Work, Write, Written, work_through
from gcnface.batch.progress import Reporter
from gcnface.dense.flattener import STAGES, FlattenedFace, Flattener, mean_face
from gcnface.errors import printable
from gcnface.io.atomic import staged
from gcnface.io.images import save_picture
from gcnface.options import FlattenOptions

ENDING, MEAN_ENDING, MASK_ENDING = "_flat", "_mean", "_mean_mask"


def load_flattener(options: FlattenOptions) -> Flattener:
    """The flattener with its networks."""
    return Flattener(options.device, size=options.size)


def flatten_photos(
    options: FlattenOptions, make_flattener: Callable[[FlattenOptions], Callable[..., FlattenedFace]] = load_flattener
) -> int:
    """Flatten every photo and write its file, then the mean of those that could be done.

    Args:
        options: what the user asked for.
        make_flattener: called once in each worker, when the first photo has been read.

    Returns:
        The exit status: 0 when every argument gave its results, else 1.
    """
    faces: list[FlattenedFace] = []
    files = ResultFiles(_files, endings=(ENDING,))
    load = partial(_load, make_flattener, options)
    keep = faces.append if options.mean is not None else None
    status = work_through(options, files, load, stages=len(STAGES) + 2, keep=keep)
    return _write_mean(options, faces, status) if faces else status


def _files(name: str) -> list[str]:
    """Names of the files of one face."""
    return [f"{name}{ENDING}.png"]


def _load(make_flattener: Callable[[FlattenOptions], Callable[..., FlattenedFace]], options: FlattenOptions) -> Work:
    """The work, with its networks."""
    return partial(_flattened, make_flattener(options), options.mean is not None)


def _flattened(
    flattener: Callable[..., FlattenedFace], keep: bool, photo: ReadPhoto, on_stage: Callable[[str], None]
) -> list[Write]:
    """What writes the face of one photo."""
    return [partial(_write, flattener(photo.pixels, name=photo.path, on_stage=on_stage), keep)]


def _write(face: FlattenedFace, keep: bool, folder: Path, name: str) -> Written:
    """The file of one face."""
    _save(folder, {f"{name}{ENDING}.png": face.rgba})
    return Written(f"{name}{ENDING}.png, {100 * face.mask.mean():.0f} % seen", face if keep else None)


def _write_mean(options: FlattenOptions, faces: Sequence[FlattenedFace], status: int) -> int:
    """The files of the mean; the exit status."""
    reporter = Reporter(len(faces), quiet=options.quiet, debug=options.debug)
    name = ResultNames(options.output, (MEAN_ENDING, MASK_ENDING)).claim(str(options.mean))
    mean = mean_face(faces)
    _save(options.output, {f"{name}{MEAN_ENDING}.png": mean.rgba, f"{name}{MASK_ENDING}.png": mean.seen})
    target = options.output / f"{name}{MEAN_ENDING}.png"
    reporter.result(f"{len(faces)} photos -> {printable(target)} ({100 * (mean.seen > 0).mean():.0f} % seen)")
    return status


def _save(folder: Path, pictures: dict[str, NDArray[np.float32]]) -> None:
    """PNG files of (S, S), (S, S, 3) or (S, S, 4) values in [0, 1]; all appear or none."""
    with staged(folder) as stage:
        for name, values in pictures.items():
            pixels = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
            save_picture(Image.fromarray(pixels), stage / name)
