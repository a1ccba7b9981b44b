"""Splitting observed vertex colours into albedo and light in closed form.

colour = albedo * (A * Y(n)) @ L is linear in the light L for a known albedo and linear in the albedo coefficients for a
known light; a few alternations of two small ridge regressions with robust weights find both (Aldrian and Smith 2013).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coarse.coefficients import AMBIENT, AMBIENT_INTENSITY
from coarse.morphable import DARKEST_ALBEDO, MorphableModel
from render.lighting import LAMBERT_FACTORS, SH_COUNT, sh_basis

_LARGEST_TONE = 2.5
"""The most, as a natural logarithm, that a light is scaled."""

_DARKEST_SHADING, _DARKEST_COLOR = 0.02, 2e-3

TONE_SHARE = 0.3
"""Of what a photo's tone differs from the expected one, the share that is skin, where nobody says better."""


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
class ToneExpectation:
    """What is known of skin and light before they are told apart; natural logarithms of linear red, green, blue.

    A photo shows the sum of both. What it shows beyond the two expected ones is shared out: `share` of it is skin.

    Attributes:
        tone: (B, 3) of the skin's albedo over the mean face's.
        light: (B, 3) of the light on the skin over the neutral one.
        share: (B, 3, 3) takes what is unexplained to what of it is skin: V_tone (V_tone + V_light)^-1 for covariances
            V of both errors.
    """

    tone: Tensor
    light: Tensor
    share: Tensor

    @classmethod
    def of_tone(cls, tone: Tensor) -> ToneExpectation:
        """Of a tone (B, 3) alone, under neutral light.

        Example:
            >>> ToneExpectation.of_tone(torch.zeros(1, 3)).share[0, 0]
            tensor([0.3000, 0.0000, 0.0000])
        """
        share = TONE_SHARE * torch.eye(3).to(tone).expand(len(tone), 3, 3)
        return cls(tone, torch.zeros_like(tone), share)

    @classmethod
    def of_one_person(cls, several: Sequence[ToneExpectation]) -> list[ToneExpectation]:
        """Those of several photos of a person, each with the mean of the expected tones and its own light."""
        tone = torch.cat([one.tone for one in several]).mean(0, keepdim=True)
        return [cls(tone, one.light, one.share) for one in several]

    def believed(self, shown: Tensor) -> Tensor:
        """(B, 3) tone of the skin of photos that show `shown` (B, 3), skin and light together."""
        unexplained = shown - self.light - self.tone
        return self.tone + (self.share @ unexplained[..., None])[..., 0]


@dataclass(frozen=True)
class DecompositionSettings:
    """Strengths of the priors, in units of squared colour a vertex."""

    rounds: int = 4
    light_ridge: float = 2e-4
    white_ridge: float = 5e-3
    """Pull of the coloured part of the light towards grey: skin colour belongs into the albedo."""
    albedo_ridge: float = 2e-5
    tone_ridge: float = 1e-7
    """The same for the coefficients that say nothing but the skin's tone."""
    outlier: float = 0.15
    """Residual at which a vertex's weight falls to a half (highlights, shadows, make-up)."""


