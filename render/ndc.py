"""PyTorch3D's device coordinates: +x left, +y up, the image's shorter side spans [-1, 1].

Both rasteriser backends work in them, so that they round alike and find the same faces.
"""

from __future__ import annotations

import torch
from torch import Tensor


def ndc_from_screen(verts_screen: Tensor, hw: tuple[int, int]) -> Tensor:
    """Device coordinates of (..., 3) x_px, y_px, depth; the depth stays as it is."""
    x, y, depth = verts_screen.unbind(-1)
    side = min(hw)
    return torch.stack([(hw[1] - 2 * x) / side, (hw[0] - 2 * y) / side, depth], -1)


def pixel_centers_ndc(hw: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Give x of every column (W,) and y of every row (H,), float32, rounded as PyTorch3D rounds them."""

    def along(count: int) -> Tensor:
        span = 2 * count / min(hw)
        steps = torch.arange(count - 1, -1, -1, dtype=torch.float32, device=device)
        return (steps * span + span / 2) / count - span / 2

    return along(hw[1]), along(hw[0])
