"""Pose and expression of a photographed face whose identity has been decided elsewhere, from several photographs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from coarse.coefficients import Coefficients
from coarse.morphable import MorphableModel, crop_camera
from coarse.photo_fitting import DensePoints
from render.shapes import check_shape


@dataclass(frozen=True)
class PoseRefit:
    """Settings of `refit_pose`."""

    steps: int = 80
    learning_rate: float = 0.03
    expression: float = 0.02
    """Pull of the blendshapes towards what they were (mean square)."""
    expression_range: float = 0.05
    """Squared overshoot of blendshapes outside [0, 1]."""


def refit_pose(
    model: MorphableModel, face: Coefficients, identity: Tensor, points: DensePoints, settings: PoseRefit = PoseRefit()
) -> Coefficients:
    """Move a face of another identity to where a face was seen.

    Args:
        model: usually a coarse level of the face model.
        face: (B) coefficients fitted to the crops; where the search begins.
        identity: (B, Ni) the identity to hold.
        points: where vertices of `model` shall come to lie, crop px.
        settings: steps and priors.

    Returns:
        `face` with that identity, its rotation, translation and expression adjusted.
    """
    check_shape("identity", identity, "B I", B=len(face.identity), I=model.layout.identity)
    layout, camera = model.layout, crop_camera(len(identity))
    moving = layout.mask("rotation", "translation", "expression").to(identity)
    start = layout.encode(replace(face, identity=identity)).detach()
    change = torch.zeros_like(start).requires_grad_(True)
    optimizer = torch.optim.Adam([change], lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    for _ in range(settings.steps):
        found = layout.decode(start + change * moving)
        verts = model.in_camera(model.vertices(found.identity, found.expression), found)
        overshoot = (found.expression - found.expression.clamp(0, 1)).square()
        loss = (
            points.distance(camera.project(verts))
            + settings.expression * (found.expression - face.expression).square().mean()
            + settings.expression_range * overshoot.mean()
        )
        optimizer.zero_grad()
        (len(identity) * loss).backward()
        optimizer.step()
        schedule.step()
    return layout.decode((start + change * moving).detach())
