"""When to look for faces in a whole frame, and the look itself."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from gcnface.photo.crop import shrunk
from gcnface.photo.detection import Detection, FaceDetector
from gcnface.photo.yunet_network import YunetNetwork

SEARCH_SIDE_PX = 480
"""Longer side of the frame in which faces are sought."""

LEAST_SCORE = 0.7
"""Of the detector, of a face that is new."""

CUT = 28.0
"""Mean difference of two frames' thumbnails, of 255, at which another scene has begun; moving people make 2 to 15."""

_THUMBNAIL_WH = (32, 18)


class QuickDetector:
    """One look of YuNet at a frame: the next frame comes soon."""

    @cached_property
    def _network(self) -> YunetNetwork:
        return YunetNetwork()

    def detect(self, photo: NDArray[np.float32]) -> list[Detection]:
        """Faces in a photo (H, W, 3), sRGB in [0, 1], the largest first."""
        found = self._network(np.rint(photo.clip(0, 1) * 255).astype(np.uint8), LEAST_SCORE)
        faces = [Detection(f.box.astype(np.float32), f.score, f.points5.astype(np.float32)) for f in found]
        return sorted(faces, key=lambda face: -face.area)


class FrameFinder:
    """Finds faces in frames (H, W, 3) uint8.

    Args:
        detector: None makes one that takes a single look.
    """

    def __init__(self, detector: FaceDetector | None = None) -> None:
        self._detector = detector or QuickDetector()
        self._thumbnail: NDArray[np.float32] | None = None

    def find(self, pixels: NDArray[np.uint8]) -> list[Detection]:
        """Faces in px of the frame, the largest first."""
        small = shrunk(pixels, SEARCH_SIDE_PX / max(pixels.shape[:2]))
        across = np.array([pixels.shape[1] / small.shape[1], pixels.shape[0] / small.shape[0]])
        found = self._detector.detect(small.astype(np.float32) / np.float32(255))
        return [_scaled(face, across) for face in found]

    def is_cut(self, pixels: NDArray[np.uint8]) -> bool:
        """Whether the frame is of another scene than the one before."""
        before = self._thumbnail
        small = np.asarray(cv2.resize(pixels[::4, ::4], _THUMBNAIL_WH, interpolation=cv2.INTER_AREA), np.float32)
        self._thumbnail = small
        return before is not None and float(np.abs(before - small).mean()) > CUT


def _scaled(face: Detection, across: NDArray[np.float64]) -> Detection:
    box = (face.box.reshape(2, 2) * across).astype(np.float32).ravel()
    return Detection(box, face.score, (face.points5 * across).astype(np.float32))
