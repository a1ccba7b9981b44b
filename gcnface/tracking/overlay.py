"""Tracked faces drawn on their frame: the curves of the 68 points, the head's axes, who it is."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from coarse.held_identity import PinholeCamera
from coarse.morphable import VIEW_FROM_CAM
from gcnface.dense.picture import AXIS_MM, AXIS_RGB, CURVES, HIDDEN_RGB, SEEN_RGB
from gcnface.photo.crop import shrunk
from gcnface.tracking.filters import matrix_of, of_rotation_vector
from gcnface.tracking.tracked_face import TrackedFace

LARGEST_SIDE_PX = 1280
"""A larger frame is drawn smaller."""

NOSE_TIP = 30
_DARK_RGB = (30, 30, 30)
_SHIFT = 4


def overlay(pixels: NDArray[np.uint8], faces: Sequence[TrackedFace], camera: PinholeCamera | None) -> NDArray[np.uint8]:
    """(h, w, 3) uint8: the frame with its faces; a lost one is a frame where it was seen last.

    Args:
        pixels: (H, W, 3) uint8 sRGB; stays as it is.
        faces: found in it, or lost.
        camera: of the video; None as long as there was no face.
    """
    scale = min(1.0, LARGEST_SIDE_PX / max(pixels.shape[:2]))
    picture = np.ascontiguousarray(shrunk(pixels, scale))
    picture = picture.copy() if np.shares_memory(picture, pixels) else picture
    for face in faces:
        pen = max(1.0, float(face.box[2:].sum() - face.box[:2].sum()) * scale / 300)
        if face.found and camera is not None:
            _draw_curves(picture, face.landmarks68[:, :2] * scale, pen)
            _draw_axes(picture, face, camera, scale, pen)
        else:
            (x0, y0), (x1, y1) = _fixed(face.box.reshape(2, 2) * scale).tolist()
            cv2.rectangle(picture, (x0, y0), (x1, y1), HIDDEN_RGB, max(1, round(pen)), cv2.LINE_AA, _SHIFT)
        _draw_name(picture, face, scale, pen)
    return picture


def _draw_curves(picture: NDArray[np.uint8], points: NDArray[np.float64], pen: float) -> None:
    """Lines between the points, in place."""
    curves = [(_fixed(points[first:last]), closed) for first, last, closed in CURVES]
    for rgb, width in ((_DARK_RGB, 1.8 * pen), (SEEN_RGB, 0.8 * pen)):
        for curve, closed in curves:
            cv2.polylines(picture, [curve], closed, rgb, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def _draw_axes(picture: NDArray[np.uint8], face: TrackedFace, camera: PinholeCamera, scale: float, pen: float) -> None:
    """The head's axes from the tip of the nose, the farthest one first, in place."""
    turn = matrix_of(of_rotation_vector(face.rotation)) * np.array(VIEW_FROM_CAM)[:, None]
    px_per_mm = camera.focal_px / face.translation[2]
    start = face.landmarks68[NOSE_TIP, :2]
    for axis in np.argsort(-turn[2]):
        line = np.stack([start, start + turn[:2, axis] * AXIS_MM * px_per_mm]) * scale
        for rgb, width in ((_DARK_RGB, 2.6 * pen), (AXIS_RGB[axis], 1.6 * pen)):
            cv2.polylines(picture, [_fixed(line)], False, rgb, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def _draw_name(picture: NDArray[np.uint8], face: TrackedFace, scale: float, pen: float) -> None:
    text = f"{face.id}" if face.found else f"{face.id} lost"
    x, y = (face.box[[0, 1]] * scale).astype(int) - (0, round(4 * pen))
    for rgb, width in ((_DARK_RGB, 3 * pen), (SEEN_RGB if face.found else HIDDEN_RGB, pen)):
        cv2.putText(
            picture, text, (int(x), int(y)), cv2.FONT_HERSHEY_SIMPLEX, 0.5 * pen, rgb, max(1, round(width)), cv2.LINE_AA
        )


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """OpenCV's fixed-point px, whose centers are whole numbers; far outside is cut to what it can count."""
    return np.clip(np.rint((points - 0.5) * 2**_SHIFT), -(2**26), 2**26).astype(np.int32)