def decompose(
    model: MorphableModel,
    seen: ObservedColors,
    settings: DecompositionSettings = DecompositionSettings(),
    *,
    albedo: Tensor | None = None,
    tone: ToneExpectation | None = None,
) -> Decomposition:
    """Find light and albedo coefficients behind observed vertex colours.

    Args:
        model: gives the albedo mean and basis, at the level of the observed vertices.
        seen: colours, weights and normals.
        settings: priors.
        albedo: (B, Na) known coefficients, of which only the light is sought; None finds both.
        tone: what is expected of skin and light (`coarse.skin_tone`); None lets the priors decide, which calls every
            skin average and its light dim or bright.
    """
    known = albedo is not None
    design = sh_basis(seen.normals_view) * seen.normals_view.new_tensor(LAMBERT_FACTORS)
    if albedo is None:
        albedo = seen.linear.new_zeros(len(seen.linear), model.albedo_count)
    robust = torch.ones_like(seen.skin)
    lighting = seen.linear.new_zeros(len(seen.linear), SH_COUNT, 3)
    for _ in range(settings.rounds):
        lighting = _solve_light(model.albedo(albedo), seen.linear, robust * seen.skin, design, settings)
        shading = (design @ lighting).clamp(min=_DARKEST_SHADING)
        if model.albedo_count and not known:
            albedo = _solve_albedo(model, seen.linear, robust * seen.face, shading, settings)
        residual = (model.albedo(albedo) * shading - seen.linear).norm(dim=2)
        robust = 1 / (1 + (residual / settings.outlier).square())
    if tone is None or known:
        return Decomposition(albedo, lighting)
    believed, factor = _split(model.albedo_mean, seen.linear, robust * seen.skin, shading, tone)
    shading = shading * factor
    if model.albedo_count:
        start = _of_tone(model, believed, settings)
        albedo = _solve_albedo(model, seen.linear, robust * seen.face, shading, settings, start)
    return Decomposition(albedo, lighting * factor)


def _split(
    base: Tensor, colors: Tensor, weight: Tensor, shading: Tensor, tone: ToneExpectation
) -> tuple[Tensor, Tensor]:
    """The tone of the skin that is believed (B, 3), and what each channel's light is then multiplied by (B, 1, 3).

    Args:
        base: (V, 3) the mean albedo.
        colors: (B, V, 3) of the photos.
        weight: (B, V) how far a vertex tells the tone.
        shading: (B, V, 3) the present one, above 0.
        tone: what is expected.
    """
    share = (weight / weight.sum(1, keepdim=True).clamp(min=1e-6))[..., None]
    logs = colors.clamp(min=_DARKEST_COLOR).log() - base.clamp(min=DARKEST_ALBEDO).log()
    shown = (logs * share).sum(1)
    light = ((shading / AMBIENT_INTENSITY).log() * share).sum(1)
    believed = torch.where(weight.sum(1, keepdim=True) > 0, tone.believed(shown), tone.tone)
    return believed, (shown - light - believed).clamp(-_LARGEST_TONE, _LARGEST_TONE).exp()[:, None]


def _of_tone(model: MorphableModel, tone: Tensor, s: DecompositionSettings) -> Tensor:
    """(B, Na) the coefficients that come nearest to the mean albedo times e^tone (B, 3), over the whole head.

    Deviations from it are what the prior is about: the basis was learned from people of whom few are dark, so that by
    itself it would call dark skin unlikely.
    """
    basis = model.albedo_basis
    goal = model.albedo_mean * (tone.exp()[:, None] - 1)
    gram = basis.T @ basis + s.tone_ridge * len(basis) * torch.eye(basis.shape[1]).to(basis)
    return torch.linalg.solve(gram, basis.T @ goal.reshape(len(tone), -1).T).T


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
    model: MorphableModel,
    colors: Tensor,
    weight: Tensor,
    shading: Tensor,
    s: DecompositionSettings,
    start: Tensor | None = None,
) -> Tensor:
    """Ridge regression of the albedo coefficients, one photo at a time (the basis is shared, the weights are not).

    What is found is pulled towards `start` (B, Na); None pulls it towards the mean albedo.
    """
    start = colors.new_zeros(len(colors), model.albedo_count) if start is None else start
    solutions = []
    eye = torch.eye(model.albedo_count).to(shading)
    for color, w, shade, about in zip(colors, weight, shading, start, strict=True):
        rows = model.albedo_basis * (shade * w.sqrt()[:, None]).reshape(-1, 1)
        side = ((color - model.albedo_mean * shade) * w.sqrt()[:, None]).reshape(-1)
        pull = s.albedo_ridge * w.sum().clamp(min=1.0)
        solutions.append(torch.linalg.solve(rows.T @ rows + pull * eye, rows.T @ side + pull * about))
    return torch.stack(solutions)
