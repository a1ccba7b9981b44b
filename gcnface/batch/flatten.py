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
from gcnface.photo.detection import make_detector

ENDING, MEAN_ENDING, MASK_ENDING = "_flat", "_mean", "_mean_mask"


def flatten_photos(options: FlattenOptions) -> int:
    """Flatten every photo and write its file, then the mean of those that could be done.

    Returns:
        The exit status: 0 when every argument gave its results, else 1.
    """
    faces: list[FlattenedFace] = []
    files = ResultFiles(lambda name: [f"{name}{ENDING}.png"], endings=(ENDING,))
    keep = faces.append if options.mean is not None else None
    status = work_through(options, files, partial(_load, options), stages=len(STAGES) + 2, keep=keep)
    if faces:
        _write_mean(options, faces)
    return status


def _load(options: FlattenOptions) -> Work:
    """The work, with its networks."""
    finder, least = make_detector(options.detector), options.least_quality
    flattener = Flattener(options.device, size=options.size, detector=finder, least_quality=least)

    def work(photo: ReadPhoto, on_stage: Callable[[str], None]) -> list[Write]:
        return [partial(write, flattener(photo.pixels, name=photo.path, on_stage=on_stage))]

    def write(face: FlattenedFace, folder: Path, name: str) -> Written:
        _save(folder, {f"{name}{ENDING}.png": face.rgba})
        told = f"{name}{ENDING}.png, {100 * face.mask.mean():.0f} % seen"
        return Written(told, None if options.mean is None else face)

    return work


def _write_mean(options: FlattenOptions, faces: Sequence[FlattenedFace]) -> None:
    """The files of the mean."""
    reporter = Reporter(len(faces), quiet=options.quiet, debug=options.debug)
    name = ResultNames(options.output, (MEAN_ENDING, MASK_ENDING)).claim(str(options.mean))
    mean = mean_face(faces)
    _save(options.output, {f"{name}{MEAN_ENDING}.png": mean.rgba, f"{name}{MASK_ENDING}.png": mean.seen})
    target = options.output / f"{name}{MEAN_ENDING}.png"
    reporter.result(f"{len(faces)} photos -> {printable(target)} ({100 * (mean.seen > 0).mean():.0f} % seen)")


def _save(folder: Path, pictures: dict[str, NDArray[np.float32]]) -> None:
    """PNG files of (S, S), (S, S, 3) or (S, S, 4) values in [0, 1]; all appear or none."""
    with staged(folder) as stage:
        for name, values in pictures.items():
            pixels = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
            save_picture(Image.fromarray(pixels), stage / name)
