"""Where to look for a face that a detector found: crops of its points, of poses that explain it, and of its box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gcnface.photo.crop import TEMPLATE_POINTS5_PX, similarity_from_points, warp_points
from gcnface.photo.detection import Detection
from gcnface.stages.looks import crop_distance_px
from gcnface.stages.points_pose import HeadPoints, explain, from_box

Start = tuple[str, NDArray[np.float64]]
"""Where a crop comes from, and crop_from_photo (3, 3)."""

FRONTAL_MISFIT_PX, FRONTAL_SCORE = 12.0, 0.8
"""Five points that lie this near to the template, on the mean, may be those of a face that looks into the camera. With
30 % of the face beyond the edge they are off by 7 px, of profiles by 20 and more."""
EXPLANATIONS, AS_GOOD = 2, 0.25
"""Poses that are looked at, at most, and how much less the second may explain (`PointsPose.cost`)."""
ALIKE_PX = 6.0
"""Crops this near to each other are one."""
BOX_ROLLS_RAD = (0.0, 0.5 * np.pi, np.pi, 1.5 * np.pi)


def may_be_frontal(face: Detection) -> bool:
    """Whether the five points may be those of a face that looks into the camera, one that is cut by the edge too."""
    if coincide(face) or face.score < FRONTAL_SCORE:
        return False
    there = warp_points(face.points5, points_crop(face))
    return float(np.linalg.norm(there - TEMPLATE_POINTS5_PX, axis=1).mean()) < FRONTAL_MISFIT_PX


def other_crops(head: HeadPoints, face: Detection, rivals: Sequence[Detection]) -> list[Start]:
    """Where else a face may be than where its points put it.

    Crops of poses that explain points and box, of the points of other detections, and of frontal heads that fill the
    box, lying on any side; no two that are alike.
    """
    poses = explain(head, face)[:EXPLANATIONS]
    starts = [("pose", pose.crop_from_photo) for pose in poses if pose.cost < poses[0].cost + AS_GOOD]
    starts += [("rival", points_crop(rival)) for rival in rivals if not coincide(rival)]
    for roll in BOX_ROLLS_RAD:
        starts.append((f"box at {round(np.degrees(roll))} degrees", from_box(head, face, roll).crop_from_photo))
    kept: list[Start] = []
    for origin, crop in starts:
        if all(crop_distance_px(crop, other) > ALIKE_PX for _, other in kept):
            kept.append((origin, crop))
    return kept


def lies_in_box(face: Detection, start: Start) -> bool:
    """Whether the middle of a crop's features lies within the detector's box."""
    middle = warp_points(TEMPLATE_POINTS5_PX.mean(0, keepdims=True), np.asarray(np.linalg.inv(start[1]), np.float64))[0]
    return bool((middle > face.box[:2]).all() and (middle < face.box[2:]).all())


def points_crop(face: Detection) -> NDArray[np.float64]:
    """(3, 3) the crop that puts the five points on the template."""
    return similarity_from_points(face.points5, TEMPLATE_POINTS5_PX)


def coincide(face: Detection) -> bool:
    """Whether all five points are one, so that they ask for no crop."""
    return bool(np.ptp(face.points5, axis=0).max() < 1e-3)
