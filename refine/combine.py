"""Combine net: decoder's and refiner's colours into one (Lin et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from refine.chebyshev import ChebyshevConv
from refine.layout import concatenate
from refine.sparse import SparseOperator


class CombineNet(nn.Module):
    r"""T' = tanh(conv([decoded, refined])): one Chebyshev convolution 6 -> 3 without bias.

    Args:
        laplacian: of the finest level.
        order: K.
        channels: of each input and of the output.

    Shapes:
        decoded and refined (B, V, 3); output (B, V, 3) in (-1, 1).
    """

    def __init__(self, laplacian: SparseOperator, *, order: int = 6, channels: int = 3) -> None:
        super().__init__()
        self.conv = ChebyshevConv(2 * channels, channels, order, laplacian, bias=False)

    def forward(self, decoded: Tensor, refined: Tensor) -> Tensor:
        """Two times (B, V, 3) to (B, V, 3)."""
        return torch.tanh(self.conv(concatenate(decoded, refined)))
