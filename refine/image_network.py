"""Convolutional U-Net on the texture atlas: the baseline that shows what the graph is worth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from coarse.regressor import zeroed
from refine.chebyshev import ACTIVATIONS, Activation, check_activation
from refine.unet import UNet, calm
from refine.uv_layout import UVLayout


@dataclass(frozen=True)
class ImageUNetConfig:
    """Layout of `ImageUNet`; the defaults have as many parameters as those of `refine.unet.UNetConfig`."""

    channels: tuple[int, ...] = (16, 32, 48, 52, 52)
    """Channels of each level, the full image first; each next has half the side."""
    side: int = 256
    """Texels a side of the full image."""
    embedding_size: int = 512
    """Length of the face embedding."""
    embedding_hidden: int = 64
    """Numbers the embedding is squeezed into before it is spread over the smallest image."""
    embedding_channels: int = 16
    """Channels the embedding gets in the smallest image."""
    activation: Activation = "elu"
    """"relu" or "elu"."""

    def __post_init__(self) -> None:
        sizes = (self.embedding_size, self.embedding_hidden, self.embedding_channels, self.side, *self.channels)
        if len(self.channels) < 2 or min(sizes) < 1:
            raise ValueError(f"image U-Net sizes must all be 1 or more, on two levels or more: {self}")
        halvings = len(self.channels) - 1
        if self.side % 2**halvings:
            raise ValueError(f"side is {self.side}; {halvings} halvings need a multiple of {2**halvings}")
        check_activation(self.activation)


class ImageUNet(UNet):
    r"""`refine.unet.GraphUNet` with 3x3 convolutions on the atlas in place of graph convolutions on the mesh.

    .. math::
        f_l = \mathrm{down}_l(P f_{l-1}), \quad
        g_n = \mathrm{bottom}([f_n, E e]), \quad
        g_l = \mathrm{up}_l([U g_{l+1}, f_l]), \quad
        y = S\, \mathrm{head}(g_0)

    with :math:`f_{-1}` the vertex features drawn on the atlas, P the mean of 2x2 texels, U bilinear enlargement, E two
    small linear maps and S the sampling at the vertices. The head starts at zero, so a new network answers 0.

    Args:
        in_channels: of the vertex features.
        out_channels: of the answer.
        config: layout.
        layout: tables between vertices and atlas, of the configuration's side.

    Shapes:
        features (B, V, in_channels), embedding (B, E) of unit length; output (B, V, out_channels).

    Raises:
        ValueError: layout and configuration differ in side.
    """

    def __init__(self, in_channels: int, out_channels: int, config: ImageUNetConfig, layout: UVLayout) -> None:
        if layout.side != config.side:
            raise ValueError(f"the layout's side is {layout.side}, the configuration's {config.side}: make them agree")

        def block(inputs: int, outputs: int, _: int) -> nn.Module:
            return calm(ImageResidualBlock(inputs, outputs, activation=config.activation))

        self.coarsest = config.side // 2 ** (len(config.channels) - 1)
        super().__init__(in_channels, config, self.coarsest**2, block)
        self.layout = layout
        self.head = zeroed(nn.Conv2d(config.channels[0], out_channels, 3, padding=1))

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """(B, V, in_channels) and (B, E) to (B, V, out_channels)."""
        told = self.embedding(embedding, len(features)).unflatten(1, (self.coarsest, self.coarsest, -1))
        return self.layout.to_vertices(self.answer(self.layout.to_image(features), told.permute(0, 3, 1, 2)))

    def pool(self, image: Tensor, _: int) -> Tensor:
        """The mean of 2x2 texels."""
        return nn.functional.avg_pool2d(image, 2)

    def unpool(self, image: Tensor, _: int) -> Tensor:
        """Enlarge twofold."""
        return nn.functional.interpolate(image, scale_factor=2.0, mode="bilinear")

    def join(self, image: Tensor, other: Tensor) -> Tensor:
        """Channels of both."""
        return torch.cat([image, other], 1)


class ImageResidualBlock(nn.Module):
    r"""y = a(conv_2(a(conv_1(x)))) + s(x), the twin of `refine.chebyshev.ChebyshevResidualBlock` in `GraphUNet`.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        activation: "relu" or "elu".

    Shapes:
        input (B, C_in, H, W), output (B, C_out, H, W).
    """

    def __init__(self, in_channels: int, out_channels: int, *, activation: Activation = "elu") -> None:
        super().__init__()
        same = in_channels == out_channels
        self.first = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.activation = activation
        for name, weight in self.named_parameters():
            if name.endswith("weight"):
                nn.init.kaiming_normal_(weight, nonlinearity="relu")
            else:
                nn.init.zeros_(weight)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H, W)."""
        activate = ACTIVATIONS[self.activation]
        return activate(self.second(activate(self.first(image)))) + self.shortcut(image)
