"""Graph network without a pyramid: the ablation that shows what the coarser levels are worth."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from coarse.regressor import zeroed
from refine.chebyshev import Activation, ChebyshevConv, ChebyshevResidualBlock, check_activation
from refine.pyramid import MeshPyramid
from refine.unet import EmbeddingLayers, calm


@dataclass(frozen=True)
class FlatConfig:
    """Layout of `FlatGraphNet`; the defaults have as many parameters as those of `refine.unet.UNetConfig`.

    That costs about eight times the U-Net's time, because every parameter works on all vertices: as fast as the U-Net,
    with a tenth of its parameters, is `FlatConfig(channels=16, blocks=8, embedding_hidden=64)`.
    """

    channels: int = 64
    """Channels of every block."""
    blocks: int = 8
    """Residual blocks; each lets a vertex hear of those 2 (order - 1) edges further away."""
    embedding_size: int = 512
    """Length of the face embedding."""
    embedding_hidden: int = 312
    """Numbers the embedding is turned into before the biases; about as many parameters as in the U-Net go there."""
    order: int = 6
    """Chebyshev polynomials a convolution."""
    activation: Activation = "elu"
    """"relu" or "elu"."""

    def __post_init__(self) -> None:
        sizes = (self.channels, self.blocks, self.embedding_size, self.embedding_hidden, self.order)
        if min(sizes) < 1:
            raise ValueError(f"sizes of the flat network must all be 1 or more: {self}")
        check_activation(self.activation)


class FlatGraphNet(nn.Module):
    r"""Residual Chebyshev blocks on the finest level, each followed by biases that the embedding chooses.

    .. math:: h_i = \mathrm{block}_i(h_{i-1}) + (E e)_i, \qquad y = \mathrm{head}(h_n)

    With no coarse level to let the embedding in at, each block adds one number a channel to every vertex (the shift of
    Perez et al., "FiLM", 2018). The head starts at zero, so a new network answers 0.

    Args:
        in_channels: of the vertex features.
        out_channels: of the answer.
        config: layout.
        pyramid: of which the finest level is used.

    Shapes:
        features (B, V, in_channels), embedding (B, E) of unit length; output (B, V, out_channels).
    """

    def __init__(self, in_channels: int, out_channels: int, config: FlatConfig, pyramid: MeshPyramid) -> None:
        super().__init__()
        self.config = config
        self.pyramid = pyramid
        self.embedding = EmbeddingLayers(config, config.blocks * config.channels)
        operator = pyramid.laplacian(0)
        before = (in_channels, *[config.channels] * (config.blocks - 1))
        self.blocks = nn.ModuleList(
            calm(ChebyshevResidualBlock(width, config.channels, config.order, operator, activation=config.activation))
            for width in before
        )
        self.head = zeroed(ChebyshevConv(config.channels, out_channels, config.order, operator))

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """(B, V, in_channels) and (B, E) to (B, V, out_channels)."""
        told = self.embedding(embedding, len(features)).unflatten(1, (self.config.blocks, 1, self.config.channels))
        for block, bias in zip(self.blocks, told.unbind(1), strict=True):
            features = block(features) + bias
        return self.head(features)
