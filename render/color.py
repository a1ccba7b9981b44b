"""Between linear light and sRGB (IEC 61966-2-1)."""

from __future__ import annotations

import torch
from torch import Tensor

LINEAR_LIMIT = 0.0031308
ENCODED_LIMIT = 0.04045


def srgb_from_linear(linear: Tensor) -> Tensor:
    """Encode linear light (any shape, meant for [0, 1]); below 0 the straight part goes on, gradients are finite."""
    curved = linear > LINEAR_LIMIT
    safe = torch.where(curved, linear, torch.ones_like(linear))
    return torch.where(curved, 1.055 * safe.pow(1 / 2.4) - 0.055, 12.92 * linear)


def srgb_slope(linear: Tensor) -> Tensor:
    """Derivative of `srgb_from_linear` at `linear`."""
    curved = linear > LINEAR_LIMIT
    safe = torch.where(curved, linear, torch.ones_like(linear))
    return torch.where(curved, (1.055 / 2.4) * safe.pow(1 / 2.4 - 1), 12.92)


def linear_from_srgb(srgb: Tensor) -> Tensor:
    """Decode sRGB (any shape, meant for [0, 1]); the inverse of `srgb_from_linear`."""
    curved = srgb > ENCODED_LIMIT
    safe = torch.where(curved, srgb, torch.ones_like(srgb))
    return torch.where(curved, ((safe + 0.055) / 1.055).pow(2.4), srgb / 12.92)
