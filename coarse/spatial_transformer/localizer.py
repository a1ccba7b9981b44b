"""The localiser: a network from an aligned crop to raw theta.

The published one is VGG-Face (VGG-16) with a new last layer, whose weights begin at a thousandth of Xavier's so that
training starts from the mean face in the crop's middle. The one that ships is the regressor's residual network at half
the width of ResNet-18.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from coarse.regressor import RESNET50, ResNetConfig, flat_stem, residual_stages
from coarse.spatial_transformer.theta import ThetaLayout
from coarse.weights import load_weights
from render.shapes import check_shape

SHIPPED_WEIGHTS = Path(__file__).parents[1] / "assets" / "stn.safetensors"

LIGHT = ResNetConfig(width=32)
"""5.6 MB as float16."""

NEW_WEIGHTS = 0.001
"""Factor on the last layer's weights at the start, as published."""

_VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


class ResidualBackbone(nn.Module):
    """Stem, residual stages and the mean over the picture.

    Shapes:
        (B, 3, 224, 224) sRGB in [0, 1] -> (B, features).
    """

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.stem, self.blocks = flat_stem(config.width), residual_stages(config)
        self.outputs = config.outputs

    def forward(self, crops: Tensor) -> Tensor:
        """Pooled features."""
        return self.blocks(self.stem(crops * 2 - 1)).mean(dim=(2, 3))


class VggBackbone(nn.Module):
    """VGG-16 up to its second fully connected layer, as in VGG-Face (Parkhi et al. 2015), whose weights are not open.

    Shapes:
        (B, 3, 224, 224) sRGB in [0, 1] -> (B, 4096).
    """

    outputs = 4096

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for width, depth in _VGG16:
            for _ in range(depth):
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = width
            layers.append(nn.MaxPool2d(2))
        self.convolutions = nn.Sequential(*layers)
        hidden = [nn.Linear(512 * 7 * 7, 4096), nn.ReLU(inplace=True), nn.Linear(4096, 4096), nn.ReLU(inplace=True)]
        self.connected = nn.Sequential(nn.Flatten(), *hidden)

    def forward(self, crops: Tensor) -> Tensor:
        """Features of the second fully connected layer."""
        return self.connected(self.convolutions(crops * 2 - 1))


BACKBONES: dict[str, ResNetConfig | None] = {"light": LIGHT, "resnet50": RESNET50, "vgg16": None}
"""By name: the residual networks' sizes; None is VGG-16."""


class Localizer(nn.Module):
    """Crop to raw theta (`ThetaLayout.decode` gives it units).

    Args:
        layout: what theta holds.
        backbone: a key of `BACKBONES`.

    Shapes:
        (B, 3, 224, 224) sRGB in [0, 1] -> (B, layout.total).
    """

    def __init__(self, layout: ThetaLayout, backbone: str = "light") -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f"backbone is {backbone!r}; it must be one of {sorted(BACKBONES)}")
        config = BACKBONES[backbone]
        self.layout = layout
        self.backbone = VggBackbone() if config is None else ResidualBackbone(config)
        self.head = nn.Linear(self.backbone.outputs, layout.total)
        nn.init.xavier_uniform_(self.head.weight, gain=NEW_WEIGHTS)
        nn.init.zeros_(self.head.bias)

    def forward(self, crops: Tensor) -> Tensor:
        """Raw theta (B, layout.total)."""
        check_shape("crops", crops, "B 3 H W")
        return self.head(self.backbone(crops))


def load_localizer(layout: ThetaLayout, path: Path | None = None) -> Localizer:
    """The shipped localiser (or the one at `path`), in evaluation mode.

    Raises:
        WeightsError: the file is missing or damaged, or was trained for another theta.
    """
    return load_weights(Localizer(layout), path or SHIPPED_WEIGHTS, "localiser weights")
