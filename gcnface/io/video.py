"""Videos out: MP4 in the first codec that this OpenCV has and players know, read back before it appears."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gcnface.errors import OutputError
from gcnface.io.atomic import staged

CODECS = ("avc1", "vp09", "mp4v")
"""H.264 plays everywhere, but few builds of OpenCV may encode it; VP9 plays in all browsers, in VLC and on Windows;
MPEG-4 part 2 in VLC and QuickTime only."""


def write_video(path: Path, frames: Iterable[NDArray[np.float32]], fps: float) -> str:
    """Write frames as an MP4 file, which appears whole or not at all.

    Args:
        path: of the .mp4.
        frames: (H, W, 3) sRGB in [0, 1], all of one size; an odd last row or column is left out, as codecs demand.
        fps: frames a second.

    Returns:
        The codec, one of `CODECS`.

    Raises:
        OutputError: the folder cannot be written to, there is no codec, or what was written cannot be read back.
        ValueError: there is no frame, or fps is not positive.
    """
    if not fps > 0:
        raise ValueError(f"fps is {fps}; expected a positive number")
    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        raise ValueError("frames is empty; expected at least one frame")
    with staged(path.parent) as stage, quiet_opencv():
        codec, writer = open_writer(stage / path.name, path, fps, _pixels(first).shape[:2])
        count = 1
        try:
            writer.write(_pixels(first))
            for frame in stream:
                writer.write(_pixels(frame))
                count += 1
        finally:
            writer.release()
        _check(stage / path.name, path, count, _pixels(first).shape[:2])
    return codec


def open_writer(file: Path, path: Path, fps: float, hw: tuple[int, int]) -> tuple[str, cv2.VideoWriter]:
    """The first codec that works, and the writer of `file`; `path` is what errors name."""
    for codec in CODECS:
        writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*codec), fps, hw[::-1])
        if writer.isOpened():
            return codec, writer
        writer.release()
        file.unlink(missing_ok=True)
    raise OutputError(path, "cannot be written: this OpenCV encodes no MP4 video", "pip install opencv-python")


def _check(file: Path, path: Path, count: int, hw: tuple[int, int]) -> None:
    """Read the file back: as many frames as were written, of their size."""
    reader = cv2.VideoCapture(str(file))
    read, size = 0, None
    while True:
        good, frame = reader.read()
        if not good:
            break
        read, size = read + 1, frame.shape[:2]
    reader.release()
    if read != count or size != hw:
        what = f"was written wrongly ({read} of {count} frames can be read back)"
        raise OutputError(path, what, "check the free space on the disk")


def _pixels(rgb: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 in OpenCV's order, of even height and width."""
    height, width = (side - side % 2 for side in rgb.shape[:2])
    pixels = np.rint(np.clip(rgb[:height, :width, ::-1], 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(pixels)


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep what OpenCV and FFmpeg say of codecs they lack to themselves; FFmpeg's level is read on its first use."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
