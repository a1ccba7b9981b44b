"""Networks from a window of a photograph to a UV position map.

`PRNet` is the published encoder-decoder (Feng et al., ECCV 2018): a residual encoder from 256 to 8 px and transposed
convolutions back. `PositionMapNetwork` ships: as in "SADRNet: self-aligned dual face regression networks" (Ruan et al.
2021) the pose and the deformation are found apart, P = A T + t + D, where T is the mean face's map, A and t come from
the pooled features and D from a light decoder; an image's 8 x 8 features lie in the photograph's frame, the map in the
face's, and the pose is most of what stands between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from coarse.position_map import WINDOW_PX, PositionMapLayout
from coarse.regressor import ResidualBlock, flat_stem, normed_conv, zeroed
from coarse.weights import load_weights
from render.shapes import check_shape

SHIPPED_WEIGHTS = Path(__file__).parent / "assets" / "position_map.safetensors"

TYPICAL_ERROR_PERCENT = 2.5
"""What an untrained network expects of its maps; answers are exponents of e on it."""

EXPONENT_LIMIT = 4.0

DEFORMATION_UNIT_PX = 8.0
POSE_UNIT = 0.1
SHIFT_UNIT_PX = 10.0


@dataclass(frozen=True)
class PositionMapConfig:
    """Size of the light network."""

    stem: int = 32
    """Channels at 64 px after the first convolution and pooling."""
    encoder: tuple[int, ...] = (64, 128, 192, 256)
    """Channels at 64, 32, 16 and 8 px, two residual blocks each."""
    decoder: tuple[int, ...] = (128, 96, 64, 32)
    """Channels at 16, 32, 64 and 128 px; the map is enlarged twofold at the end."""


@dataclass(frozen=True)
class PositionAnswer:
    """Position maps, and what the network thinks of them.

    Attributes:
        maps: (B, 3, S, S): x, y in window px; z in px, away from the camera, 0 at the model's origin.
        expected_error_percent: (B,) mean distance in the picture between the map's points and the true ones that the
            network expects, in percent of the root of the area of their box; without meaning where there is no face.
        face_logit: (B,) logarithm of the odds that the window shows a face.
    """

    maps: Tensor
    expected_error_percent: Tensor
    face_logit: Tensor


class PositionMapNetwork(nn.Module):
    """P = A T + t + D.

    Shapes:
        (B, 3, 256, 256) sRGB in [0, 1] -> (B, 3, S, S): x, y in window px; z in px, away from the camera, 0 at the
        model's origin. `answer` also tells how far they may be trusted.
    """

    template: Tensor
    center: Tensor

    def __init__(self, layout: PositionMapLayout, config: PositionMapConfig = PositionMapConfig()) -> None:
        super().__init__()
        self.stem = flat_stem(config.stem)
        blocks: list[nn.Module] = []
        channels = config.stem
        for i, width in enumerate(config.encoder):
            blocks += [ResidualBlock(channels, width, 1 if i == 0 else 2, bottleneck=False)]
            blocks += [ResidualBlock(width, width, 1, bottleneck=False)]
            channels = width
        self.encoder = nn.Sequential(*blocks)
        self.pose = zeroed(nn.Linear(channels, 12))
        self.trust = nn.Sequential(nn.Linear(channels, 64), nn.ReLU(inplace=True), zeroed(nn.Linear(64, 2)))
        self.context = nn.Linear(channels, channels)
        self.decoder = nn.ModuleList()
        for width in config.decoder:
            self.decoder.append(nn.Sequential(*normed_conv(channels, width, 3), nn.ReLU(inplace=True)))
            channels = width
        self.deformation = zeroed(nn.Conv2d(channels, 3, 3, padding=1))
        self.layout = layout
        center = layout.template.mean(dim=(1, 2), keepdim=True)
        self.register_buffer("center", center, persistent=False)
        self.register_buffer("template", layout.template - center, persistent=False)

    def forward(self, windows: Tensor) -> Tensor:
        """Position maps of windows."""
        return self.answer(windows).maps

    def answer(self, windows: Tensor) -> PositionAnswer:
        """Position maps of windows (B, 3, 256, 256) and how far they may be trusted."""
        check_shape("windows", windows, f"B 3 {WINDOW_PX} {WINDOW_PX}")
        features = self.encoder(self.stem(windows * 2 - 1))
        pooled = features.mean(dim=(2, 3))
        x = features + self.context(pooled)[:, :, None, None]
        for block in self.decoder:
            x = block(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        deformation = self.deformation(x).float() * DEFORMATION_UNIT_PX
        side = self.template.shape[1:]
        deformation = functional.interpolate(deformation, tuple(side), mode="bilinear", align_corners=False)
        error, logit = self.trust(pooled).float().unbind(1)
        expected = TYPICAL_ERROR_PERCENT * error.clamp(-EXPONENT_LIMIT, EXPONENT_LIMIT).exp()
        return PositionAnswer(self._posed(self.pose(pooled).float()) + deformation, expected, logit)

    @torch.no_grad()
    def move(self, offset: Tensor) -> None:
        """Add to all answers what an affine map of the mean face expresses of an offset (3, S, S), px."""
        check_shape("offset", offset, "3 S S", S=self.template.shape[1])
        basis = torch.cat([self.template, torch.ones_like(self.template[:1])]).flatten(1).double()
        affine = torch.linalg.lstsq(basis.T, offset.to(basis).flatten(1).T).solution.T
        raw = torch.cat([affine[:, :3].flatten() / POSE_UNIT, affine[:, 3] / SHIFT_UNIT_PX])
        self.pose.bias.add_(raw.to(self.pose.bias))

    def _posed(self, raw: Tensor) -> Tensor:
        """A T + t for the twelve raw numbers (B, 12) of the pose."""
        matrix = torch.eye(3, device=raw.device) + POSE_UNIT * raw[:, :9].view(-1, 3, 3)
        shift = SHIFT_UNIT_PX * raw[:, 9:]
        return torch.einsum("bij,jhw->bihw", matrix, self.template) + self.center + shift[:, :, None, None]


class PRNet(nn.Module):
    """The published network ("resfcn256"): ten residual blocks down to 8 px, seventeen transposed convolutions up.

    The sigmoid's answer is scaled to 1.1 times the window, as published; depth, which was counted from the nearest
    point there, is here centred on the model's origin.

    Shapes:
        (B, 3, 256, 256) sRGB in [0, 1] -> (B, 3, 256, 256), as `PositionMapNetwork`.
    """

    RANGE = 1.1
    ENCODER = (32, 32, 64, 64, 128, 128, 256, 256, 512, 512)
    DECODER = ((512, 1), (256, 3), (128, 3), (64, 3), (32, 2), (16, 2), (3, 3))
    """Channels and how many transposed convolutions; all but the first and the last group begin by doubling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Same(3, 16, 1)
        blocks: list[nn.Module] = []
        channels = 16
        for i, width in enumerate(self.ENCODER):
            blocks.append(_PublishedBlock(channels, width, 2 if i % 2 == 0 else 1))
            channels = width
        self.encoder = nn.Sequential(*blocks)
        layers: list[nn.Module] = []
        for group, (width, count) in enumerate(self.DECODER):
            doubles = 0 < group < len(self.DECODER) - 1
            for i in range(count):
                layers.append(_Transposed(channels, width, 2 if doubles and i == 0 else 1))
                channels = width
        layers[-1] = _Transposed(channels, 3, 1, sigmoid=True)
        self.decoder = nn.Sequential(*layers)

    def forward(self, windows: Tensor) -> Tensor:
        """Position maps of windows."""
        check_shape("windows", windows, f"B 3 {WINDOW_PX} {WINDOW_PX}")
        answer = self.decoder(self.encoder(self.stem(windows))).float() * (WINDOW_PX * self.RANGE)
        return answer - answer.new_tensor([0.0, 0.0, WINDOW_PX * self.RANGE / 2])[:, None, None]


