"""Fitting coefficients to landmarks by optimisation, in batches, for training data; and drawing what was fitted."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from coarse.coefficients import Coefficients
from coarse.losses import CoarseLossWeights, coefficient_prior, landmark_distance_loss
from coarse.morphable import MorphableModel, crop_camera
from coarse.records import CoarseFace
from render.color import srgb_from_linear
from render.interpolate import interpolate
from render.rasterize import rasterize
from render.shapes import check_shape


@dataclass(frozen=True)
class LandmarkFitting:
    """Settings of `fit_landmarks`."""

    pose_steps: int = 200
    """Steps of the mean shape alone: a shape free from the start settles for a smaller turn and a deeper face."""
    steps: int = 300
    """Steps with everything."""
    learning_rate: float = 0.05
    prior: CoarseLossWeights = field(
        default_factory=lambda: CoarseLossWeights(
            coefficients=2e-5, prior_expression=8.0, prior_albedo=0.0, expression_range=0.02
        )
    )


def fit_landmarks(
    model: MorphableModel, landmarks_px: Tensor, settings: LandmarkFitting = LandmarkFitting()
) -> Coefficients:
    """Identity, expression and pose that put the model's 468 landmarks onto those of aligned crops.

    Args:
        model: the face model.
        landmarks_px: (B, 468, 2) in 224 px crops.
        settings: steps and priors.

    Returns:
        Coefficients; albedo and lighting stay neutral.
    """
    batch, layout = check_shape("landmarks_px", landmarks_px, "B 468 2")["B"], model.layout
    pose = layout.mask("rotation", "translation")
    posed = _descend(model, landmarks_px, torch.zeros(batch, layout.total), pose, settings.pose_steps, settings)
    return layout.decode(_descend(model, landmarks_px, posed, torch.ones_like(pose), settings.steps, settings))


def _descend(
    model: MorphableModel, landmarks_px: Tensor, start: Tensor, free: Tensor, steps: int, settings: LandmarkFitting
) -> Tensor:
    """Adam on raw vectors (B, layout.total) from `start`; where `free` is 0 they are 0."""
    batch, camera = len(start), crop_camera(len(start))
    raw = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([raw], lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=steps)
    for _ in range(steps):
        coefficients = model.layout.decode(raw * free)
        points = camera.project(model.landmarks_cam(coefficients))[..., :2]
        loss = landmark_distance_loss(points, landmarks_px) + coefficient_prior(coefficients, settings.prior)
        optimizer.zero_grad()
        (batch * loss).backward()
        optimizer.step()
        schedule.step()
    return (raw * free).detach()


def render_crop(
    model: MorphableModel, face: CoarseFace, background: Tensor, side_px: int = 224
) -> tuple[Tensor, Tensor]:
    """Draw a coarse face over its crop.

    Args:
        model: gives the faces.
        face: a batch of faces.
        background: (B, side, side, 3) sRGB.
        side_px: side of the picture; the crop's camera is scaled to it.

    Returns:
        sRGB picture (B, side, side, 3) and the mask of pixels the head covers (B, side, side).
    """
    fragments = rasterize(face.verts_cam, model.faces, crop_camera(len(face.verts_cam), side_px))
    colors = srgb_from_linear(face.lit.clamp(0, 1))
    mask = fragments.mask
    picture = interpolate(colors, model.faces, fragments)
    return torch.where(mask[..., None], picture, background), mask
