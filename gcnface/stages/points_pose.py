"""A head's pose from what a detector says: five points and a box, through a weak-perspective camera.

The five points of a profile nearly coincide, so a similarity from them to a frontal template rolls at the least error;
as points of a head in space they say that it is turned, and how it stands. The mean head is posed so that its five
points and the box around it lie where the detector saw them, each believed as far as detectors are right; several
starts find several explanations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from coarse.face_model import LANDMARKS5_FROM_468
from coarse.morphable import VIEW_FROM_CAM
from gcnface.photo.crop import head_similarity
from gcnface.photo.detection import Detection

POINT_SHARE, BOX_SHARE, PITCH_RAD = 0.05, 0.06, 0.45
"""What is believed: a point to this share of the box's side, an edge of the box to this, and pitch to this angle. On
frontal portraits MTCNN's points are off by 0.01 and its edges by 0.02 to 0.04, on profiles by 0.06 to 0.11."""
HAIRLINE_MM = 20.0
"""Detectors' boxes reach this far above the 468-point mesh, and else as far as it does (within 3 % of its size)."""
STEPS = 10
START_YAWS_RAD = (-1.0, 0.0, 1.0)
ALIKE = 0.02
"""Explanations whose points lie nearer to each other, in sides of the box, are one."""
_TOP = (10, 109, 338, 67, 297, 103, 332)
_NUDGE = 1e-4
_DAMPING = 1e-3


@dataclass(frozen=True)
class HeadPoints:
    """Of the mean head, mm in model space.

    Attributes:
        five: (5, 3) in the order of `Detection.points5`.
        outline: (N, 3) corners of what a detector's box encloses.
    """

    five: NDArray[np.float64]
    outline: NDArray[np.float64]

    def before_camera(self) -> HeadPoints:
        """The same from the outline's middle, x right, y down, z away from the viewer."""
        middle = (self.outline.max(0) + self.outline.min(0)) / 2
        return HeadPoints((self.five - middle) * VIEW_FROM_CAM, (self.outline - middle) * VIEW_FROM_CAM)


@dataclass(frozen=True)
class PointsPose:
    """One explanation of a detection.

    Attributes:
        five: (5, 3) photo px, z in the same, away: where the posed head's five points lie.
        rotation: (3, 3) proper, from model axes to x right, y down, z away from the camera.
        cost: how little it explains: 0 for all as it should be, 0.7 for all as far off as is believed.
    """

    five: NDArray[np.float64]
    rotation: NDArray[np.float64]
    cost: float

    @property
    def crop_from_photo(self) -> NDArray[np.float64]:
        """(3, 3) the similarity that sets the explained head upright on the template."""
        return head_similarity(self.five, self.rotation)


def head_points(landmarks: NDArray[np.floating]) -> HeadPoints:
    """The five points and the outline of a head of which the landmarks (468, 3) mm are known; a hairline is added."""
    landmarks = landmarks.astype(np.float64)
    hairline = landmarks[list(_TOP)] + (0.0, HAIRLINE_MM, -HAIRLINE_MM / 2)
    around = np.concatenate([landmarks, hairline])
    around = around[ConvexHull(around).vertices]
    five = np.stack([landmarks[list(index)].mean(0) for index in LANDMARKS5_FROM_468])
    return HeadPoints(five, around)


def from_box(head: HeadPoints, detection: Detection, roll_rad: float) -> PointsPose:
    """A frontal head that fills the box, its points not believed.

    Args:
        head: the mean head.
        detection: its box, photo px.
        roll_rad: how the face lies in the photo: 0 upright, positive clockwise as seen.
    """
    turn = Rotation.from_rotvec((0.0, 0.0, roll_rad)).as_matrix()
    centered = head.before_camera()
    around, five = centered.outline @ turn.T, centered.five @ turn.T
    low, high = around.min(0), around.max(0)
    scale = np.sqrt(max(detection.area, 1e-6) / np.prod((high - low)[:2]))
    middle = np.append(detection.box.astype(np.float64).reshape(2, 2).mean(0), 0.0)
    return PointsPose(middle + scale * (five - (low + high) / 2), turn @ np.diag(VIEW_FROM_CAM), 1.0)


