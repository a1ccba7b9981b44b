"""The points of one face by everything here that finds points: the rows of tables of landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from coarse.records import CoarseFace
from gcnface.photo.crop import WINDOW_FROM_CROP, warp_points
from gcnface.photo.detection import Detection
from gcnface.stages.coarse import Stopwatch
from gcnface.stages.face import FaceStages
from gcnface.stages.records import FittedFace

ROWS = ("align", "regressor", "fit")
"""The position map (`gcnface align`), the regressor alone, and the fit to the photo (`gcnface refine`)."""


@dataclass(frozen=True)
class FacePoints:
    """Where the points of a face lie in its photo.

    Attributes:
        points68: (68, 2) px.
        points468: (468, 2) px.
    """

    points68: NDArray[np.float32]
    points468: NDArray[np.float32]


@torch.no_grad()
def points_of_face(stages: FaceStages, photo: NDArray[np.float32], face: Detection) -> dict[str, FacePoints]:
    """The points by row of `ROWS`; "fit" is the regressor's answer where none is made, "align" missing without a map.

    Args:
        stages: of the reconstruction.
        photo: (H, W, 3) float32 sRGB in [0, 1].
        face: found in it.
    """
    view = stages.fit_face(photo, face, Stopwatch())
    alone = stages.coarse.regressed(view.image, view.maps, view.tone)
    found = {"regressor": _of_coarse(stages, view, alone), "fit": _of_coarse(stages, view, view.coarse)}
    mapped = _of_map(stages, view)
    return found if mapped is None else {"align": mapped, **found}


def _of_map(stages: FaceStages, view: FittedFace) -> FacePoints | None:
    """Read from the position map of the crop that the face was aligned to."""
    if view.alignment is None or stages.aligner is None:
        return None
    layout, maps = stages.aligner.viewer.layout, view.alignment.position_map.float().cpu()
    photo_from_window = np.asarray(np.linalg.inv(WINDOW_FROM_CROP @ view.crop.crop_from_photo), np.float64)
    both = (layout.landmarks68(maps), layout.landmarks468(maps))
    return FacePoints(*(warp_points(points[0, :, :2].numpy(), photo_from_window) for points in both))


def _of_coarse(stages: FaceStages, view: FittedFace, coarse: CoarseFace) -> FacePoints:
    """Of a posed morphable face."""
    morphable, c = stages.coarse.morphable, coarse.coefficients
    both = (morphable.landmarks68_cam(c), morphable.landmarks_cam(c))
    return FacePoints(*(view.camera.project(points.cpu())[0, :, :2].numpy() for points in both))
