"""Graph U-Net over the whole mesh pyramid, told by a face embedding at its bottom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

from coarse.regressor import zeroed
from refine.chebyshev import Activation, ChebyshevConv, ChebyshevResidualBlock, check_activation
from refine.layout import concatenate
from refine.pyramid import MeshPyramid
from render.shapes import check_shape

if TYPE_CHECKING:
    from refine.flat_network import FlatConfig
    from refine.image_network import ImageResidualBlock, ImageUNetConfig

Block = TypeVar("Block", "ChebyshevResidualBlock", "ImageResidualBlock")
NewBlock = Callable[[int, int, int], nn.Module]
"""Makes a block of its input channels, output channels and level."""

RESIDUAL_SCALE = 0.1
"""Factor of each block's second convolution at the start. With it, and shortcuts that keep the variance, signals keep
their size through the ten blocks; without it they grow twentyfold and the first steps of Adam overshoot."""


@dataclass(frozen=True)
class UNetConfig:
    """Layout of `GraphUNet`: few channels where the vertices are many, more below."""

    channels: tuple[int, ...] = (16, 32, 64, 64, 64)
    """Channels of each level of the pyramid, the finest first."""
    embedding_size: int = 512
    """Length of the face embedding."""
    embedding_hidden: int = 64
    """Numbers the embedding is squeezed into before it is spread over the coarsest level: keeps that layer small."""
    embedding_channels: int = 16
    """Channels the embedding gets at the coarsest level."""
    order: int = 6
    """Chebyshev polynomials a convolution."""
    activation: Activation = "elu"
    """"relu" or "elu"."""

    def __post_init__(self) -> None:
        sizes = (self.embedding_size, self.embedding_hidden, self.embedding_channels, self.order, *self.channels)
        if len(self.channels) < 2 or min(sizes) < 1:
            raise ValueError(f"U-Net sizes must all be 1 or more, on two levels or more: {self}")
        check_activation(self.activation)


class EmbeddingLayers(nn.Sequential):
    """Two small linear maps by which a network is told the face embedding.

    An L2-normalised embedding is multiplied by the root of its length first, so that its numbers have unit variance.

    Args:
        config: of the network.
        outputs: N.

    Shapes:
        embedding (B, E) of unit length; output (B, N).
    """

    def __init__(self, config: UNetConfig | ImageUNetConfig | FlatConfig, outputs: int) -> None:
        hidden = config.embedding_hidden
        super().__init__(nn.Linear(config.embedding_size, hidden), nn.ELU(), nn.Linear(hidden, outputs))
        self.size = config.embedding_size

    def forward(self, embedding: Tensor, batch: int) -> Tensor:  # type: ignore[override]
        """(B, E) to (B, N)."""
        check_shape("embedding", embedding, "B E", B=batch, E=self.size)
        return super().forward(embedding * self.size**0.5)


class UNet(nn.Module):
    """Blocks down and up some levels, told the embedding on the coarsest: what graph and image U-Nets share.

    Args:
        in_channels: of the finest level's features.
        config: layout.
        coarsest: places on the coarsest level.
        block: makes a block.
    """

    head: nn.Module
    pool: Callable[[Tensor, int], Tensor]
    unpool: Callable[[Tensor, int], Tensor]
    join: Callable[[Tensor, Tensor], Tensor]

    def __init__(self, in_channels: int, config: UNetConfig | ImageUNetConfig, coarsest: int, block: NewBlock) -> None:
        super().__init__()
        width, last = config.channels, len(config.channels) - 1
        below = (in_channels, *width[:-1])
        self.embedding = EmbeddingLayers(config, coarsest * config.embedding_channels)
        self.down = nn.ModuleList(block(below[level], width[level], level) for level in range(last + 1))
        self.bottom = block(width[-1] + config.embedding_channels, width[-1], last)
        self.up = nn.ModuleList(block(width[level + 1] + width[level], width[level], level) for level in range(last))

    def answer(self, features: Tensor, told: Tensor) -> Tensor:
        """What the head makes of features that went down, met `told`, laid out as they are, and came up again."""
        kept = []
        for level, block in enumerate(self.down):
            features = block(features)
            if level < len(self.up):
                kept.append(features)
                features = self.pool(features, level)
        features = self.bottom(self.join(features, told))
        for level in reversed(range(len(self.up))):
            features = self.up[level](self.join(self.unpool(features, level), kept[level]))
        return self.head(features)


class GraphUNet(UNet):
    r"""The paper's refiner carried down to the coarsest level, its decoder made the way back up.

    .. math::
        f_l = \mathrm{down}_l(P f_{l-1}), \quad
        g_n = \mathrm{bottom}([f_n, E e]), \quad
        g_l = \mathrm{up}_l([U g_{l+1}, f_l]), \quad
        y = \mathrm{head}(g_0)

    P chooses vertices, U mixes by barycentric weights, E is two small linear maps. The head starts at zero, so a new
    network answers 0 everywhere.

    Args:
        in_channels: of the vertex features.
        out_channels: of the answer.
        config: layout.
        pyramid: with as many levels as the configuration has channels.

    Shapes:
        features (B, V, in_channels), embedding (B, E) of unit length; output (B, V, out_channels).

    Raises:
        ValueError: pyramid and configuration differ in depth.
    """

    def __init__(self, in_channels: int, out_channels: int, config: UNetConfig, pyramid: MeshPyramid) -> None:
        if len(pyramid) != len(config.channels):
            raise ValueError(f"a pyramid of {len(pyramid)} levels needs as many channels, found {config.channels}")

        def block(inputs: int, outputs: int, level: int) -> nn.Module:
            operator = pyramid.laplacian(level)
            return calm(ChebyshevResidualBlock(inputs, outputs, config.order, operator, activation=config.activation))

        super().__init__(in_channels, config, pyramid.vertex_counts[-1], block)
        self.pyramid = pyramid
        self.head = zeroed(ChebyshevConv(config.channels[0], out_channels, config.order, pyramid.laplacian(0)))

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """(B, V, in_channels) and (B, E) to (B, V, out_channels)."""
        told = self.embedding(embedding, len(features)).unflatten(1, (self.pyramid.vertex_counts[-1], -1))
        return self.answer(features, told)

    def pool(self, features: Tensor, level: int) -> Tensor:
        """Choose the vertices of the next level."""
        return self.pyramid.pool(features, level)

    def unpool(self, features: Tensor, level: int) -> Tensor:
        """Mix the vertices of the next level."""
        return self.pyramid.unpool(features, level)

    join = staticmethod(concatenate)


@torch.no_grad()
def calm(block: Block) -> Block:
    """Scale a new block's weights so that signals keep their size (`RESIDUAL_SCALE`); returns the block."""
    block.second.weight.mul_(RESIDUAL_SCALE)
    if not isinstance(block.shortcut, nn.Identity):
        block.shortcut.weight.mul_(0.5**0.5)
    return block


def dense_unet_config() -> UNetConfig:
    """Fully connected layers at each vertex in place of graph convolutions, as many parameters as `UNetConfig()`.

    Vertices then hear of each other only through the pyramid and the embedding ("FCs for GCN" in Lin et al. 2020).
    """
    return UNetConfig(channels=(32, 64, 136, 136, 136), order=1)
