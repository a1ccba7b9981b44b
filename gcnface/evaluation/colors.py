"""How far two sets of vertex colours are apart, with and without their overall brightness and tint."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from render.color import srgb_from_linear
from render.shapes import check_shape

LARGEST_PSNR_DB = 60.0
"""What equal colours score: pictures of 8 bits can be told apart no better (0.25 / 255 is 60 dB)."""
FEWEST = 50
"""Vertices below which nothing is measured."""


@dataclass(frozen=True)
class Difference:
    """Between two sets of colours, sRGB in [0, 1].

    Attributes:
        l1: mean absolute difference of a channel.
        psnr_db: peak signal-to-noise ratio, `LARGEST_PSNR_DB` at most.
    """

    l1: float
    psnr_db: float


UNKNOWN = Difference(math.nan, math.nan)


def color_difference(found: Tensor, true: Tensor, where: Tensor, *, gain: bool = False) -> Difference:
    """Compare linear colours at some vertices after encoding them as sRGB.

    Args:
        found: (V, 3) linear.
        true: (V, 3) linear.
        where: (V,) bool, the vertices that count.
        gain: first bring both to the same mean in every channel, by one factor a channel shared out between the two;
            the result is the same whichever of them is called true.

    Returns:
        NaN where fewer than `FEWEST` vertices count.
    """
    count = check_shape("found", found, "V 3")["V"]
    check_shape("true", true, "V 3", V=count)
    check_shape("where", where, "V", V=count)
    if int(where.sum()) < FEWEST:
        return UNKNOWN
    one, two = found[where].clamp(0, 1), true[where].clamp(0, 1)
    if gain:
        ratio = (two.mean(0).clamp(min=1e-4) / one.mean(0).clamp(min=1e-4)).sqrt()
        one, two = one * ratio, two / ratio
    apart = srgb_from_linear(one.clamp(0, 1)) - srgb_from_linear(two.clamp(0, 1))
    psnr_db = -10 * math.log10(max(float(apart.square().mean()), 1e-12))
    return Difference(float(apart.abs().mean()), min(LARGEST_PSNR_DB, psnr_db))


def mean_difference(parts: list[Difference]) -> Difference:
    """Means over those that are known; NaN when none is."""
    known = [part for part in parts if not math.isnan(part.l1)]
    if not known:
        return UNKNOWN
    table = torch.tensor([[part.l1, part.psnr_db] for part in known], dtype=torch.float64).mean(0)
    return Difference(float(table[0]), float(table[1]))
