"""Where a head stands near a detection, by the pose network: cheap, at any turn in the plane, before the dense look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from coarse.face_model import FaceModel
from coarse.morphable import VIEW_FROM_CAM, MorphableModel
from coarse.pose_network import PoseAnswer, PoseNetwork, load_pose_network
from coarse.position_map import WINDOW_MARGIN_PX, WINDOW_PX
from gcnface.photo.crop import WINDOW_FROM_CROP, cut_square, head_similarity
from gcnface.stages.first_crops import Start
from gcnface.stages.looks import crop_distance_px
from gcnface.stages.points_pose import HeadPoints

ROUNDS = 2
"""Windows are cut anew by what was found, once: the network knows windows that lie far astray."""
SAME_PX = 6.0
"""Crops this near to each other show the same."""


@dataclass(frozen=True)
class Found:
    """A head that was found from one beginning.

    Attributes:
        start: where it began, and the crop (3, 3) of the head found.
        doubt: the lower of two is the better.
    """

    start: Start
    doubt: float


class PoseFinder:
    """Moves first crops to the heads near them.

    Args:
        network: answers poses.
        head: the mean head.
        device: where the network runs.
    """

    def __init__(self, network: PoseNetwork, head: HeadPoints, device: torch.device | str = "cpu") -> None:
        self.network, self.head, self.device = network, head, device
        self._five = torch.from_numpy(head.five).float()

    def __call__(self, photo: NDArray[np.float32], starts: Sequence[Start]) -> list[Found]:
        """The heads found from some beginnings, the least doubtful first; no two that are alike.

        Args:
            photo: (H, W, 3) float32 sRGB in [0, 1].
            starts: names, and crop_from_photo (3, 3).
        """
        found: list[Found] = []
        for _ in range(ROUNDS):
            found = self._moved(photo, starts)
            starts = [one.start for one in found]
        kept: list[Found] = []
        for one in sorted(found, key=lambda one: one.doubt):
            if all(crop_distance_px(one.start[1], other.start[1]) > SAME_PX for other in kept):
                kept.append(one)
        return kept

    @torch.no_grad()
    def _moved(self, photo: NDArray[np.float32], starts: Sequence[Start]) -> list[Found]:
        windows = torch.cat([cut_square(photo, WINDOW_FROM_CROP @ crop, WINDOW_PX) for _, crop in starts])
        answer = self.network(windows.to(self.device))
        crops, doubts = self._crops(answer), _doubts(answer)
        pairs = zip(starts, crops, doubts, strict=True)
        return [Found((origin, next_crop @ crop), doubt) for (origin, crop), next_crop, doubt in pairs]

    def _crops(self, answer: PoseAnswer) -> list[NDArray[np.float64]]:
        """(3, 3) each, from px of the crop that was looked at."""
        five = answer.points(self._five.to(answer.scale)).cpu().double().numpy()
        rotations = np.diag(VIEW_FROM_CAM) @ answer.rotation.cpu().double().numpy()
        margin = (WINDOW_MARGIN_PX, WINDOW_MARGIN_PX, 0.0)
        return [head_similarity(points - margin, turn) for points, turn in zip(five, rotations, strict=True)]


def _doubts(answer: PoseAnswer) -> list[float]:
    """Logarithm of the expected error, and how improbable a face is."""
    no_face = torch.nn.functional.softplus(-answer.face_logit)
    return (answer.expected_error_percent.log() + no_face).cpu().tolist()


def load_pose_finder(model: FaceModel, head: HeadPoints, device: torch.device | str = "cpu") -> PoseFinder:
    """A finder with the shipped network, for the shipped face model.

    Raises:
        WeightsError: the weights are missing or damaged.
    """
    return PoseFinder(load_pose_network(MorphableModel(model, level=2)).to(device), head, device)
