"""Splitting observed vertex colours into albedo and light in closed form.

colour = albedo * (A * Y(n)) @ L is linear in the light L for a known albedo and linear in the albedo coefficients for a
known light; a few alternations of two small ridge regressions with robust weights find both (Aldrian and Smith 2013).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import softplus

from coarse.coefficients import AMBIENT, AMBIENT_INTENSITY, Coefficients
from coarse.morphable import DARKEST_ALBEDO, MorphableModel
from render.lighting import LAMBERT_FACTORS, SH_COUNT, sh_basis

_LARGEST_TONE = 2.5
"""The most, as a natural logarithm, that a light is scaled."""

_DARKEST_SHADING, _DARKEST_COLOR = 0.02, 2e-3

LIGHTEST_TONE = 0.3
"""Mean over the channels that no skin's tone goes beyond, a natural logarithm: a typology angle of 60 degrees. What is
brighter is lit brighter."""
_BEND = 0.05
"""Half the width of the bend by which believed tones come to the lightest."""

TONE_SHARE = 0.3
"""Of what a photo's tone differs from the expected one, the share that is skin, where nobody says better."""


@dataclass(frozen=True)
class Decomposition:
    """What is behind the colours of photos.

    Attributes:
        albedo: (B, Na) coefficients of the albedo in the mean person's tone.
        lighting: (B, 9, 3).
        skin_tone: (B, 3) factor of that albedo, whose basis was learned from mostly light skins and says no dark one.
    """

    albedo: Tensor
    lighting: Tensor
    skin_tone: Tensor

    def of(self, coefficients: Coefficients) -> Coefficients:
        """The same face with what was found."""
        return replace(coefficients, albedo=self.albedo, lighting=self.lighting, skin_tone=self.skin_tone)


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
class WhitesLight:
    """Where a photo shows the whites of eyes and the skin they are compared with, and what they say of its light.

    Attributes:
        places: (B, 2, H, W) in [0, 1] of the crop: the eyes, the skin beside them.
        share: (B, 3, 3) takes an error of the whites' colour, a natural logarithm, to that of the expected light.
    """

    places: Tensor
    share: Tensor


@dataclass(frozen=True)
class ToneExpectation:
    """What is known of skin and light before they are told apart; natural logarithms of linear red, green, blue.

    A photo shows the sum of both. What it shows beyond the two expected ones is shared out: `share` of it is skin.

    Attributes:
        tone: (B, 3) of the skin's albedo over the mean face's.
        light: (B, 3) of the light on the skin over the neutral one.
        share: (B, 3, 3) takes what is unexplained to what of it is skin: V_tone (V_tone + V_light)^-1 for covariances
            V of both errors.
        whites: how the light depends on where it was told; None where nothing in the photo told it.
    """

    tone: Tensor
    light: Tensor
    share: Tensor
    whites: WhitesLight | None = None

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
        return [replace(one, tone=tone) for one in several]

    def under(self, brighter: Tensor) -> ToneExpectation:
        """The same where skin beside the eyes stands in light that is brighter than their whites' by (B, 3)."""
        if self.whites is None:
            return self
        return replace(self, light=self.light + (self.whites.share @ brighter[..., None])[..., 0])

    def believed(self, shown: Tensor) -> Tensor:
        """(B, 3) tone of the skin of photos that show `shown` (B, 3), skin and light together."""
        unexplained = shown - self.light - self.tone
        believed = self.tone + (self.share @ unexplained[..., None])[..., 0]
        beyond = believed.mean(1, keepdim=True) - LIGHTEST_TONE
        return believed - _BEND * softplus(beyond / _BEND)


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


def decompose(
    model: MorphableModel,
    seen: ObservedColors,
    settings: DecompositionSettings = DecompositionSettings(),
    *,
    albedo: Tensor | None = None,
    tone: ToneExpectation | Callable[[Tensor], ToneExpectation] | None = None,
) -> Decomposition:
    """Find light and albedo coefficients behind observed vertex colours.

    Args:
        model: gives the albedo mean and basis, at the level of the observed vertices.
        seen: colours, weights and normals.
        settings: priors.
        albedo: (B, Na) known coefficients, of which only the light is sought; None finds both.
        tone: what is expected of skin and light (`coarse.skin_tone`), or what tells it by the shading (B, V, 3) that is
            found, but for its level; None lets the priors decide, which calls every skin average and its light dim or
            bright.
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
        return Decomposition(albedo, lighting, torch.ones_like(lighting[:, 0]))
    expected = tone if isinstance(tone, ToneExpectation) else tone(shading)
    factor = _brighter(model.albedo_mean, seen.linear, robust * seen.skin, shading, expected)
    return Decomposition(albedo, lighting * factor[:, None], 1 / factor)


def _brighter(base: Tensor, colors: Tensor, weight: Tensor, shading: Tensor, tone: ToneExpectation) -> Tensor:
    """(B, 3) what each channel's light is multiplied by so that the skin that is left has the tone that is believed.

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
    factor = (shown - light - tone.believed(shown)).clamp(-_LARGEST_TONE, _LARGEST_TONE).exp()
    return torch.where(weight.sum(1, keepdim=True) > 0, factor, 1.0)


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
