"""``gcnface render``: from the options to a picture and a video."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageOps

from gcnface.batch.progress import Reporter
from gcnface.errors import GcnfaceError, printable
from gcnface.io.images import read_photo
from gcnface.io.video import write_video
from gcnface.options import RenderOptions
from gcnface.result.files.npz import read_npz
from gcnface.result.reconstruction import Reconstruction
from gcnface.result.rendering import BACKGROUND, turntable

FPS = 30
STILL_PX, VIDEO_PX = 1024, 512
"""Sizes when none is asked for."""

_TRANSPARENT = "transparent"
"""Of JPEG and WebP; PNG has none."""


def render(options: RenderOptions) -> int:
    """Draw the face and write the files.

    Returns:
        The exit status 0.

    Raises:
        GcnfaceError: a file cannot be read or written, or the face does not know what is asked for.
    """
    reporter = Reporter(1, quiet=options.quiet, debug=options.debug)
    frames = max(2, round(options.seconds * FPS))
    try:
        with reporter.running(stages=2 + (frames if options.turntable else 0)):
            _render(options, reporter, frames)
    except GcnfaceError:
        raise
    except ValueError as error:
        raise GcnfaceError(f"{printable(options.face)}: {error}") from error
    return 0


def _render(options: RenderOptions, reporter: Reporter, frames: int) -> None:
    reporter.photo(options.face)
    reporter.stage("read")
    begin = time.perf_counter()
    face = _as_asked(read_npz(options.face), options)
    if options.output is not None:
        reporter.stage("draw")
        drawing = face.draw(options.size or STILL_PX, options.view)
        height, width = drawing.alpha.shape
        transparent = (options.background or _TRANSPARENT).lower() == _TRANSPARENT
        drawing.save(options.output, None if transparent else _background(options.background, (height, width)))
        _tell(reporter, options.face, options.output, f"{width} x {height} px", begin)
    if options.turntable is not None:
        begin = time.perf_counter()
        codec = write_video(options.turntable, _turning(face, options, reporter, frames), FPS)
        _tell(reporter, options.face, options.turntable, f"{frames} frames, {codec}", begin)


def _as_asked(face: Reconstruction, options: RenderOptions) -> Reconstruction:
    """The face in the light, pose and expression asked for."""
    follows = options.light_follows
    face = face.rotated(upright=options.view == "portrait", light_follows=follows).relit(options.light)
    face = face.with_expression(options.expression, neutral=options.neutral)
    return face.rotated(options.yaw, options.pitch, options.roll, light_follows=follows)


def _turning(
    face: Reconstruction, options: RenderOptions, reporter: Reporter, count: int
) -> Iterator[NDArray[np.float32]]:
    """The frames of the turntable."""
    size = options.size or VIDEO_PX
    hw = (size, size) if isinstance(size, int) else size
    behind = _background(options.background, hw)

    def on_frame(number: int) -> None:
        reporter.stage(f"frame {number} of {count}")

    for drawing in turntable(face, count, hw, light_follows=options.light_follows, on_frame=on_frame):
        yield drawing.over(behind)


def _background(text: str | None, hw: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W, 3) sRGB in [0, 1] of a colour's name or a picture, which is scaled and cut to height and width.

    Raises:
        GcnfaceError: neither a colour nor a picture that can be read.
    """
    try:
        rgb = tuple(value / 255 for value in ImageColor.getrgb(text)[:3]) if text else BACKGROUND
        return np.broadcast_to(np.asarray(rgb, np.float32), (*hw, 3))
    except ValueError as error:
        if not text or not Path(text).suffix:
            remedy = "give white, '#d8d4cc' or a picture"
            raise GcnfaceError(f"background {text!r} is neither a colour nor a file; {remedy}") from error
    pixels = cv2.convertScaleAbs(read_photo(text), alpha=255)
    fitted = ImageOps.fit(Image.fromarray(pixels), (hw[1], hw[0]), Image.Resampling.LANCZOS)
    return np.asarray(fitted, np.float32) / np.float32(255)


def _tell(reporter: Reporter, face: Path, path: Path, what: str, begin: float) -> None:
    reporter.result(f"{face} -> {path} ({what}), {time.perf_counter() - begin:.1f} s")
