"""One look of the position map network at a window of a photo: what it shows, and how far it may be believed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.dense_alignment import jaw_weights
from coarse.face_model import LANDMARKS5_FROM_468
from coarse.morphable import VIEW_FROM_CAM
from coarse.position_map import WINDOW_MARGIN_PX, WINDOW_PX, PositionMapLayout, mirrored_maps
from coarse.position_network import PositionAnswer, PositionMapNetwork
from coarse.similarity import similarity_between
from gcnface.photo.crop import (
    TEMPLATE_POINTS5_PX,
    WINDOW_FROM_CROP,
    cut_square,
    head_similarity,
    similarity_scale,
    warp_points,
)
from gcnface.photo.detection import Detection
from gcnface.stages.points_pose import HeadPoints, head_points
from render.rotation import euler_from_rotation

MOST_DISAGREEMENT = 1.0
BORNE_OUT_PERCENT = 12.0, 15.0
"""Points and box of portraits that are cut by up to 30 % lie within 9 and 11 % of the dense face, those of a detector
that put the points beside the face at 15 and 19 %."""

MapNetwork = Callable[[Tensor], Tensor]
"""Windows (B, 3, 256, 256) sRGB in [0, 1] to position maps (B, 3, S, S) in window px."""


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against the face seen in a window. Percent are of the root of the area of its points' box.

    Attributes:
        moved_px: how far, on the mean of the template's five points, the crop would move if it were cut anew by the
            dense points; 0 when it stands.
        misfit_percent: weighted root mean square distance of the landmarks to the posed mean face, which is never a
            mirrored or sheared one.
        points_percent: mean distance of the detector's five points to the dense ones.
        box_percent: mean distance of the edges of the detector's box to those of a box around the dense face.
        expected_error_percent: what the network expects of its own points; NaN of a network that does not tell.
        face_logit: logarithm of the odds that the window shows a face; NaN likewise.
        shown: share of the 468 landmarks that lie in the photo.
        euler_deg: (3,) yaw, pitch, roll of the head in the photo, `coarse.dense_alignment.DensePose`.
    """

    moved_px: float
    misfit_percent: float
    points_percent: float
    box_percent: float
    expected_error_percent: float
    face_logit: float
    shown: float
    euler_deg: NDArray[np.float32]

    @property
    def bears_out_detector(self) -> bool:
        """Whether the detector's points and box lie as near to the dense face as those of faces that the edge cuts."""
        return self.points_percent < BORNE_OUT_PERCENT[0] and self.box_percent < BORNE_OUT_PERCENT[1]

    @property
    def doubt(self) -> float:
        """About 0.5 for a sure face, 1 and more for a wrong one; the lower of two is the better.

        What the detector says is doubted itself, so that it adds no more than `MOST_DISAGREEMENT` for points and box.
        """
        own = _far(self.misfit_percent, 6.0) + _far(self.moved_px, 10.0)
        if np.isfinite(self.expected_error_percent):
            own += 2 * _far(self.expected_error_percent, 6.0)
        if np.isfinite(self.face_logit):
            own += max(0.0, float(np.logaddexp(0.0, -self.face_logit)) - float(np.log(2.0)))
        theirs = (_far(value, 15.0) for value in (self.points_percent, self.box_percent))
        return own + sum(min(value, MOST_DISAGREEMENT) for value in theirs)


def _far(value: float, usual: float) -> float:
    return float(np.log1p((value / usual) ** 2))


@dataclass(frozen=True, eq=False)
class Look:
    """A window of a photo and the network's answer.

    Attributes:
        origin: where the window came from.
        crop_from_photo: (3, 3) of the crop in the window's middle.
        window: (1, 3, 256, 256) sRGB.
        position_map: (1, 3, S, S) window px.
        next_crop_from_photo: (3, 3) of the crop that the dense points ask for, as the networks' training views are cut.
        evidence: for it.
    """

    origin: str
    crop_from_photo: NDArray[np.float64]
    window: Tensor
    position_map: Tensor
    next_crop_from_photo: NDArray[np.float64]
    evidence: Evidence


