"""Splitting observed vertex colours into albedo and light in closed form.

colour = albedo * (A * Y(n)) @ L is linear in the light L for a known albedo and linear in the albedo coefficients for a
known light; a few alternations of two small ridge regressions with robust weights find both (Aldrian and Smith 2013).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from coarse.coefficients import AMBIENT
from coarse.morphable import DARKEST_ALBEDO, MorphableModel
from render.lighting import LAMBERT_FACTORS, SH_COUNT, sh_basis

_LARGEST_TONE = 2.0
"""The most, as a natural logarithm, that a light is scaled."""


@dataclass(frozen=True)
class Decomposition:
    """Albedo coefficients (B, Na) and light (B, 9, 3)."""

    albedo: Tensor
    lighting: Tensor


@dataclass(frozen=True)
class ObservedColors:
    """What photos show at the vertices of posed faces.

    Attributes:
        linear: (B, V, 3) linear RGB.
        skin: (B, V) in [0, 1], how far a vertex shows skin: what the light is estimated from.
        face: (B, V) in [0, 1], how far it shows the face at all, brows, eyes and lips included.
        normals_view: (B, V, 3) unit, viewing axes.
    """

    linear: Tensor
    skin: Tensor
    face: Tensor
    normals_view: Tensor


@dataclass(frozen=True)
class DecompositionSettings:
    """Strengths of the priors, in units of squared colour a vertex."""

    rounds: int = 4
    light_ridge: float = 2e-4
    white_ridge: float = 5e-3
    """Pull of the coloured part of the light towards grey: skin colour belongs into the albedo."""
    albedo_ridge: float = 2e-5
    outlier: float = 0.15
    """Residual at which a vertex's weight falls to a half (highlights, shadows, make-up)."""
    tone_share: float = 0.3
    """Where a skin tone is expected: the share of what the photo's tone differs from it that goes into the albedo; the
    rest is light. Unexplained tones of skin and of light vary about alike, skin a little less."""


def decompose(
    model: MorphableModel,
    seen: ObservedColors,
    settings: DecompositionSettings = DecompositionSettings(),
    *,
    albedo: Tensor | None = None,
    tone: Tensor | None = None,
) -> Decomposition:
    """Find light and albedo coefficients behind observed vertex colours.

    Args:
        model: gives the albedo mean and basis, at the level of the observed vertices.
        seen: colours, weights and normals.
        settings: priors.
        albedo: (B, Na) known coefficients, of which only the light is sought; None finds both.
        tone: (B, 3) expected logarithm of the skin's linear albedo over the mean face's (`coarse.skin_tone`); None lets
            the priors decide, which calls every skin average and its light dim or bright.
    """
    known = albedo is not None
    design = sh_basis(seen.normals_view) * seen.normals_view.new_tensor(LAMBERT_FACTORS)
    if albedo is None:
        albedo = seen.linear.new_zeros(len(seen.linear), model.albedo_count)
    robust = torch.ones_like(seen.skin)
    lighting = seen.linear.new_zeros(len(seen.linear), SH_COUNT, 3)
    for _ in range(settings.rounds):
        lighting = _solve_light(model.albedo(albedo), seen.linear, robust * seen.skin, design, settings)
        if tone is not None and not known:
            lighting = _lit_for_tone(model, albedo, robust * seen.skin, lighting, tone, settings)
        shading = (design @ lighting).clamp(min=0.02)
        if model.albedo_count and not known:
            albedo = _solve_albedo(model, seen.linear, robust * seen.face, shading, settings)
        residual = (model.albedo(albedo) * shading - seen.linear).norm(dim=2)
        robust = 1 / (1 + (residual / settings.outlier).square())
    return Decomposition(albedo, lighting)


def _lit_for_tone(
    model: MorphableModel, albedo: Tensor, weight: Tensor, lighting: Tensor, tone: Tensor, s: DecompositionSettings
) -> Tensor:
    """Scale the light of each channel so that the albedo that is left has the tone that is believed.

    What the photo says is the sum of both logarithms, tone of the skin and level of the light; the expected tone and
    the usual light say how to split it.
    """
    colors = model.albedo(albedo).clamp(min=DARKEST_ALBEDO)
    mean = model.albedo_mean.clamp(min=DARKEST_ALBEDO)
    share = weight[..., None] / weight.sum(1).clamp(min=1.0)[:, None, None]
    present = ((colors / mean).log() * share).sum(1)
    level = (lighting[:, 0] / AMBIENT[0]).clamp(min=DARKEST_ALBEDO).log()
    believed = tone + s.tone_share * (present + level - tone)
    return lighting * (present - believed).clamp(-_LARGEST_TONE, _LARGEST_TONE).exp()[:, None]


def _solve_light(base: Tensor, colors: Tensor, weight: Tensor, design: Tensor, s: DecompositionSettings) -> Tensor:
    """Ridge regression of the light: first one grey light, then each channel pulled towards it."""
    total = weight.sum(1).clamp(min=1.0)
    prior = design.new_tensor(AMBIENT)
    eye = torch.eye(SH_COUNT).to(design)
    grams, sides = [], []
    for channel in range(3):
        rows = design * base[..., channel, None] * weight[..., None].sqrt()
        grams.append(rows.transpose(1, 2) @ rows)
        sides.append(torch.einsum("bvk,bv->bk", rows, colors[..., channel] * weight.sqrt()))
    gray_gram = sum(grams) + 3 * (s.light_ridge * total)[:, None, None] * eye
    gray = torch.linalg.solve(gray_gram, sum(sides) + 3 * (s.light_ridge * total)[:, None] * prior)
    pull = (s.white_ridge * total)[:, None, None]
    channels = [torch.linalg.solve(g + pull * eye, r + pull[:, :, 0] * gray) for g, r in zip(grams, sides, strict=True)]
    return torch.stack(channels, dim=2)


def _solve_albedo(
    model: MorphableModel, colors: Tensor, weight: Tensor, shading: Tensor, s: DecompositionSettings
) -> Tensor:
    """Ridge regression of the albedo coefficients, one photo at a time (the basis is shared, the weights are not)."""
    solutions = []
    eye = torch.eye(model.albedo_count).to(shading)
    for color, w, shade in zip(colors, weight, shading, strict=True):
        rows = model.albedo_basis * (shade * w.sqrt()[:, None]).reshape(-1, 1)
        side = ((color - model.albedo_mean * shade) * w.sqrt()[:, None]).reshape(-1)
        gram = rows.T @ rows + s.albedo_ridge * w.sum().clamp(min=1.0) * eye
        solutions.append(torch.linalg.solve(gram, rows.T @ side))
    return torch.stack(solutions)
