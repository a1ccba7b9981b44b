"""Videos and cameras in, frame by frame with their times, turned upright as the file says; read by OpenCV."""

from __future__ import annotations

import math
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gcnface.errors import VideoError
from gcnface.io.video import quiet_opencv

USUAL_FPS = 30.0
"""Where a video does not tell."""

_SANE_FPS = (1.0, 1000.0)
_MOST_FRAMES = 10**8


@dataclass(frozen=True)
class VideoFrame:
    """A frame.

    Attributes:
        pixels: (H, W, 3) uint8 sRGB.
        seconds: from the first frame on.
    """

    pixels: NDArray[np.uint8] = field(repr=False)
    seconds: float


@dataclass(frozen=True)
class Video:
    """An open video or camera.

    Attributes:
        name: as the user gave it, "camera 0" of a camera.
        is_camera: it has no end, and its times are those of the clock.
        fps: frames a second, as told.
        count: of frames, as told; None where that is not known.
    """

    name: str
    is_camera: bool
    fps: float
    count: int | None
    _capture: cv2.VideoCapture = field(repr=False)

    def frames(self) -> Iterator[VideoFrame]:
        """The frames in order, their times growing; of variable rates too.

        Raises:
            VideoError: there is none.
        """
        begin, last = time.monotonic(), -math.inf
        first: float | None = None
        while True:
            good, bgr = self._capture.read()
            if not good or bgr is None:
                break
            now = time.monotonic() - begin if self.is_camera else self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            first = now if first is None else first
            seconds = now - first
            if not seconds > last:  # some files tell no times
                seconds = 0.0 if math.isinf(last) else last + 1 / self.fps
            last = seconds
            yield VideoFrame(_rgb(bgr), seconds)
        if first is None:
            raise _no_frames(self)


@contextmanager
def open_video(source: str | Path) -> Iterator[Video]:
    """A video file, or the camera whose number is given ("0").

    Raises:
        VideoError: there is no such file or camera, or it is none that OpenCV can read.
    """
    text = str(source)
    is_camera = re.fullmatch(r"\d{1,3}", text) is not None and not Path(text).exists()
    if not is_camera:
        _check_file(Path(text))
    with quiet_opencv():
        capture = cv2.VideoCapture(int(text)) if is_camera else cv2.VideoCapture(text, cv2.CAP_FFMPEG)
        try:
            if not capture.isOpened():
                raise _cannot_open(text, is_camera)
            fps = float(capture.get(cv2.CAP_PROP_FPS))
            fps = fps if _SANE_FPS[0] <= fps <= _SANE_FPS[1] else USUAL_FPS
            count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
            known = round(count) if not is_camera and 0 < count < _MOST_FRAMES else None
            yield Video(f"camera {text}" if is_camera else text, is_camera, fps, known, capture)
        finally:
            capture.release()


def read_video(source: str | Path) -> Iterator[tuple[NDArray[np.uint8], float]]:
    """Frames (H, W, 3) uint8 sRGB of a video file or a camera, and their seconds.

    Args:
        source: a path, or the number of a camera as a text ("0").

    Raises:
        VideoError: there is no such file or camera, it cannot be read, or it has no frame.

    Example:
        >>> import gcnface
        >>> next(gcnface.read_video("missing.mp4"))
        Traceback (most recent call last):
        ...
        render.errors.VideoError: missing.mp4: no such file; check the path, or give the number of a camera
    """
    with open_video(source) as video:
        for frame in video.frames():
            yield frame.pixels, frame.seconds


def _check_file(path: Path) -> None:
    """Raise VideoError unless it is a file; what is none is not opened, since a pipe would be waited for."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise VideoError(path, "is no file", "give a video file, or the number of a camera")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise VideoError(path, "no such file", "check the path, or give the number of a camera") from None
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise VideoError(path, f"cannot be opened ({what})", "check the path and the permissions") from None


def _cannot_open(text: str, is_camera: bool) -> VideoError:
    if is_camera:
        return VideoError(f"camera {text}", "cannot be opened", "connect one, or give another number: 0 is the first")
    return VideoError(text, "is no video that can be read", "convert it, for example to MP4 with H.264")


def _no_frames(video: Video) -> VideoError:
    if video.is_camera:
        return VideoError(video.name, "gives no picture", "see that no other program uses it")
    return VideoError(video.name, "has no frame that can be read", "convert it, for example to MP4 with H.264")


def _rgb(bgr: NDArray) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of what OpenCV gives, grey and 16 bits included."""
    if bgr.dtype == np.uint16:
        bgr = (bgr >> 8).astype(np.uint8)
    code = cv2.COLOR_GRAY2RGB if bgr.ndim == 2 else cv2.COLOR_BGRA2RGB if bgr.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(bgr, code)  # type: ignore[return-value]
