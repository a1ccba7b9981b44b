"""Fitting coefficients by optimisation: to landmarks (in batches, for training data) and to one photograph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from coarse.coefficients import Coefficients
from coarse.losses import (
    CoarseLossWeights,
    coefficient_prior,
    gamma_loss,
    identity_loss,
    landmark_distance_loss,
    photometric_loss,
)
from coarse.morphable import MorphableModel, crop_camera
from coarse.records import CoarseFace
from render.color import srgb_from_linear
from render.interpolate import interpolate
from render.rasterize import rasterize
from render.shapes import check_shape

EmbedFunction = Callable[[Tensor], Tensor]
"""Crops (B, 3, 224, 224) sRGB to identity embeddings (B, D)."""


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
    optimiser = torch.optim.Adam([raw], lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, total_steps=steps)
    for _ in range(steps):
        coefficients = model.layout.decode(raw if free is None else raw * free)
        points = camera.project(model.landmarks_cam(coefficients))[..., :2]
        loss = landmark_distance_loss(points, landmarks_px) + coefficient_prior(coefficients, settings.prior)
        optimiser.zero_grad()
        (batch * loss).backward()
        optimiser.step()
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
    screen = crop_camera(len(face.verts_cam), side_px).project(face.verts_cam)
    fragments = rasterize(screen, model.faces, (side_px, side_px))
    colours = srgb_from_linear(face.lit.clamp(0, 1))
    mask = fragments.mask
    picture = interpolate(colours, model.faces, fragments)
    return torch.where(mask[..., None], picture, background), mask


@dataclass(frozen=True)
class DensePoints:
    """Where a position map saw the surface.

    Attributes:
        vertex: (N,) int64 vertices of the model, at the level that is fitted.
        xy_px: (B, N, 2) crop px.
        weight: (B, N) in [0, 1], 0 where the surface is hidden.
    """

    vertex: Tensor
    xy_px: Tensor
    weight: Tensor

    def distance(self, screen: Tensor) -> Tensor:
        """Weighted mean distance of the vertices (B, V, 3) on the screen, over the size of the points' box."""
        box = self.xy_px.amax(1) - self.xy_px.amin(1)
        side = box.prod(dim=1).sqrt().clamp(min=1.0)
        away = ((screen[:, self.vertex, :2] - self.xy_px).square().sum(-1) + 1e-4).sqrt()
        return ((away * self.weight).sum(1) / self.weight.sum(1).clamp(min=1.0) / side).mean()


@dataclass(frozen=True)
class PhotoFitting:
    """Settings of `fit_photo`."""

    steps: int = 25
    learning_rate: float = 0.04
    side_px: int = 112
    """Side of the rendered comparison; half the crop is enough to place features."""
    anchor: float = 0.3
    """Pull of the landmarks towards where the regressor saw them (mean distance / face size)."""
    dense: float = 0.5
    """Pull of the vertices towards where the position map saw them, likewise; without a map the landmarks pull more."""
    identity_every: int = 0
    """The identity loss enters every so many steps (0: never); FaceNet costs more than all else together."""
    weights: CoarseLossWeights = field(
        default_factory=lambda: CoarseLossWeights(
            photometric=1.0, coefficients=1e-4, prior_expression=2.0, expression_range=0.05, gamma=1.0
        )
    )


def fit_photo(
    model: MorphableModel,
    start: Tensor,
    photo: Tensor,
    skin: Tensor,
    *,
    dense: DensePoints | None = None,
    embed: EmbedFunction | None = None,
    settings: PhotoFitting = PhotoFitting(),
) -> Tensor:
    """Adjust raw coefficients to one crop by rendering (photometric, identity and prior terms).

    Args:
        model: usually a coarser level of the face model.
        start: (B, layout.total) raw vector of the regressor.
        photo: (B, 3, 224, 224) sRGB crops.
        skin: (B, 224, 224) attention in [0, 1] from the parser.
        dense: points of a position map; None leaves their term out.
        embed: FaceNet, for the identity term; None leaves the term out.
        settings: steps and weights.

    Returns:
        (B, layout.total) the adjusted raw vector.
    """
    check_shape("start", start, "B N", N=model.layout.total)
    side = settings.side_px
    small = torch.nn.functional.interpolate(photo, (side, side), mode="area").permute(0, 2, 3, 1)
    attention = torch.nn.functional.interpolate(skin[:, None], (side, side), mode="area")[:, 0]
    camera = crop_camera(len(photo))
    with torch.no_grad():
        anchor = camera.project(model.landmarks_cam(model.layout.decode(start)))[..., :2]
        target = embed(photo) if embed is not None else None
    raw = start.detach().clone().requires_grad_(True)
    optimiser = torch.optim.Adam([raw], lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    weights = settings.weights
    pull = settings.anchor if dense is not None else settings.anchor + settings.dense
    for step in range(settings.steps):
        face = model(model.layout.decode(raw))
        picture, mask = render_crop(model, face, small, side)
        points = camera.project(model.landmarks_cam(face.coefficients))[..., :2]
        loss = (
            weights.photometric * photometric_loss(picture, small, attention * mask)
            + pull * landmark_distance_loss(points, anchor)
            + coefficient_prior(face.coefficients, weights)
            + weights.gamma * gamma_loss(face.coefficients.lighting)
        )
        if dense is not None:
            loss = loss + settings.dense * dense.distance(camera.project(face.verts_cam))
        every = settings.identity_every
        if embed is not None and target is not None and every and step % every == every - 1:
            full, _ = render_crop(model, face, photo.permute(0, 2, 3, 1))
            loss = loss + every * weights.identity * identity_loss(embed(full.permute(0, 3, 1, 2)), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return raw.detach()
