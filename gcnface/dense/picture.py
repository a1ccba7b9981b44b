"""NAME_overlay.png of an alignment: the 68 points and the head's axes drawn on the photo."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gcnface.photo.crop import shrunk

LARGEST_SIDE_PX = 1600
"""A larger photo is drawn smaller."""

AXIS_MM = 70.0
"""Length of the drawn axes; about the distance from the tip of the nose to the chin."""

AXIS_RGB = ((230, 60, 60), (70, 200, 80), (70, 120, 255))
"""Of x (viewer's right), y (up) and z (out of the face) of the head."""

SEEN_RGB, HIDDEN_RGB = (255, 255, 255), (255, 150, 40)
"""Of points that are seen in the photo, and of those the face hides."""

CURVES = ((0, 17, False), (17, 22, False), (22, 27, False), (27, 31, False), (31, 36, False), (36, 42, True),
          (42, 48, True), (48, 60, True), (60, 68, True))  # fmt: skip
"""First and past-the-last of the 68 points on a curve, and whether it is closed."""

_SHIFT = 4
"""Binary places of OpenCV's coordinates."""


def pose_picture(
    photo: NDArray[np.float32], points: NDArray, seen: NDArray[np.bool_], photo_from_model: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """(h, w, 3) sRGB: the photo with points, their curves and the axes from the tip of the nose.

    Args:
        photo: (H, W, 3) sRGB in [0, 1].
        points: (68, 3) px.
        seen: (68,) which of them are seen.
        photo_from_model: (3, 4) of the head's pose.
    """
    height, width = photo.shape[:2]
    scale = min(1.0, LARGEST_SIDE_PX / max(height, width))
    picture = np.rint(np.clip(shrunk(photo, scale), 0, 1) * 255).astype(np.uint8)
    pen = max(1.0, float(np.ptp(points[:, 0]) + np.ptp(points[:, 1])) * scale / 300)
    xy = points[:, :2] * scale
    _draw_curves(picture, xy, seen, pen)
    _draw_axes(picture, xy[30], photo_from_model[:, :3] * AXIS_MM, scale, pen)
    return picture


def _draw_curves(picture: NDArray[np.uint8], points: NDArray, seen: NDArray[np.bool_], pen: float) -> None:
    """Dots and the lines between them, in place."""
    for first, last, closed in CURVES:
        order = [*range(first, last), first] if closed else list(range(first, last))
        for start, end in zip(order[:-1], order[1:], strict=True):
            color = SEEN_RGB if seen[start] and seen[end] else HIDDEN_RGB
            _line(picture, points[start], points[end], color, pen * 0.6)
    for point, visible in zip(points, seen, strict=True):
        color = SEEN_RGB if visible else HIDDEN_RGB
        cv2.circle(picture, _fixed(point), round(1.6 * pen * 2**_SHIFT), (30, 30, 30), -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(picture, _fixed(point), round(1.1 * pen * 2**_SHIFT), color, -1, cv2.LINE_AA, _SHIFT)


def _draw_axes(picture: NDArray[np.uint8], start: NDArray, directions: NDArray, scale: float, pen: float) -> None:
    """The head's axes (its columns) from the tip of the nose, the one that points farthest away first, in place."""
    for axis in np.argsort(-directions[2]):
        end = start + directions[:2, axis] * scale
        for color, width in (((30, 30, 30), 2.6 * pen), (AXIS_RGB[axis], 1.6 * pen)):
            _line(picture, start, end, color, width)


def _line(picture: NDArray[np.uint8], start: NDArray, end: NDArray, rgb: tuple[int, ...], width: float) -> None:
    cv2.line(picture, _fixed(start), _fixed(end), rgb, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def _fixed(point: NDArray) -> tuple[int, int]:
    """OpenCV's fixed-point px, whose centres are whole numbers; far outside is cut to what it can count."""
    x, y = np.clip(np.rint((point - 0.5) * 2**_SHIFT), -(2**26), 2**26).astype(int).tolist()
    return x, y
