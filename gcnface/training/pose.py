"""Training of the pose network on windows that lie askew, of fitted photographs, rendered heads and no faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, binary_cross_entropy_with_logits, grid_sample, smooth_l1_loss

from coarse.face_model import load_face_model
from coarse.morphable import MorphableModel
from coarse.pose_network import PoseAnswer, make_pose_network
from coarse.position_map import WINDOW_PX, window_points
from gcnface.training.configuration import check_least
from gcnface.training.crops import mirror468
from gcnface.training.module import ModuleSettings, TrainingModule
from gcnface.training.pictures import dotted
from gcnface.training.position_map import PositionMapData
from gcnface.training.windows import WindowBatch
from render.camera import Camera

ROUND_DEG = (0, 45, 90, 135, 180, 225, 270, 315)
"""Turns in the plane at which held-out windows are measured."""


class PoseData(PositionMapData):
    """The windows of the position map network."""


@dataclass(frozen=True, kw_only=True)
class PoseSettings(ModuleSettings):
    """What `PoseModule` takes."""

    trust: float = 0.02
    """Weight of the losses of the network's expected error and of whether there is a face, beside the distance of the
    landmarks over the size of the face."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, trust=0)


class PoseModule(TrainingModule):
    """The network, its losses and its optimiser."""

    settings: PoseSettings
    stem = "pose"
    warm_up = 0.1

    def __init__(self, **settings: Any) -> None:
        super().__init__(PoseSettings(**settings))
        self.model = MorphableModel(load_face_model(), level=2)
        self.network = make_pose_network(self.model)
        self.mirror = torch.from_numpy(mirror468())

    def training_step(self, batch: WindowBatch, index: int) -> Tensor:
        """Distance of the landmarks of a mean face so posed, over the size of the true ones, and the trust in it."""
        answer = self.network(batch.image.contiguous(memory_format=torch.channels_last))
        with torch.autocast(answer.scale.device.type, enabled=False):
            loss = binary_cross_entropy_with_logits(answer.face_logit, batch.face.float()) * self.settings.trust
            if batch.face.any():
                truth = self.landmarks(batch)
                error = self.percent(answer, truth, flat=False)[batch.face]
                flat = self.percent(answer, truth)[batch.face].detach().clamp(min=0.1)
                expected = answer.expected_error_percent[batch.face]
                loss = loss + error.mean() / 100 + self.settings.trust * smooth_l1_loss(expected.log(), flat.log())
                self.log("train/percent", error.detach().mean(), prog_bar=True)
        self.log("train/loss", loss.detach())
        return loss

    def validation_step(self, batch: WindowBatch, index: int) -> None:
        """Mean distance in the picture, percent, of windows turned by an eighth of a circle after each other."""
        turn = ROUND_DEG[index % len(ROUND_DEG)]
        image, truth = turned(batch.image, self.landmarks(batch), turn)
        self.log("valid/percent", self.percent(self.network(image), truth).mean(), prog_bar=True, batch_size=len(truth))

    @torch.no_grad()
    def landmarks(self, batch: WindowBatch) -> Tensor:
        """(B, 468, 3) window px of the known geometry; z away from the camera, 0 at the model's origin."""
        camera = Camera(batch.px_from_cam, (WINDOW_PX, WINDOW_PX))
        points = self.model.landmarks468(batch.identity, batch.expression)
        placed = window_points(points, batch.coefficients(self.model), camera)
        return torch.where(batch.mirrored[:, None, None], placed[:, self.mirror.to(placed.device)], placed)

    def percent(self, answer: PoseAnswer, truth: Tensor, *, flat: bool = True) -> Tensor:
        """(B,) mean distance of the landmarks (B, 468, 3), in the picture or in space, over the root of their box."""
        axes = 2 if flat else 3
        found = answer.points(self.model.landmark_mean)
        side = (truth[..., :2].amax(1) - truth[..., :2].amin(1)).prod(1).clamp(min=100.0).sqrt()
        return 100 * ((found - truth)[..., :axes].square().sum(2) + 1e-4).sqrt().mean(1) / side

    def pictures(self, batch: WindowBatch) -> Tensor:
        """(B, 3, 256, 256) sRGB: the windows with the posed landmarks in green over the true ones in red."""
        found = self.network(batch.image).points(self.model.landmark_mean)
        return dotted(dotted(batch.image, self.landmarks(batch)[..., :2], 0), found[..., :2], 1)


def turned(image: Tensor, points: Tensor, degrees: int) -> tuple[Tensor, Tensor]:
    """Windows (B, 3, S, S) and points (B, N, 3) turned about the middle, counter-clockwise on the screen."""
    angle = np.radians(degrees)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    window_from_turned = image.new_tensor([[cos, -sin, 0.0], [sin, cos, 0.0]])
    grid = affine_grid(window_from_turned.expand(len(image), 2, 3), list(image.shape), align_corners=False)
    moved = grid_sample(image, grid, padding_mode="border", align_corners=False)
    middle = image.shape[-1] / 2
    x, y = points[..., 0] - middle, points[..., 1] - middle
    return moved, torch.stack([cos * x + sin * y + middle, cos * y - sin * x + middle, points[..., 2]], dim=2)
