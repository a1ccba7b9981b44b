"""Critic of the adversarial loss: one score a picture, large for photos and small for drawn faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from render.shapes import check_shape

CriticNorm = Literal["none", "layer", "instance", "batch"]
Pooling = Literal["after", "before"]
POOLS = 5
"""Halvings of the picture's side: 224 to 7."""


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Layout of `Critic`; the defaults are the released code's without its batch norm."""

    side: int = 224
    """Height and width of the pictures, px; 32 or more, halved five times with the odd rows and columns kept."""
    channels: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    """Channels of the six convolutions: a 1x1, then five 3x3."""
    norm: CriticNorm = "none"
    """Normalisation after each of them. The gradient penalty holds the score's slope at each picture by itself, so a
    picture's score must not depend on the others of its batch: "none", "layer" (over a picture's channels and pixels)
    and "instance" (over each channel's pixels) keep to that. "batch" does not, which makes the penalty meaningless
    (Gulrajani et al. 2017, section 4); it is here only so that the released code's layout can be configured."""
    pooling: Pooling = "after"
    """Whether each 3x3 convolution is followed by its 2x2 max-pool or preceded by it. "before" costs a quarter and sees
    single pixels only through the 1x1 convolution."""
    slope: float = 0.2
    """Slope of the leaky ReLU below 0."""

    def __post_init__(self) -> None:
        if self.side < 2**POOLS:
            raise ValueError(f"side is {self.side}; five halvings need {2**POOLS} px or more")
        if len(self.channels) != POOLS + 1 or min(self.channels) < 1:
            raise ValueError(f"channels are {self.channels}; six convolutions need six counts of 1 or more")
        for name, kinds in (("norm", get_args(CriticNorm)), ("pooling", get_args(Pooling))):
            if getattr(self, name) not in kinds:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose one of {kinds}")
        if not 0 <= self.slope < 1:
            raise ValueError(f"slope is {self.slope}; a leaky ReLU has 0 <= slope < 1")


class Critic(nn.Module):
    r"""Six convolutions, five max-pools and a window over what is left (Lin et al. 2020, released layout).

    .. math:: h_0 = a(W_0 x), \quad h_l = \mathrm{pool}(a(W_l * h_{l-1})), \quad D(x) = \langle w, h_5 \rangle + b

    Twice differentiable, as the gradient penalty needs. Pictures keep their memory format, so a channels-last critic
    fed with channels-last pictures stays in it; under autocast the convolutions run in the lower precision and the
    last product in the weights' own.

    Args:
        config: layout.

    Shapes:
        pictures (B, 3, side, side) sRGB in [0, 1]; output (B,).
    """

    def __init__(self, config: DiscriminatorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DiscriminatorConfig()
        before = (3, *config.channels[:-1])
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before[i], width, 3 if i else 1, padding="same", bias=config.norm == "none")
            for i, width in enumerate(config.channels)
        )
        self.norms = nn.ModuleList(_norm(config.norm, width) for width in config.channels)
        self.score = nn.Conv2d(config.channels[-1], 1, -(-config.side // 2**POOLS))
        for module in self.convolutions:
            _reset(module, config.slope)
        _reset(self.score, 1.0)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, side, side) in [0, 1] to (B,) scores.

        Raises:
            ShapeError: pictures of another size.
        """
        check_shape("pictures", pictures, "B 3 H W", H=self.config.side, W=self.config.side)
        features = 2 * pictures - 1
        for step, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            if step and self.config.pooling == "before":
                features = nn.functional.max_pool2d(features, 2, ceil_mode=True)
            features = norm(convolution(features))
            if step and self.config.pooling == "after":  # before the activation, which rises: the same for less work
                features = nn.functional.max_pool2d(features, 2, ceil_mode=True)
            features = nn.functional.leaky_relu(features, self.config.slope)
        with torch.autocast(pictures.device.type, enabled=False):
            return self.score(features.to(self.score.weight.dtype)).flatten()


def _reset(convolution: nn.Module, slope: float) -> None:
    """He normal weights before a leaky ReLU of this slope (1: none), bias 0."""
    assert isinstance(convolution, nn.Conv2d)
    nn.init.kaiming_normal_(convolution.weight, a=slope)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)


def _norm(kind: CriticNorm, channels: int) -> nn.Module:
    if kind == "layer":
        return nn.GroupNorm(1, channels)
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.Identity()
