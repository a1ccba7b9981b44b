"""What a detector says of a photo, and how one is made by its name."""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gcnface.errors import NoFaceError
from gcnface.photo.registry import DETECTORS, USUAL_DETECTOR

SMALLEST_PHOTO_PX = 32
"""Side of the smallest photo."""


@dataclass(frozen=True)
class Detection:
    """A face in a photo.

    Attributes:
        box: (4,) float32 x0, y0, x1, y1 in photo px.
        score: confidence in [0, 1].
        points5: (5, 2) float32 photo px: image-left eye, image-right eye, nose tip, image-left and image-right mouth
            corner ("image-left" as the face itself sees it upright).

    Example:
        >>> import gcnface
        >>> face = gcnface.Detection(np.array([10, 20, 110, 140], np.float32), 0.99, np.zeros((5, 2), np.float32))
        >>> face.area, face.moved(5, 0).box.tolist()
        (12000.0, [15.0, 20.0, 115.0, 140.0])
    """

    box: NDArray[np.float32]
    score: float
    points5: NDArray[np.float32]

    def moved(self, dx: float, dy: float) -> Detection:
        """The same elsewhere in the photo, px."""
        shift = np.array([dx, dy], np.float32)
        return replace(self, box=self.box + np.tile(shift, 2), points5=self.points5 + shift)

    @property
    def roll_rad(self) -> float:
        """How far the head leans counter-clockwise in the photo, by the axis from the eyes to the mouth; -pi..pi."""
        down = self.points5[3:].mean(0) - self.points5[:2].mean(0)
        return float(np.arctan2(down[0], down[1]))

    @property
    def area(self) -> float:
        """Area of the box in square px of the photo."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


def overlap(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Intersection over union of two boxes (4,) x0, y0, x1, y1."""
    sides = (np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(0)
    common = float(np.prod(sides))
    return common / max(float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - common, 1e-9)


class FaceDetector(Protocol):
    """Whatever finds faces; hand it to `gcnface.Reconstructor`, `gcnface.DenseAligner` or `gcnface.Flattener`.

    Example:
        >>> import gcnface
        >>> class Blind:
        ...     def detect(self, photo: np.ndarray) -> list[gcnface.Detection]:
        ...         return []
        >>> gcnface.Reconstructor(detector=Blind())(gcnface.read_photo("examples/portrait.jpg"))
        []
    """

    def detect(self, photo: NDArray[np.float32]) -> list[Detection]:
        """Faces in a photo (H, W, 3), sRGB in [0, 1], the largest first; an empty list when there is none."""
        ...


def make_detector(name: str | None = None) -> FaceDetector:
    """A detector of `gcnface.photo.registry.DETECTORS`; None makes the usual one.

    Raises:
        ValueError: there is none of that name.
    """
    name = name or USUAL_DETECTOR
    if name not in DETECTORS:
        raise ValueError(f"{name!r} is no detector; choose one of {', '.join(DETECTORS)}")
    return pkgutil.resolve_name(DETECTORS[name])()  # type: ignore[no-any-return]


def no_face(
    name: str | Path, photo: NDArray[np.float32], remedy: str = "try a larger or more frontal picture of the whole face"
) -> NoFaceError:
    """What to say of a photo (H, W, 3) in which no face is found."""
    height, width = photo.shape[:2]
    if min(height, width) < SMALLEST_PHOTO_PX:
        what = f"shows no face that can be found in {width} x {height} px"
        return NoFaceError(name, what, f"give a picture of {SMALLEST_PHOTO_PX} px or more a side")
    return NoFaceError(name, "shows no face that can be found", remedy)
