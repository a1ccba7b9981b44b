"""Graph refiner (one step down and up the pyramid) and combine net, colours in and out (Lin et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from refine.chebyshev import Activation, ChebyshevConv, ChebyshevResidualBlock, check_activation
from refine.layout import concatenate
from refine.pyramid import MeshPyramid
from refine.sparse import SparseOperator


@dataclass(frozen=True)
class RefinerConfig:
    """Layout of `GraphRefiner`; the defaults are the paper's."""

    in_channels: int = 7
    """Model colours 3, projected photo colours 3, visibility 1; the paper's text has no visibility (6)."""
    channels: tuple[int, int, int, int] = (16, 32, 32, 16)
    """Channels of the blocks: finest level, two on the level below, finest again; "wide" is (16, 32, 64, 128)."""
    out_channels: int = 3
    """Channels of the last block: colours."""
    order: int = 6
    """Chebyshev polynomials a convolution."""
    activation: Activation = "relu"
    """"relu" as in the paper, "elu" as in the released code."""

    def __post_init__(self) -> None:
        if len(self.channels) != 4 or min(self.in_channels, self.out_channels, self.order, *self.channels) < 1:
            raise ValueError(f"refiner sizes must all be 1 or more, with four block channels: {self}")
        check_activation(self.activation)


class GraphRefiner(nn.Module):
    """Residual blocks at level 0, pool, two at level 1, un-pool, two at level 0.

    Args:
        config: layout.
        pyramid: of two levels at least; further ones are not used.

    Shapes:
        input (B, V, in_channels); output (B, V, out_channels).

    Raises:
        ValueError: the pyramid has one level only.
    """

    def __init__(self, config: RefinerConfig, pyramid: MeshPyramid) -> None:
        super().__init__()
        if len(pyramid) < 2:
            raise ValueError("the refiner pools once and needs a pyramid of two levels, found one")
        self.pyramid = pyramid
        widths = (config.in_channels, *config.channels, config.out_channels)
        self.blocks = nn.ModuleList(
            ChebyshevResidualBlock(
                widths[i], widths[i + 1], config.order, pyramid.laplacian(level), activation=config.activation
            )
            for i, level in enumerate((0, 1, 1, 0, 0))
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, V, in_channels) to (B, V, out_channels)."""
        first, down, deep, up, last = self.blocks
        coarse = deep(down(self.pyramid.pool(first(features), 0)))
        return last(up(self.pyramid.unpool(coarse, 0)))


class CombineNet(nn.Module):
    """T' = tanh(conv([decoded, refined])): one Chebyshev convolution 6 -> 3 without bias.

    Args:
        laplacian: of the finest level.
        order: K.

    Shapes:
        decoded and refined (B, V, 3); output (B, V, 3) in (-1, 1).
    """

    def __init__(self, laplacian: SparseOperator, *, order: int = 6) -> None:
        super().__init__()
        self.conv = ChebyshevConv(6, 3, order, laplacian, bias=False)

    def forward(self, decoded: Tensor, refined: Tensor) -> Tensor:
        """Two times (B, V, 3) to (B, V, 3)."""
        return torch.tanh(self.conv(concatenate(decoded, refined)))
