"""The 3D morphable model as a differentiable module: coefficients in, a posed, coloured face out.

S = mean + identity_basis @ identity + expression_basis @ expression (Blanz and Vetter 1999; the sum of Deng et al.
2019) and likewise for the albedo, in linear light.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from coarse.coefficients import CoefficientLayout, Coefficients
from coarse.face_model import LANDMARKS5_FROM_468, FaceModel
from coarse.records import CoarseFace
from render.camera import Camera, perspective_camera
from render.lighting import shade
from render.normals import vertex_normals
from render.rotation import rotation_from_axis_angle

CROP_PX = 224
FOCAL_PX = 1015.0
DARKEST_ALBEDO = 0.01
"""Linear albedo below this says nothing of a skin: noise and the encoding's last steps."""
FEATURES_MIDDLE_PX = 121.7
"""Row of the crop where the mid-point between the eyes and the mouth corners stands in the aligned crop."""

FACE_DEPTH_MM = 95.0
"""How far the features' plane lies in front of the model's origin; the crop shows that plane at 1 m (Deng's scale)."""

VIEW_FROM_CAM = (1.0, -1.0, -1.0)
"""Diagonal of the turn between camera axes (y down, z forward) and viewing axes (y up, z to the viewer)."""


def crop_camera(batch: int = 1, side_px: int = CROP_PX) -> Camera:
    """The camera of the aligned crop: focal 1015 px at 224 px (Deng et al. 2019), principal point in the middle."""
    scale = side_px / CROP_PX
    return perspective_camera(FOCAL_PX * scale, (side_px / 2, side_px / 2), (side_px, side_px), batch)


def cam_from_model(rotation: Tensor) -> Tensor:
    """Rotation part (B, 3, 3) from model to camera axes for axis-angle `rotation` (B, 3)."""
    flip = rotation.new_tensor(VIEW_FROM_CAM)
    return flip[:, None] * rotation_from_axis_angle(rotation)


