"""The regressor: a residual network from an aligned crop to raw coefficients.

R-Net of Deng et al. 2019 is a ResNet-50 (He et al. 2016) with one linear head a group of coefficients, initialised to
zero so that training starts from the neutral face. `LIGHT` is the backbone that ships: basic blocks, three quarters
of ResNet-18's width.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from coarse.coefficients import CoefficientLayout
from coarse.weights import load_weights
from render.shapes import check_shape

SHIPPED_WEIGHTS = Path(__file__).parent / "assets" / "regressor.safetensors"


Layer = TypeVar("Layer", bound=nn.Module)


@dataclass(frozen=True)
class ResNetConfig:
    """A residual network's size."""

    depths: tuple[int, int, int, int] = (2, 2, 2, 2)
    """Blocks a stage."""
    width: int = 48
    """Channels of the first stage; each further stage doubles them."""
    bottleneck: bool = False
    """1x1-3x3-1x1 blocks with fourfold output (ResNet-50) instead of two 3x3 convolutions."""

    @property
    def outputs(self) -> int:
        """Channels of the last stage."""
        return (self.width << 3) * (4 if self.bottleneck else 1)


LIGHT = ResNetConfig()
RESNET50 = ResNetConfig(depths=(3, 4, 6, 3), width=64, bottleneck=True)
BACKBONES = {"light": LIGHT, "resnet50": RESNET50}


def normed_conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution of odd kernel that keeps the size over the stride, and batch norm."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def flat_stem(width: int) -> nn.Sequential:
    """`residual_stem` whose layers lie side by side: other names in files, the same function."""
    return nn.Sequential(*normed_conv(3, width, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))


def zeroed(layer: Layer) -> Layer:
    """A linear layer or convolution that answers 0 until it has learned."""
    nn.init.zeros_(layer.get_parameter("weight"))
    nn.init.zeros_(layer.get_parameter("bias"))
    return layer


class ResidualBlock(nn.Module):
    """relu(f(x) + shortcut(x)); He et al. 2016, figure 5.

    Shapes:
        (B, C, H, W) -> (B, C', H / stride, W / stride).
    """

    def __init__(self, inputs: int, width: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        outputs = 4 * width if bottleneck else width
        kernels = (1, 3, 1) if bottleneck else (3, 3)
        channels = [inputs, *[width] * (len(kernels) - 1), outputs]
        strides = [stride if i == len(kernels) - 2 else 1 for i in range(len(kernels))]
        layers: list[nn.Module] = []
        for i, kernel in enumerate(kernels):
            layers += [normed_conv(channels[i], channels[i + 1], kernel, strides[i]), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers[:-1])
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else normed_conv(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return torch.relu(self.body(x) + self.shortcut(x))


def residual_stem(config: ResNetConfig) -> nn.Sequential:
    """(B, 3, H, W) to (B, width, H / 4, W / 4)."""
    return nn.Sequential(normed_conv(3, config.width, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))


def residual_stages(config: ResNetConfig) -> nn.Sequential:
    """(B, width, h, w) to (B, config.outputs, h / 8, w / 8): four stages of residual blocks."""
    blocks: list[nn.Module] = []
    inputs = config.width
    for stage, depth in enumerate(config.depths):
        width = config.width << stage
        for i in range(depth):
            stride = 2 if stage > 0 and i == 0 else 1
            blocks.append(ResidualBlock(inputs, width, stride, bottleneck=config.bottleneck))
            inputs = 4 * width if config.bottleneck else width
    return nn.Sequential(*blocks)


class CoefficientRegressor(nn.Module):
    """Crop to raw coefficient vector (`CoefficientLayout.decode` gives it units).

    Shapes:
        (B, 3, 224, 224) sRGB in [0, 1] -> (B, layout.total).
    """

    def __init__(self, layout: CoefficientLayout, config: ResNetConfig = LIGHT) -> None:
        super().__init__()
        self.stem, self.blocks = residual_stem(config), residual_stages(config)
        self.layout = layout
        self.heads = nn.ModuleDict(
            {name: zeroed(nn.Linear(config.outputs, size)) for name, size in layout.sizes.items()}
        )

    @property
    def head_biases(self) -> list[Tensor]:
        """The biases of the heads, in the order of the vector."""
        return [head.get_parameter("bias") for head in self.heads.values()]

    def features(self, crops: Tensor) -> Tensor:
        """(B, 3, H, W) to pooled features (B, F)."""
        check_shape("crops", crops, "B 3 H W")
        return self.blocks(self.stem(crops * 2 - 1)).mean(dim=(2, 3))

    def forward(self, crops: Tensor) -> Tensor:
        """Raw coefficient vectors (B, layout.total)."""
        return self.coefficients(self.features(crops))

    def coefficients(self, features: Tensor) -> Tensor:
        """Pooled features (B, F) to raw coefficient vectors (B, layout.total)."""
        return torch.cat([head(features) for head in self.heads.values()], dim=1)


def load_regressor(layout: CoefficientLayout, path: Path | None = None) -> CoefficientRegressor:
    """The shipped regressor (or the one at `path`), in evaluation mode.

    Raises:
        WeightsError: the file is missing or damaged, or was trained for another face model.
    """
    return load_weights(CoefficientRegressor(layout), path or SHIPPED_WEIGHTS, "regressor weights")
