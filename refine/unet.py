"""Graph U-Net over the whole mesh pyramid, told by a face embedding at its bottom."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from refine.chebyshev import ACTIVATIONS, Activation, ChebyshevConv, ChebyshevResidualBlock
from refine.layout import concatenate
from refine.pyramid import MeshPyramid
from render.shapes import check_shape

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
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation is {self.activation!r}; choose one of {sorted(ACTIVATIONS)}")


class GraphUNet(nn.Module):
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
        super().__init__()
        if len(pyramid) != len(config.channels):
            raise ValueError(f"a pyramid of {len(pyramid)} levels needs as many channels, found {config.channels}")
        self.config = config
        self.pyramid = pyramid
        self.embedding = nn.Sequential(
            nn.Linear(config.embedding_size, config.embedding_hidden),
            nn.ELU(),
            nn.Linear(config.embedding_hidden, pyramid.vertex_counts[-1] * config.embedding_channels),
        )
        width = config.channels
        below = (in_channels, *width[:-1])
        self.down = nn.ModuleList(self._block(below[level], width[level], level) for level in range(len(width)))
        self.bottom = self._block(width[-1] + config.embedding_channels, width[-1], len(width) - 1)
        self.up = nn.ModuleList(
            self._block(width[level + 1] + width[level], width[level], level) for level in range(len(width) - 1)
        )
        self.head = ChebyshevConv(width[0], out_channels, config.order, pyramid.laplacian(0))
        nn.init.zeros_(self.head.weight)

    def _block(self, in_channels: int, out_channels: int, level: int) -> ChebyshevResidualBlock:
        operator = self.pyramid.laplacian(level)
        block = ChebyshevResidualBlock(
            in_channels, out_channels, self.config.order, operator, activation=self.config.activation
        )
        return calm(block)

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """(B, V, in_channels) and (B, E) to (B, V, out_channels)."""
        check_shape("embedding", embedding, "B E", B=len(features), E=self.config.embedding_size)
        kept = []
        for level, block in enumerate(self.down):
            features = block(features)
            if level < len(self.up):
                kept.append(features)
                features = self.pyramid.pool(features, level)
        told = self.embedding(embedding * self.config.embedding_size**0.5)
        told = told.unflatten(1, (self.pyramid.vertex_counts[-1], self.config.embedding_channels))
        features = self.bottom(concatenate(features, told))
        for level in reversed(range(len(self.up))):
            features = self.up[level](concatenate(self.pyramid.unpool(features, level), kept[level]))
        return self.head(features)


@torch.no_grad()
def calm(block: ChebyshevResidualBlock) -> ChebyshevResidualBlock:
    """Scale a new block's weights so that signals keep their size (`RESIDUAL_SCALE`); returns the block."""
    block.second.weight.mul_(RESIDUAL_SCALE)
    if isinstance(block.shortcut, ChebyshevConv):
        block.shortcut.weight.mul_(0.5**0.5)
    return block


def dense_unet_config() -> UNetConfig:
    """Fully connected layers at each vertex in place of graph convolutions, as many parameters as `UNetConfig()`.

    Vertices then hear of each other only through the pyramid and the embedding ("FCs for GCN" in Lin et al. 2020).
    """
    return UNetConfig(channels=(32, 64, 136, 136, 136), order=1)