class MorphableModel(nn.Module):
    """A face model's bases as buffers, at one level of its pyramid.

    Args:
        model: the face model's arrays.
        level: 0 is the finest mesh; higher levels are its coarser selections (cheaper to render).

    Shapes:
        identity (B, Ni), expression (B, 52), albedo (B, Na) -> vertices (B, V, 3) mm, albedo (B, V, 3) linear RGB.
    """

    faces: Tensor
    mean: Tensor
    shape_basis: Tensor
    albedo_mean: Tensor
    albedo_basis: Tensor
    landmark_mean: Tensor
    landmark_basis: Tensor
    landmark68_mean: Tensor
    landmark68_basis: Tensor
    vertex_index: Tensor

    def __init__(self, model: FaceModel, level: int = 0) -> None:
        super().__init__()
        if not 0 <= level < len(model.levels):
            raise ValueError(f"level is {level}, the model has levels 0 to {len(model.levels) - 1}")
        index = np.arange(len(model.mean))
        for step in model.levels[:level]:
            index = index[step.down_index]
        shape = np.concatenate([model.identity_basis, model.expression_basis], axis=2)
        self.identity_count, self.expression_count = model.identity_basis.shape[2], model.expression_basis.shape[2]
        self.albedo_count = model.albedo_basis.shape[2]

        def constant(name: str, array: np.ndarray) -> None:
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)), persistent=False)

        constant("vertex_index", index.astype(np.int64))
        constant("faces", model.levels[level].faces.astype(np.int64))
        constant("mean", model.mean[index].astype(np.float32))
        constant("shape_basis", shape[index].reshape(len(index) * 3, -1).astype(np.float32))
        constant("albedo_mean", model.albedo_mean[index].astype(np.float32))
        constant("albedo_basis", model.albedo_basis[index].reshape(len(index) * 3, -1).astype(np.float32))
        for name, points in (("landmark", model.points468), ("landmark68", model.points68)):
            constant(f"{name}_mean", points.on(model.mean, model.faces).astype(np.float32))
            basis = np.einsum("lk,lkcn->lcn", points.bary.astype(np.float32), shape[model.faces[points.face]])
            constant(f"{name}_basis", basis.reshape(len(points.face) * 3, -1).astype(np.float32))
        self.layout = layout_of(model)

    def vertices(self, identity: Tensor, expression: Tensor) -> Tensor:
        """(B, V, 3) mm in model space."""
        weights = torch.cat([identity, expression], dim=1)
        return self.mean + (weights @ self.shape_basis.T).view(len(weights), -1, 3)

    def landmarks468(self, identity: Tensor, expression: Tensor) -> Tensor:
        """(B, 468, 3) mm in model space, without building the whole mesh."""
        weights = torch.cat([identity, expression], dim=1)
        return self.landmark_mean + (weights @ self.landmark_basis.T).view(len(weights), 468, 3)

    def landmarks68(self, identity: Tensor, expression: Tensor) -> Tensor:
        """(B, 68, 3) mm in model space, likewise."""
        weights = torch.cat([identity, expression], dim=1)
        return self.landmark68_mean + (weights @ self.landmark68_basis.T).view(len(weights), 68, 3)

    def albedo(self, albedo: Tensor, skin_tone: Tensor | None = None) -> Tensor:
        """(B, V, 3) linear RGB, kept above a hundredth so that light can be divided out.

        Args:
            albedo: (B, Na) coefficients.
            skin_tone: (B, 3) factor; None means ones.
        """
        colors = self.albedo_mean + (albedo @ self.albedo_basis.T).view(len(albedo), -1, 3)
        return (colors if skin_tone is None else colors * skin_tone[:, None]).clamp(DARKEST_ALBEDO, 1.0)

    def forward(self, coefficients: Coefficients) -> CoarseFace:
        """Shape, pose, colour and shading of `coefficients`."""
        c = coefficients
        verts = self.vertices(c.identity, c.expression)
        verts_cam = self.in_camera(verts, c)
        normals_view = vertex_normals(verts, self.faces) @ rotation_from_axis_angle(c.rotation).transpose(1, 2)
        albedo = self.albedo(c.albedo, c.skin_tone)
        return CoarseFace(c, verts, verts_cam, normals_view, albedo, shade(normals_view, c.lighting))

    def landmarks_cam(self, coefficients: Coefficients) -> Tensor:
        """(B, 468, 3) mm in camera space."""
        c = coefficients
        return self.in_camera(self.landmarks468(c.identity, c.expression), c)

    def landmarks68_cam(self, coefficients: Coefficients) -> Tensor:
        """(B, 68, 3) mm in camera space."""
        c = coefficients
        return self.in_camera(self.landmarks68(c.identity, c.expression), c)

    @staticmethod
    def in_camera(points: Tensor, coefficients: Coefficients) -> Tensor:
        """Points (B, N, 3) of model space in camera space, mm, by the pose of `coefficients`."""
        c = coefficients
        return points @ cam_from_model(c.rotation).transpose(1, 2) + c.translation[:, None]


def layout_of(model: FaceModel) -> CoefficientLayout:
    """The layout for `model`: raw zero puts the middle of eyes and mouth where the crop's template has it, 1 m away."""
    points = model.landmarks468(model.mean)
    five = np.stack([points[list(index)].mean(0) for index in LANDMARKS5_FROM_468])
    below_mm = 1000.0 * (FEATURES_MIDDLE_PX - CROP_PX / 2) / FOCAL_PX
    middle_mm = float(five[[0, 1, 3, 4], 1].mean()) + below_mm
    return CoefficientLayout(
        identity=model.identity_basis.shape[2],
        expression=model.expression_basis.shape[2],
        albedo=model.albedo_basis.shape[2],
        neutral_translation_mm=(0.0, middle_mm, 1000.0 + FACE_DEPTH_MM),
    )
