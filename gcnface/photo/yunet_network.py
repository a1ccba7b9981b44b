"""YuNet as OpenCV runs it: a picture in, boxes, scores and five points out.

Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector" (Machine Intelligence Research 20): anchor-free heads on
strides of 8, 16 and 32 px; a score is the root of class times objectness. It was trained for faces of 10 to 300 px.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

from coarse.weights import weights_file
from render.errors import WeightsError

SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"

_WHAT, _REMEDY = "YuNet weights", "reinstall gcnface, whose assets hold them"
_NMS, _MOST_FACES = 0.3, 5000
_ERRORS = 2
"""OpenCV's level of messages at which only errors are printed."""


@dataclass(frozen=True)
class Found:
    """One answer of the network.

    Attributes:
        box: (4,) float64 x0, y0, x1, y1 in px of the picture.
        points5: (5, 2) float64 px: image-left eye, image-right eye, nose tip, image-left and image-right mouth corner.
        score: in [0, 1].
    """

    box: NDArray[np.float64]
    points5: NDArray[np.float64]
    score: float

    @property
    def center(self) -> NDArray[np.float64]:
        """(2,) px of the picture."""
        return (self.box[:2] + self.box[2:]) / 2

    @property
    def size(self) -> float:
        """Root of the box's area, px of the picture."""
        return float(np.sqrt(np.prod(self.box[2:] - self.box[:2])))


class YunetNetwork:
    """The network, loaded from its file; several threads may call it, one after the other.

    Args:
        path: its ONNX file; None reads the shipped one.

    Raises:
        WeightsError: the file is missing or another one.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = Lock()
        if path is not None:
            self._network = _read(path)
        else:
            with as_file(files("gcnface") / "assets" / "face_detection_yunet.onnx") as shipped:
                self._network = _read(shipped)

    def __call__(self, image: NDArray[np.uint8], least_score: float) -> list[Found]:
        """What is found in a picture (H, W, 3) uint8 RGB, the highest score first."""
        bgr = np.ascontiguousarray(image[:, :, ::-1])
        with self._lock:
            self._network.setInputSize(bgr.shape[1::-1])
            self._network.setScoreThreshold(least_score)
            rows = self._network.detect(bgr)[1]
        rows = np.zeros((0, 15)) if rows is None else rows[np.isfinite(rows).all(1)].astype(np.float64)
        order = np.argsort(-rows[:, 14], kind="stable")
        return [
            Found(np.concatenate([row[:2], row[:2] + row[2:4]]), row[4:14].reshape(5, 2), float(row[14]))
            for row in rows[order]
        ]


def _read(path: Path) -> cv2.FaceDetectorYN:
    with weights_file(path, _WHAT, _REMEDY):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != SHA256:
            raise WeightsError(path, f"is not the file of {_WHAT}: sha256 is {digest}, not {SHA256}", _REMEDY)
        with _quiet_opencv():
            return cv2.FaceDetectorYN.create(str(path), "", (32, 32), nms_threshold=_NMS, top_k=_MOST_FACES)


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Without OpenCV 5's warning that its new engine knows one target only."""
    log = getattr(cv2.utils, "logging", cv2)  # OpenCV 4 has the same two functions at its top
    before = log.getLogLevel()
    log.setLogLevel(_ERRORS)
    try:
        yield
    finally:
        log.setLogLevel(before)
