"""Videos out frame by frame, each at its own time: H.264 by PyAV where it is installed, else by OpenCV at one rate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from gcnface.errors import OutputError
from gcnface.io.video import open_writer, quiet_opencv

TICKS = 90_000
"""A second, as MP4 counts."""

LARGEST_PAUSE_S = 10.0
"""Longer ones between two frames are cut short where frames are repeated to fill them."""

_QUALITY = {"preset": "veryfast", "crf": "21"}


class FrameWriter(Protocol):
    """Takes the frames of a video."""

    codec: str

    def write(self, pixels: NDArray[np.uint8], seconds: float) -> None:
        """A frame (H, W, 3) uint8 sRGB at a time, which grows from frame to frame."""
        ...


@contextmanager
def frame_writer(file: Path, path: Path, fps: float, hw: tuple[int, int]) -> Iterator[FrameWriter]:
    """A writer of an MP4 file of even height and width (an odd last row or column is left out).

    Args:
        file: where it is written.
        path: where it will lie: what errors name.
        fps: frames a second, about.
        hw: size of the frames.

    Raises:
        OutputError: nothing here encodes videos, or the file cannot be read back.
    """
    even = (hw[0] - hw[0] % 2, hw[1] - hw[1] % 2)
    writer = _made(file, path, fps, even)
    try:
        yield writer
    finally:
        writer.close()
    _check(file, path)


def _made(file: Path, path: Path, fps: float, hw: tuple[int, int]) -> _PyavWriter | _OpencvWriter:
    try:
        import av
    except ImportError:
        return _OpencvWriter(file, path, fps, hw)
    return _PyavWriter(av, file, fps, hw)


class _PyavWriter:
    """H.264 with the frames' own times."""

    codec = "h264"

    def __init__(self, av: Any, file: Path, fps: float, hw: tuple[int, int]) -> None:  # noqa: ANN401
        self._av, self._hw, self._last = av, hw, -1
        self._container = av.open(str(file), "w", format="mp4")
        self._stream = self._container.add_stream(
            "libx264", rate=Fraction(fps).limit_denominator(1001), options=_QUALITY
        )
        self._stream.height, self._stream.width = hw
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, TICKS)

    def write(self, pixels: NDArray[np.uint8], seconds: float) -> None:
        """A frame at its time."""
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[: self._hw[0], : self._hw[1]]), "rgb24")
        self._last = max(round(seconds * TICKS), self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, TICKS)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what is left."""
        if self._last >= 0:
            self._container.mux(self._stream.encode())
        self._container.close()


class _OpencvWriter:
    """Frames at one rate: each is repeated or left out so that it stands at its time."""

    def __init__(self, file: Path, path: Path, fps: float, hw: tuple[int, int]) -> None:
        self._fps, self._hw, self._count, self._skipped_s = fps, hw, 0, 0.0
        self._before: NDArray[np.uint8] | None = None
        with quiet_opencv():
            self.codec, self._writer = open_writer(file, path, fps, hw)

    def write(self, pixels: NDArray[np.uint8], seconds: float) -> None:
        """A frame at about its time; the one before stands until then."""
        image = np.ascontiguousarray(pixels[: self._hw[0], : self._hw[1], ::-1])
        pause = seconds - self._skipped_s - self._count / self._fps
        self._skipped_s += max(pause - LARGEST_PAUSE_S, 0.0)
        place = round((seconds - self._skipped_s) * self._fps)
        while self._before is not None and self._count < place:
            self._put(self._before)
        if self._count <= place:
            self._put(image)
        self._before = image

    def _put(self, image: NDArray[np.uint8]) -> None:
        self._writer.write(image)
        self._count += 1

    def close(self) -> None:
        """Write what is left."""
        self._writer.release()


def _check(file: Path, path: Path) -> None:
    """Raise OutputError unless the file has a frame that can be read back."""
    with quiet_opencv():
        reader = cv2.VideoCapture(str(file))
        good = reader.read()[0]
        reader.release()
    if not good:
        raise OutputError(path, "was written wrongly (it cannot be read back)", "check the free space on the disk")
