"""A small network from a window of a photograph to the pose of the head in it, at any turn in the plane.

It looks before the larger networks, which know faces that stand upright in their window. The rotation is answered as
two directions that are made orthonormal: continuous over all rotations, as angles and quaternions are not (Zhou,
Barnes, Lu, Yang and Li, "On the continuity of rotation representations in neural networks", CVPR 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from coarse.morphable import VIEW_FROM_CAM, MorphableModel
from coarse.position_map import WINDOW_PX, window_camera, window_points
from coarse.regressor import ResidualBlock, normed_conv, zeroed
from coarse.weights import load_weights
from render.shapes import check_shape

SHIPPED_WEIGHTS = Path(__file__).parent / "assets" / "pose.safetensors"

INPUT_PX = 96
"""Side to which windows are shrunk."""

TYPICAL_ERROR_PERCENT = 3.0
"""What an untrained network expects of its pose; answers are exponents of e on it."""

EXPONENT_LIMIT = 4.0
SHIFT_UNIT_PX = 30.0
SCALE_UNIT = 0.3


@dataclass(frozen=True)
class PoseAnswer:
    """Heads as rigid bodies before a scaled orthographic camera, and how far they may be trusted.

    window px = scale * (diag(1, -1, -1) @ rotation @ model mm) + (x, y, 0); x right, y down, z away from the camera.

    Attributes:
        rotation: (B, 3, 3) proper, in viewing axes; the identity looks into the camera.
        scale: (B,) px a mm.
        translation: (B, 2) window px: where the model's origin (between the ears) lies.
        expected_error_percent: (B,) mean distance in the picture between the posed mean face's landmarks and the true
            ones that the network expects, in percent of the root of the area of their box.
        face_logit: (B,) logarithm of the odds that the window shows a face.
    """

    rotation: Tensor
    scale: Tensor
    translation: Tensor
    expected_error_percent: Tensor
    face_logit: Tensor

    def points(self, model: Tensor) -> Tensor:
        """Where points (N, 3) of model space, mm, lie: (B, N, 3) window px; z away from the camera."""
        turned = (model @ self.rotation.mT) * self.rotation.new_tensor(VIEW_FROM_CAM)
        placed = self.scale[:, None, None] * turned
        return torch.cat([placed[..., :2] + self.translation[:, None], placed[..., 2:]], dim=2)


class PoseNetwork(nn.Module):
    """Residual blocks on a shrunk window and one linear layer.

    Args:
        neutral_scale: px a mm of a face that lies as the crop's template has it.
        neutral_translation: window px likewise.

    Shapes:
        (B, 3, 256, 256) sRGB in [0, 1] -> `PoseAnswer`.
    """

    CHANNELS = (24, 32, 64, 96, 160)
    """After the first convolution at 48 px, and of two blocks each at 24, 12, 6 and 3 px."""

    neutral: Tensor

    def __init__(self, neutral_scale: float, neutral_translation: tuple[float, float]) -> None:
        super().__init__()
        first, *widths = self.CHANNELS
        layers: list[nn.Module] = [normed_conv(3, first, 3, 2), nn.ReLU(inplace=True)]
        channels = first
        for width in widths:
            layers += [ResidualBlock(channels, width, 2, bottleneck=False)]
            layers += [ResidualBlock(width, width, 1, bottleneck=False)]
            channels = width
        self.body = nn.Sequential(*layers)
        self.hidden = nn.Sequential(nn.Linear(9 * channels, 192), nn.ReLU(inplace=True))
        self.head = zeroed(nn.Linear(192, 11))
        self.register_buffer("neutral", torch.tensor([neutral_scale, *neutral_translation]), persistent=False)

    def forward(self, windows: Tensor) -> PoseAnswer:
        """Poses of the heads in windows."""
        check_shape("windows", windows, f"B 3 {WINDOW_PX} {WINDOW_PX}")
        small = interpolate(windows, (INPUT_PX, INPUT_PX), mode="area")
        raw = self.head(self.hidden(self.body(small * 2 - 1).flatten(1))).float()
        scale, x, y = self.neutral
        upright = raw.new_tensor([1.0, 0, 0, 0, 1.0, 0])
        return PoseAnswer(
            rotation=rotation_from_directions(raw[:, :6] + upright),
            scale=scale * (SCALE_UNIT * raw[:, 6].clamp(-EXPONENT_LIMIT, EXPONENT_LIMIT)).exp(),
            translation=torch.stack([x, y]) + SHIFT_UNIT_PX * raw[:, 7:9],
            expected_error_percent=TYPICAL_ERROR_PERCENT * raw[:, 9].clamp(-EXPONENT_LIMIT, EXPONENT_LIMIT).exp(),
            face_logit=raw[:, 10],
        )


def rotation_from_directions(six: Tensor) -> Tensor:
    """(B, 6), where the head's x and y axes point, to proper rotations (B, 3, 3) of such columns (Zhou, eq. 15)."""
    check_shape("six", six, "B N", N=6)
    x = normalize(six[:, :3], dim=1)
    y = normalize(six[:, 3:] - (x * six[:, 3:]).sum(1, keepdim=True) * x, dim=1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=2)


def make_pose_network(model: MorphableModel) -> PoseNetwork:
    """An untrained network for a face model (at any level), which answers the neutral pose."""
    mean, neutral = model.landmark_mean, neutral_landmarks(model)
    middle = (mean - mean.mean(0))[:, :2] * mean.new_tensor(VIEW_FROM_CAM[:2])
    there = neutral[:, :2] - neutral[:, :2].mean(0)
    scale = float((middle * there).sum() / middle.square().sum())
    at = neutral[:, :2].mean(0) - scale * mean.mean(0)[:2] * mean.new_tensor(VIEW_FROM_CAM[:2])
    return PoseNetwork(scale, (float(at[0]), float(at[1])))


def neutral_landmarks(model: MorphableModel) -> Tensor:
    """(468, 3) window px of the mean face in the neutral pose; z away from the camera."""
    neutral = model.layout.decode(torch.zeros(1, model.layout.total))
    return window_points(model.landmark_mean[None], neutral, window_camera())[0]


def load_pose_network(model: MorphableModel, path: Path | None = None) -> PoseNetwork:
    """The shipped network (or the one at `path`), in evaluation mode.

    Raises:
        WeightsError: the file is missing or damaged, or holds other weights.
    """
    return load_weights(make_pose_network(model), path or SHIPPED_WEIGHTS, "pose weights")
