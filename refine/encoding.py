"""Between linear albedo and what the networks see: sRGB-encoded, [0, 1] stretched to [-1, 1]."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from render.color import linear_from_srgb, srgb_from_linear


def encode_albedo(linear: Tensor, brightest: float = 1.0) -> Tensor:
    """Linear albedo, clipped to [0, brightest], to perceptual colours: black is -1, linear 1 is 1."""
    return 2.0 * srgb_from_linear(linear.clamp(0.0, brightest)) - 1.0


def decode_albedo(encoded: Tensor, brightest: float = 1.0) -> Tensor:
    """Perceptual colours to linear albedo in [0, brightest]; clipped colours keep gradients that bring them back."""
    ceiling = float(srgb_from_linear(torch.tensor(brightest, dtype=torch.float64)))
    return linear_from_srgb(returning_clamp(0.5 * (encoded + 1.0), 0.0, ceiling))


def returning_clamp(values: Tensor, low: float, high: float) -> Tensor:
    """Clamp to [low, high] whose gradient passes where a descent step would bring a value back into the range.

    A plain clamp has no gradient outside, so what once left the range stays there.
    """
    return _ReturningClamp.apply(values, low, high)


class _ReturningClamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(values)
        ctx.low, ctx.high = low, high
        return values.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (values,) = ctx.saved_tensors
        leaves = ((values < ctx.low) & (gradient > 0)) | ((values > ctx.high) & (gradient < 0))
        return gradient.masked_fill(leaves, 0.0), None, None
