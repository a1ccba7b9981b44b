"""One picture turned in its plane, mirrored and resized, and the way back for points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gcnface.photo.crop import warp_image

AROUND = 0.75
"""How far a picture reaches from the middle of the face, in diagonals of its box."""


@dataclass(frozen=True)
class Variant:
    """A picture made of another.

    Attributes:
        kind: column of the table, "turned", "mirrored", "face of 40 px".
        picture: (S, S, 3) float32.
        variant_from_own: (3, 3) takes px of the other picture to its own.
        mirrored: whether right and left are exchanged.
    """

    kind: str
    picture: NDArray[np.float32]
    variant_from_own: NDArray[np.float64]
    mirrored: bool = False

    def back(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points (N, 2) of this picture in px of the other."""
        own = np.linalg.inv(self.variant_from_own)
        return np.asarray(points @ own[:2, :2].T + own[:2, 2])

    def box_of(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(4,) box here of points (N, 2) of the other picture."""
        here = points @ self.variant_from_own[:2, :2].T + self.variant_from_own[:2, 2]
        return np.concatenate([here.min(0), here.max(0)])


def varied(
    picture: NDArray[np.float32], points: NDArray[np.floating], turns_deg: Sequence[float], sizes_px: Sequence[int]
) -> Iterator[Variant]:
    """A picture (H, W, 3) turned about the face by each angle, mirrored, and with the face as large as each size.

    Args:
        picture: (H, W, 3) float32 sRGB.
        points: (N, 2) px, of the face.
        turns_deg: counter-clockwise.
        sizes_px: sides of a square with the area of the face's box.
    """
    low, high = points.min(0).astype(np.float64), points.max(0).astype(np.float64)
    middle, own_px = (low + high) / 2, float(np.sqrt(np.prod(high - low)))
    reach = AROUND * float(np.linalg.norm(high - low))
    for angle in turns_deg:
        radians = np.radians(angle)
        yield _drawn("turned", picture, middle, reach, np.array(
            [[np.cos(radians), np.sin(radians)], [-np.sin(radians), np.cos(radians)]]
        ))  # fmt: skip
    flip = np.array([[-1.0, 0, picture.shape[1]], [0, 1, 0], [0, 0, 1]])
    yield Variant("mirrored", np.ascontiguousarray(picture[:, ::-1]), flip, mirrored=True)
    for size in sizes_px:
        yield _drawn(f"face of {size} px", picture, middle, reach, np.eye(2) * size / own_px)


def _drawn(
    kind: str, picture: NDArray[np.float32], middle: NDArray[np.float64], reach: float, matrix: NDArray[np.float64]
) -> Variant:
    """What lies within reach of a point, through a linear map (2, 2); the picture's border repeats beyond it."""
    side = int(np.ceil(2 * reach * np.sqrt(abs(np.linalg.det(matrix)))))
    here = np.eye(3)
    here[:2, :2] = matrix
    here[:2, 2] = side / 2 - matrix @ middle
    return Variant(kind, warp_image(picture, here, (side, side)), here)