class _Same(nn.Sequential):
    """A 4 x 4 convolution padded to the input's size over the stride, batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        pad = nn.ZeroPad2d((1, 2, 1, 2) if stride == 1 else 1)
        conv = nn.Conv2d(inputs, outputs, 4, stride, bias=False)
        super().__init__(pad, conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class _PublishedBlock(nn.Module):
    """1 x 1 to half the channels, 4 x 4 with the stride, 1 x 1; the sum with the shortcut is normalised."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half = outputs // 2
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        self.body = nn.Sequential(
            *normed_conv(inputs, half, 1),
            nn.ReLU(inplace=True),
            _Same(half, half, stride),
            nn.Conv2d(half, outputs, 1, bias=False),
        )
        self.norm = nn.Sequential(nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return self.norm(self.body(x) + self.shortcut(x))


class _Transposed(nn.Module):
    """A 4 x 4 transposed convolution that keeps or doubles the size, batch norm, and ReLU or a sigmoid."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, sigmoid: bool = False) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.stride, self.sigmoid = stride, sigmoid

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        rows, columns = x.shape[2] * self.stride, x.shape[3] * self.stride
        y = self.norm(self.conv(x)[:, :, :rows, :columns])
        return torch.sigmoid(y) if self.sigmoid else torch.relu(y)


NETWORKS = ("light", "prnet")


def make_position_map_network(layout: PositionMapLayout, name: str = "light") -> nn.Module:
    """An untrained network, one of `NETWORKS`.

    Raises:
        ValueError: another name, or PRNet for maps of another size than its own.
    """
    if name == "light":
        return PositionMapNetwork(layout)
    if name == "prnet":
        if layout.side != WINDOW_PX:
            raise ValueError(f"PRNet answers maps of {WINDOW_PX} texels, the layout has {layout.side}")
        return PRNet()
    raise ValueError(f"network is {name!r}; expected one of {NETWORKS}")


def load_position_map_network(layout: PositionMapLayout, path: Path | None = None) -> PositionMapNetwork:
    """The shipped network (or light weights at `path`), in evaluation mode.

    Raises:
        WeightsError: the file is missing or damaged, or holds other weights.
    """
    return load_weights(PositionMapNetwork(layout), path or SHIPPED_WEIGHTS, "position map weights")
