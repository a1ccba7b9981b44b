"""The pose layers: from points of the model to pixels of the crop, one step of the paper's figure 2 a module.

Rotation and projection together are the scaled-orthographic camera of docs/conventions.md: px = s * (x, y) + t with
x, y in camera axes (y down), `cam_from_model = diag(1, -1, -1) @ R`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from coarse.spatial_transformer.theta import Theta
from render.rotation import rotation_from_axis_angle
from render.shapes import check_shape


class AxisAngleToRotation(nn.Module):
    """Axis-angle (B, 3) rad to rotation matrices (B, 3, 3) by Rodrigues' formula."""

    def forward(self, axis_angle: Tensor) -> Tensor:
        """Rotation matrices."""
        return rotation_from_axis_angle(axis_angle)


class Rotate3d(nn.Module):
    """X' = R X for points (B, N, 3) and rotations (B, 3, 3); viewing axes: x right, y up, z to the viewer."""

    def forward(self, points: Tensor, rotation: Tensor) -> Tensor:
        """Rotated points (B, N, 3)."""
        batch = check_shape("points", points, "B N 3")["B"]
        check_shape("rotation", rotation, "B 3 3", B=batch)
        return points @ rotation.mT


class OrthographicProjection(nn.Module):
    """Viewing axes (B, N, 3) to the image plane (B, N, 2) mm, along z; y turns down, as pixels run."""

    def forward(self, points: Tensor) -> Tensor:
        """Projected points."""
        check_shape("points", points, "B N 3")
        return points[..., :2] * points.new_tensor([1.0, -1.0])


class LogScaleToScale(nn.Module):
    """s = exp(log s), which keeps the scale positive; (B, 1) to (B, 1) px a mm.

    The released code has 0.99 ** log s, the same family with another unit.
    """

    def forward(self, log_scale: Tensor) -> Tensor:
        """Scales."""
        return log_scale.exp()


class Scale2d(nn.Module):
    """s Y for points (B, N, 2) and scales (B, 1)."""

    def forward(self, points: Tensor, scale: Tensor) -> Tensor:
        """Scaled points."""
        batch = check_shape("points", points, "B N 2")["B"]
        check_shape("scale", scale, "B 1", B=batch)
        return points * scale[:, None]


class Translate2d(nn.Module):
    """Y + t for points (B, N, 2) and translations (B, 2)."""

    def forward(self, points: Tensor, translation: Tensor) -> Tensor:
        """Moved points."""
        batch = check_shape("points", points, "B N 2")["B"]
        check_shape("translation", translation, "B 2", B=batch)
        return points + translation[:, None]


class PoseLayers(nn.Module):
    """Rotation, projection, scaling and translation in a row.

    Shapes:
        points (B, N, 3) mm, theta of B -> (B, N, 3): x_px, y_px, and the depth in mm, away from the camera.
    """

    def __init__(self) -> None:
        super().__init__()
        self.to_rotation, self.rotate = AxisAngleToRotation(), Rotate3d()
        self.project, self.to_scale = OrthographicProjection(), LogScaleToScale()
        self.scale, self.translate = Scale2d(), Translate2d()

    def rotated(self, points: Tensor, theta: Theta) -> Tensor:
        """(B, N, 3) mm in viewing axes."""
        return self.rotate(points, self.to_rotation(theta.rotation))

    def plane(self, rotated: Tensor, theta: Theta) -> Tensor:
        """(B, N, 2) crop px of rotated points."""
        scaled = self.scale(self.project(rotated), self.to_scale(theta.log_scale))
        return self.translate(scaled, theta.translation)

    def forward(self, points: Tensor, theta: Theta) -> Tensor:
        """Screen points."""
        rotated = self.rotated(points, theta)
        return torch.cat([self.plane(rotated, theta), -rotated[..., 2:]], dim=2)