class Viewer:
    """Looks at windows of photos through a network.

    Args:
        mean_landmarks: (468, 3) mm of the mean face.
        layout: of the maps.
        network: answers them; where it is a `PositionMapNetwork`, its trust in itself is evidence.
        device: where the network runs.
    """

    def __init__(
        self,
        mean_landmarks: NDArray[np.floating],
        layout: PositionMapLayout,
        network: MapNetwork,
        device: torch.device | str = "cpu",
    ) -> None:
        self.layout, self.network, self.device = layout, network, device
        self.head: HeadPoints = head_points(mean_landmarks)
        self._outline = torch.from_numpy(self.head.outline).float()
        self._mean = torch.from_numpy(mean_landmarks.astype(np.float32))
        self._weight = torch.from_numpy(jaw_weights(mean_landmarks, mean_landmarks).astype(np.float32))

    @torch.no_grad()
    def __call__(
        self, photo: NDArray[np.float32], face: Detection, crops: Sequence[tuple[str, NDArray[np.float64]]]
    ) -> list[Look]:
        """Looks at a detected face through windows around some crops, in one call of the network.

        Args:
            photo: (H, W, 3) float32 sRGB in [0, 1].
            face: what the detector says of it.
            crops: name of where it came from, and crop_from_photo (3, 3).
        """
        windows = torch.cat([cut_square(photo, WINDOW_FROM_CROP @ matrix, WINDOW_PX) for _, matrix in crops])
        answer = self._answer(windows.to(self.device))
        landmarks = self.layout.landmarks468(answer.maps).float().cpu()
        poses = similarity_between(self._mean, landmarks * torch.tensor(VIEW_FROM_CAM), self._weight)
        around = poses.apply(self._outline) * torch.tensor(VIEW_FROM_CAM)
        misfit = (poses.apply(self._mean) - landmarks * torch.tensor(VIEW_FROM_CAM)).square().sum(-1)
        misfit_px = ((misfit * self._weight).sum(1) / self._weight.sum()).sqrt()
        looks = []
        for i, (origin, matrix) in enumerate(crops):
            size_px = float(np.sqrt(np.prod(np.ptp(landmarks[i, :, :2].numpy(), axis=0))))
            seen = _Seen(matrix, landmarks[i].numpy(), around[i].numpy(), poses.rotation[i].numpy(), size_px)
            evidence = Evidence(
                moved_px=crop_distance_px(seen.next_crop, np.eye(3)),
                misfit_percent=100 * float(misfit_px[i]) / size_px,
                points_percent=seen.points_percent(face),
                box_percent=seen.box_percent(face),
                expected_error_percent=float(answer.expected_error_percent[i]),
                face_logit=float(answer.face_logit[i]),
                shown=seen.shown(photo.shape[:2]),
                euler_deg=seen.euler_deg(),
            )
            kept = (windows[i : i + 1], answer.maps[i : i + 1], seen.next_crop @ matrix)
            looks.append(Look(origin, matrix, *kept, evidence))
        return looks

    @torch.no_grad()
    def twice(self, look: Look) -> Tensor:
        """(1, 3, S, S) window px: the mean of what a look showed and what its mirror image shows."""
        mirrored = self._answer(look.window.flip(3).to(self.device)).maps
        return 0.5 * (look.position_map + mirrored_maps(mirrored))

    def _answer(self, windows: Tensor) -> PositionAnswer:
        if isinstance(self.network, PositionMapNetwork):
            return self.network.answer(windows)
        unknown = torch.full((len(windows),), torch.nan)
        return PositionAnswer(self.network(windows), unknown, unknown)


@dataclass(frozen=True)
class _Seen:
    """What one window shows, and where it lies in the photo.

    Attributes:
        crop_from_photo: (3, 3).
        landmarks: (468, 3) window px.
        around: (N, 3) window px, the posed mean head's outline.
        rotation: (3, 3) of the head in the window.
        size_px: root of the area of the landmarks' box, window px.
    """

    crop_from_photo: NDArray[np.float64]
    landmarks: NDArray[np.float32]
    around: NDArray[np.float32]
    rotation: NDArray[np.float32]
    size_px: float

    @property
    def photo_from_window(self) -> NDArray[np.float64]:
        return np.asarray(np.linalg.inv(WINDOW_FROM_CROP @ self.crop_from_photo), np.float64)

    @property
    def five(self) -> NDArray[np.float64]:
        """(5, 3) window px."""
        return np.stack([self.landmarks[list(index)].mean(0) for index in LANDMARKS5_FROM_468]).astype(np.float64)

    @property
    def next_crop(self) -> NDArray[np.float64]:
        """(3, 3) from px of this crop."""
        rotation = np.diag(VIEW_FROM_CAM) @ self.rotation.astype(np.float64)
        return head_similarity(self.five - (WINDOW_MARGIN_PX, WINDOW_MARGIN_PX, 0.0), rotation)

    def points_percent(self, face: Detection) -> float:
        own = warp_points(face.points5, WINDOW_FROM_CROP @ self.crop_from_photo)
        return 100 * float(np.linalg.norm(own - self.five[:, :2], axis=1).mean()) / self.size_px

    def box_percent(self, face: Detection) -> float:
        around = warp_points(self.around, self.photo_from_window)[:, :2]
        edges = np.concatenate([around.min(0), around.max(0)]) - face.box
        return 100 * float(np.abs(edges).mean()) / (self.size_px * similarity_scale(self.photo_from_window))

    def shown(self, photo_hw: tuple[int, ...]) -> float:
        xy = warp_points(self.landmarks, self.photo_from_window)[:, :2]
        return float(((xy >= 0) & (xy <= photo_hw[1::-1])).all(1).mean())

    def euler_deg(self) -> NDArray[np.float32]:
        rotation = rotation_in_photo(self.rotation, self.photo_from_window)
        return np.degrees(euler_from_rotation(torch.from_numpy(rotation)[None])[0].numpy()).astype(np.float32)


def crop_distance_px(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """How far two crops of a photo (3, 3 each) lie apart: mean distance in a of the template's points in b."""
    there = warp_points(TEMPLATE_POINTS5_PX, a @ np.linalg.inv(b))
    return float(np.linalg.norm(there - TEMPLATE_POINTS5_PX, axis=1).mean())


def rotation_in_photo(rotation: NDArray, photo_from_window: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) of a head (3, 3) that was seen in a window: the window's own turn in the plane is part of it."""
    plane, flip = np.eye(3), np.diag(VIEW_FROM_CAM)
    plane[:2, :2] = photo_from_window[:2, :2] / similarity_scale(photo_from_window)
    return np.asarray(flip @ plane @ flip @ rotation, np.float64)
