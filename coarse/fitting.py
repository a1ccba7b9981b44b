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
    batch = check_shape("landmarks_px", landmarks_px, "B 468 2")["B"]
    posed = _descend(model, landmarks_px, torch.zeros(batch, model.layout.total), _pose_mask(model), settings)
    return model.layout.decode(_descend(model, landmarks_px, posed, None, settings))


def _pose_mask(model: MorphableModel) -> Tensor:
    """(layout.total,) 1 for rotation and translation."""
    sizes = model.layout.sizes.items()
    return torch.cat([torch.full((size,), float(name in ("rotation", "translation"))) for name, size in sizes])


def _descend(
    model: MorphableModel, landmarks_px: Tensor, start: Tensor, free: Tensor | None, settings: LandmarkFitting
) -> Tensor:
    """Adam on raw vectors (B, layout.total) from `start`; where `free` is 0 they stay."""
    batch, camera = len(start), crop_camera(len(start))
    steps = settings.steps if free is None else settings.pose_steps
    raw = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([raw], lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=steps)
    for _ in range(steps):
        coefficients = model.layout.decode(raw if free is None else raw * free)
        points = camera.project(model.landmarks_cam(coefficients))[..., :2]
        loss = landmark_distance_loss(points, landmarks_px) + coefficient_prior(coefficients, settings.prior)
        optimizer.zero_grad()
        (batch * loss).backward()
        optimizer.step()
        schedule.step()
    return (raw if free is None else raw * free).detach()


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
