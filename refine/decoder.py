"""Graph decoder: from a face embedding to a colour for every vertex (Lin et al. 2020, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from refine.chebyshev import ACTIVATIONS, Activation, ChebyshevResidualBlock, check_activation
from refine.pyramid import MeshPyramid
from render.shapes import check_shape


@dataclass(frozen=True)
class DecoderConfig:
    """Layout of `GraphDecoder`; the defaults are the paper's with FaceNet's 512 numbers."""

    embedding_size: int = 512
    """Length of the face embedding."""
    channels: tuple[int, ...] = (32, 16, 16, 16)
    """Channels after the fully connected layer and after each block but the last; one number a step up the pyramid."""
    out_channels: int = 3
    """Channels of the last block: colours."""
    order: int = 6
    """Chebyshev polynomials a convolution."""
    activation: Activation = "relu"
    """"relu" as in the paper, "elu" as in the released code."""

    def __post_init__(self) -> None:
        numbers = (self.embedding_size, self.out_channels, self.order, *self.channels)
        if not self.channels or min(numbers) < 1:
            raise ValueError(f"decoder sizes must all be 1 or more, with one channel count a step up: {self}")
        check_activation(self.activation)


class GraphDecoder(nn.Module):
    r"""Fully connected layer onto the coarsest level, then (un-pool, residual block) up to the finest.

    .. math:: h_n = a(W e + b), \qquad h_l = \mathrm{block}_l(U_l h_{l+1}), \quad l = n-1, \dots, 0

    An L2-normalised embedding is multiplied by the root of its length first, so that its numbers have unit variance.

    Args:
        config: layout.
        pyramid: with one level more than the configuration has channels.

    Shapes:
        embedding (B, E) of unit length; output (B, V, out_channels).

    Raises:
        ValueError: pyramid and configuration differ in depth.
    """

    def __init__(self, config: DecoderConfig, pyramid: MeshPyramid) -> None:
        super().__init__()
        if len(pyramid) != len(config.channels) + 1:
            raise ValueError(
                f"a pyramid of {len(pyramid)} levels needs {len(pyramid) - 1} decoder channels, found {config.channels}"
            )
        self.config = config
        self.pyramid = pyramid
        self.dense = nn.Linear(config.embedding_size, pyramid.vertex_counts[-1] * config.channels[0])
        nn.init.kaiming_normal_(self.dense.weight, nonlinearity="relu")
        nn.init.zeros_(self.dense.bias)
        widths = (*config.channels, config.out_channels)
        self.blocks = nn.ModuleList(
            ChebyshevResidualBlock(
                inputs, outputs, config.order, pyramid.laplacian(level), activation=config.activation
            )
            for level, (inputs, outputs) in zip(self._levels(), pairwise(widths), strict=True)
        )

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, E) to (B, V, out_channels)."""
        check_shape("embedding", embedding, "B E", E=self.config.embedding_size)
        scaled = embedding * self.config.embedding_size**0.5
        coarse = ACTIVATIONS[self.config.activation](self.dense(scaled))
        features = coarse.unflatten(1, (self.pyramid.vertex_counts[-1], self.config.channels[0]))
        for level, block in zip(self._levels(), self.blocks, strict=True):
            features = block(self.pyramid.unpool(features, level))
        return features

    def _levels(self) -> range:
        """Those that the blocks work on, in their order."""
        return range(len(self.config.channels) - 1, -1, -1)
