"""Which of the colours that lie on skin are none: frames, single hairs, background and glare that the parser missed.

A photo's colour is held against the face model's own, lit by the estimated light; the overall difference of the two is
taken out first, so that neither exposure nor complexion counts. What is left is judged only where mistakes happen: near
other classes, and where the surface turns away. Elsewhere a dark spot is a mole, and stays.
"""

from __future__ import annotations

import torch
from torch import Tensor

from render.shapes import check_shape

BRIGHTNESS_LIMITS = (0.45, 0.85)
"""Difference of logarithmic brightness at which a doubtful colour begins to be refused, and at which it is refused."""

CHROMA_LIMITS = (0.22, 0.45)
"""The same for the length of the logarithmic colour difference without its brightness."""

_DARKEST = 0.01
"""Linear colours below this are alike: noise and the encoding's last steps."""


def step_down(values: Tensor, limits: tuple[float, float]) -> Tensor:
    """1 up to the first limit, smoothly down to 0 at the second."""
    t = ((values - limits[0]) / (limits[1] - limits[0])).clamp(0, 1)
    return 1 - t * t * (3 - 2 * t)


def log_ratio(colours: Tensor, expected: Tensor) -> Tensor:
    """Natural logarithm of one linear colour over another (..., 3), both kept from black."""
    return colours.clamp(min=_DARKEST).log() - expected.clamp(min=_DARKEST).log()


def weighted_median(values: Tensor, weight: Tensor) -> Tensor:
    """(B, C) of values (B, V, C): the smallest that has half of the weight (B, V) at or below it.

    Without any weight it is 0.
    """
    ordered, order = values.sort(dim=1)
    mass = weight[..., None].expand_as(values).gather(1, order).cumsum(1)
    total = mass[:, -1:]
    place = (mass >= 0.5 * total).int().argmax(1, keepdim=True)
    return torch.where(total > 0, ordered.gather(1, place), 0.0)[:, 0]


def plausibility(colours: Tensor, expected: Tensor, trusted: Tensor, doubt: Tensor) -> Tensor:
    """How far colours may be what they are taken for.

    Args:
        colours: (B, V, 3) linear, of the photo.
        expected: (B, V, 3) linear, of the model under the estimated light.
        trusted: (B, V) weights, not negative, of the vertices that tell the overall difference of the two.
        doubt: (B, V) in [0, 1], how far a vertex lies where mistakes happen.

    Returns:
        (B, V) in [0, 1]; 1 where there is no doubt.
    """
    size = check_shape("colours", colours, "B V 3")
    check_shape("expected", expected, "B V 3", B=size["B"], V=size["V"])
    check_shape("trusted", trusted, "B V", B=size["B"], V=size["V"])
    check_shape("doubt", doubt, "B V", B=size["B"], V=size["V"])
    ratio = log_ratio(colours, expected)
    ratio = ratio - weighted_median(ratio, trusted)[:, None]
    brightness = ratio.mean(-1)
    chroma = (ratio - brightness[..., None]).norm(dim=-1)
    fits = step_down(brightness.abs(), BRIGHTNESS_LIMITS) * step_down(chroma, CHROMA_LIMITS)
    return 1 - doubt * (1 - fits)
