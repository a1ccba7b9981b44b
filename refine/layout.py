"""Two layouts of per-vertex features.

Interfaces speak (B, V, C). Sparse products want (V, B * C) and dense ones (V * B, C); memory ordered (V, B, C) gives
both as views. Layers therefore return (B, V, C) tensors whose memory lies (V, B, C); element-wise operations keep that,
so a chain of layers copies nothing. Only concatenation needs help: `concatenate`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def vertex_major(features: Tensor) -> Tensor:
    """(B, V, C) to contiguous (V, B, C); copies only when the memory is not in that order yet."""
    return features.transpose(0, 1).contiguous()


def batch_first(features: Tensor) -> Tensor:
    """(V, B, C) to a (B, V, C) view."""
    return features.transpose(0, 1)


def concatenate(*features: Tensor) -> Tensor:
    """Join (B, V, C_i) along channels to (B, V, sum C_i), memory ordered (V, B, C)."""
    return torch.cat([feature.transpose(0, 1) for feature in features], dim=2).transpose(0, 1)
