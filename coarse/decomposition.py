"""Splitting observed vertex colours into albedo and light in closed form.

colour = albedo * (A * Y(n)) @ L is linear in the light L for a known albedo and linear in the albedo coefficients for a
known light; a few alternations of two small ridge regressions with robust weights find both (Aldrian and Smith 2013).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from coarse.coefficients import AMBIENT_INTENSITY
from coarse.morphable import MorphableModel
from render.lighting import LAMBERT_BANDS, sh_basis


@dataclass(frozen=True)
class Decomposition:
    """Albedo coefficients (B, Na) and light (B, 9, 3)."""

    albedo: Tensor
    lighting: Tensor


@dataclass(frozen=True)
class DecompositionSettings:
    """Strengths of the priors, in units of squared colour a vertex."""

    rounds: int = 4
    light_ridge: float = 2e-3
    white_ridge: float = 2e-2
    """Pull of the coloured part of the light towards grey: skin colour belongs into the albedo."""
    albedo_ridge: float = 2e-4
    outlier: float = 0.06
    """Residual at which a vertex's weight falls to a half (highlights, shadows, make-up)."""


def decompose(
    model: MorphableModel,
    colours: Tensor,
    weight: Tensor,
    normals_view: Tensor,
    settings: DecompositionSettings = DecompositionSettings(),
) -> Decomposition:
    """Find light and albedo coefficients behind observed vertex colours.

    Args:
        model: gives the albedo mean and basis, at the level of the arguments.
        colours: (B, V, 3) linear RGB sampled from photos.
        weight: (B, V) how far a vertex was seen as skin, in [0, 1].
        normals_view: (B, V, 3) unit, viewing axes.
        settings: priors.
    """
    design = sh_basis(normals_view) * LAMBERT_BANDS.to(normals_view)
    albedo = torch.zeros(len(colours), model.albedo_count)
    robust = weight
    lighting = torch.zeros(len(colours), 9, 3)
    for _ in range(settings.rounds):
        base = model.albedo(albedo)
        lighting = _solve_light(base, colours, robust, design, settings)
        shading = (design @ lighting).clamp(min=0.02)
        if model.albedo_count:
            albedo = _solve_albedo(model, colours, robust, shading, settings)
        residual = (model.albedo(albedo) * shading - colours).norm(dim=2)
        robust = weight / (1 + (residual / settings.outlier).square())
    return Decomposition(albedo, lighting)


def _solve_light(base: Tensor, colours: Tensor, weight: Tensor, design: Tensor, s: DecompositionSettings) -> Tensor:
    """Ridge regression of the light: first one grey light, then each channel pulled towards it."""
    total = weight.sum(1).clamp(min=1.0)
    prior = torch.zeros(9, dtype=design.dtype)
    prior[0] = AMBIENT_INTENSITY * math.sqrt(4 * math.pi) / math.pi
    eye = torch.eye(9, dtype=design.dtype)
    grams, sides = [], []
    for channel in range(3):
        rows = design * base[..., channel, None] * weight[..., None].sqrt()
        grams.append(rows.transpose(1, 2) @ rows)
        sides.append(torch.einsum("bvk,bv->bk", rows, colours[..., channel] * weight.sqrt()))
    grey_gram = sum(grams) + 3 * (s.light_ridge * total)[:, None, None] * eye
    grey = torch.linalg.solve(grey_gram, sum(sides) + 3 * (s.light_ridge * total)[:, None] * prior)
    pull = (s.white_ridge * total)[:, None, None]
    channels = [torch.linalg.solve(g + pull * eye, r + pull[:, :, 0] * grey) for g, r in zip(grams, sides, strict=True)]
    return torch.stack(channels, dim=2)


def _solve_albedo(
    model: MorphableModel, colours: Tensor, weight: Tensor, shading: Tensor, s: DecompositionSettings
) -> Tensor:
    """Ridge regression of the albedo coefficients, one photo at a time (the basis is shared, the weights are not)."""
    solutions = []
    eye = torch.eye(model.albedo_count)
    for colour, w, shade in zip(colours, weight, shading, strict=True):
        rows = model.albedo_basis * (shade * w.sqrt()[:, None]).reshape(-1, 1)
        side = ((colour - model.albedo_mean * shade) * w.sqrt()[:, None]).reshape(-1)
        gram = rows.T @ rows + s.albedo_ridge * w.sum().clamp(min=1.0) * eye
        solutions.append(torch.linalg.solve(gram, rows.T @ side))
    return torch.stack(solutions)