def explain(head: HeadPoints, detection: Detection) -> list[PointsPose]:
    """Poses of the mean head that explain a detection, the best first, one of each kind (`ALIKE`).

    Args:
        head: the mean head.
        detection: its points and box, photo px.
    """
    frame = _Frame(head, detection)
    found: list[PointsPose] = []
    for pose in sorted(frame.explanations(), key=lambda pose: pose.cost):
        apart = [np.linalg.norm((pose.five - other.five)[:, :2], axis=1).mean() / frame.side for other in found]
        if min(apart, default=1.0) > ALIKE:
            found.append(pose)
    return found


class _Frame:
    """Residuals of poses of the head in the units of one detection: its box has side 1 and its middle at 0.

    A pose is six numbers: the logarithm of the scale, a rotation vector, and where the head's middle lies.
    """

    def __init__(self, head: HeadPoints, detection: Detection) -> None:
        box = detection.box.astype(np.float64)
        self.side = float(np.sqrt(max(detection.area, 1e-6)))
        self.middle = (box[:2] + box[2:]) / 2
        self.box = ((box.reshape(2, 2) - self.middle) / self.side).ravel()
        self.seen = (detection.points5.astype(np.float64) - self.middle) / self.side
        size = float(np.sqrt(np.prod(np.ptp(head.outline[:, :2], axis=0))))
        centered = head.before_camera()
        self.five, self.outline = centered.five / size, centered.outline / size

    def explanations(self) -> list[PointsPose]:
        """One a start, in no order."""
        down = self.seen[3:].mean(0) - self.seen[:2].mean(0)
        roll = Rotation.from_rotvec((0.0, 0.0, float(np.arctan2(-down[0], down[1]))))
        starts = [(roll * Rotation.from_rotvec((0.0, -yaw, 0.0))).as_rotvec() for yaw in START_YAWS_RAD]
        poses = self._descended(np.pad(np.array(starts), ((0, 0), (1, 2))))
        rotation, cost = Rotation.from_rotvec(poses[:, 1:4]).as_matrix(), _cost(self._residuals(poses))
        five = self._posed(self.five, poses) * self.side + np.append(self.middle, 0.0)
        return [PointsPose(*row) for row in zip(five, rotation @ np.diag(VIEW_FROM_CAM), cost.tolist(), strict=True)]

    def _descended(self, poses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Poses (B, 6) after damped Gauss-Newton steps on all residuals, far ones weighed less (Cauchy)."""
        damping, now = np.full(len(poses), _DAMPING), self._residuals(poses)
        for _ in range(STEPS):
            nudged = (poses[:, None] + _NUDGE * np.eye(6)).reshape(-1, 6)
            moved = self._residuals(nudged).reshape(len(poses), 6, -1)
            slope, weight = (moved - now[:, None]) / _NUDGE, 1 / (1 + now**2)
            normal = np.einsum("bir,br,bjr->bij", slope, weight, slope) + damping[:, None, None] * np.eye(6)
            step = np.linalg.solve(normal, np.einsum("bir,br,br->bi", slope, weight, -now)[..., None])[..., 0]
            tried = poses + np.clip(step, -0.5, 0.5)
            then = self._residuals(tried)
            better = _cost(then) < _cost(now)
            poses, now = np.where(better[:, None], tried, poses), np.where(better[:, None], then, now)
            damping = np.where(better, damping / 4, damping * 8)
        return poses

    def _residuals(self, poses: NDArray[np.float64]) -> NDArray[np.float64]:
        """(B, 15) of poses (B, 6): points, edges and pitch, each in units of what is believed."""
        around = self._posed(self.outline, poses)[..., :2]
        edges = np.concatenate([around.min(1), around.max(1)], 1)
        up_away = Rotation.from_rotvec(poses[:, 1:4]).as_matrix()[:, 2, 1:2]
        points = (self._posed(self.five, poses)[..., :2] - self.seen).reshape(len(poses), -1)
        pitch = np.arcsin(up_away.clip(-1, 1))
        return np.concatenate([points / POINT_SHARE, (edges - self.box) / BOX_SHARE, pitch / PITCH_RAD], 1)

    def _posed(self, points: NDArray[np.float64], poses: NDArray[np.float64]) -> NDArray[np.float64]:
        """(B, N, 3) points (N, 3) of the head, in sides of the box."""
        rotation = Rotation.from_rotvec(poses[:, 1:4]).as_matrix()
        shift = np.pad(poses[:, None, 4:], ((0, 0), (0, 0), (0, 1)))
        return np.exp(poses[:, :1, None]) * (points @ rotation.transpose(0, 2, 1)) + shift


def _cost(residuals: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B,) mean of the residuals (B, R) by Cauchy."""
    return np.log1p(residuals**2).mean(1)
