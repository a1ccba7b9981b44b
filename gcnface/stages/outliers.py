"""Which of the colours that lie on skin are none: frames, single hairs, background and glare that the parser missed.

A photo's colour is held against the face model's own, lit by the estimated light; the overall difference of the two is
taken out first, so that neither exposure nor complexion counts. What is left is judged only where mistakes happen: near
other classes, and where the surface turns away. Elsewhere a dark spot is a mole, and stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coarse.morphable import DARKEST_ALBEDO
from render.shapes import check_shape

BRIGHTNESS_LIMITS = (0.45, 0.85)
"""Difference of logarithmic brightness at which a doubtful colour begins to be refused, and at which it is refused."""

CHROMA_LIMITS = (0.22, 0.45)
"""The same for the length of the logarithmic colour difference without its brightness."""

_SPARSE = 4
"""Every so many vertices tell the overall difference."""


def step_up(values: Tensor, limits: Sequence[float]) -> Tensor:
    """0 up to the first limit, smoothly up to 1 at the second."""
    t = ((values - limits[0]) / (limits[1] - limits[0])).clamp(0, 1)
    return t * t * (3 - 2 * t)


def step_down(values: Tensor, limits: Sequence[float]) -> Tensor:
    """1 up to the first limit, smoothly down to 0 at the second."""
    return 1 - step_up(values, limits)


def log_ratio(colors: Tensor, expected: Tensor) -> Tensor:
    """Natural logarithm of one linear colour over another (..., 3), both kept from black."""
    return colors.clamp(min=DARKEST_ALBEDO).log() - expected.clamp(min=DARKEST_ALBEDO).log()


def weighted_median(values: Tensor, weight: Tensor) -> Tensor:
    """(B, C) of values (B, V, C): the smallest that has half of the weight (B, V) at or below it.

    Without any weight it is 0.
    """
    ordered, order = values.sort(dim=1)
    mass = weight[..., None].expand_as(values).gather(1, order).cumsum(1)
    total = mass[:, -1:]
    place = (mass >= 0.5 * total).int().argmax(1, keepdim=True)
    return torch.where(total > 0, ordered.gather(1, place), 0.0)[:, 0]


@dataclass(frozen=True)
class Deviation:
    """How a photo's colours differ from the expected ones beyond what all of them do, as natural logarithms.

    Attributes:
        brightness: (B, V), above 0 where the photo is brighter.
        chroma: (B, V), not negative, length of the difference without its brightness.
    """

    brightness: Tensor
    chroma: Tensor


def deviation(colors: Tensor, expected: Tensor, trusted: Tensor) -> Deviation:
    """Hold colours against expected ones.

    Args:
        colors: (B, V, 3) linear, of the photo.
        expected: (B, V, 3) linear, of the model under the estimated light.
        trusted: (B, V) weights, not negative, of the vertices that tell the overall difference of the two.
    """
    size = check_shape("colors", colors, "B V 3")
    check_shape("expected", expected, "B V 3", B=size["B"], V=size["V"])
    check_shape("trusted", trusted, "B V", B=size["B"], V=size["V"])
    ratio = log_ratio(colors, expected)
    ratio = ratio - weighted_median(ratio[:, ::_SPARSE], trusted[:, ::_SPARSE])[:, None]
    brightness = ratio.mean(-1)
    return Deviation(brightness, (ratio - brightness[..., None]).norm(dim=-1))


def inlier_weight(found: Deviation, doubt: Tensor) -> Tensor:
    """How far colours may be what they are taken for: (B, V) in [0, 1]; 1 where there is no doubt.

    Args:
        found: how they differ.
        doubt: (B, V) in [0, 1], how far a vertex lies where mistakes happen.
    """
    fits = step_down(found.brightness.abs(), BRIGHTNESS_LIMITS) * step_down(found.chroma, CHROMA_LIMITS)
    return 1 - doubt * (1 - fits)
