"""The model layer: shape parameters to points, on vertices, on landmarks, or on a grid of the face chart."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn

from coarse.face_model import FaceModel
from render.baking import texel_map
from render.shapes import check_shape


class LinearModel(nn.Module):
    """X(alpha) = mean + basis alpha (Blanz and Vetter 1999; the paper's "3D morphable model layer").

    Args:
        mean: (N, 3) mm, model space.
        basis: (N, 3, K) mm a parameter.

    Shapes:
        (B, K) -> (B, N, 3).
    """

    mean: Tensor
    basis: Tensor

    def __init__(self, mean: Tensor, basis: Tensor) -> None:
        super().__init__()
        count = check_shape("mean", mean, "N 3")["N"]
        check_shape("basis", basis, "N 3 K", N=count)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("basis", basis.reshape(3 * count, -1).contiguous(), persistent=False)

    def forward(self, alpha: Tensor) -> Tensor:
        """Points (B, N, 3) of parameters (B, K)."""
        check_shape("alpha", alpha, "B K", K=self.basis.shape[1])
        return self.mean + (alpha @ self.basis.mT).view(len(alpha), -1, 3)


class UvGrid(nn.Module):
    """Values at the vertices of a face model, resampled at the S x S texel centres of its face chart.

    Barycentric weights inside the chart's faces (the paper's section 4, "sampling"). A texel that no face covers takes
    the nearest covered one's point and is not in `mask`. Row 0 is v = 1; the mirror plane u = 1/2 lies between the two
    middle columns: mirroring the face flips the grid.

    Args:
        model: the face model.
        side: texels a side, S; even, so that the mirror plane lies between two columns. Published: 112.

    Shapes:
        (B, V, C) -> (B, S * S, C), rows of the grid one after the other.

    Raises:
        ValueError: the side is odd or too small.
    """

    vertex: Tensor
    weight: Tensor
    mask: Tensor

    def __init__(self, model: FaceModel, side: int) -> None:
        super().__init__()
        if side < 4 or side % 2:
            raise ValueError(f"side is {side}; expected an even number of texels from 4 up")
        self.side = side
        faces = torch.from_numpy(model.faces[model.chart_faces].astype(np.int64))
        texels = texel_map(torch.from_numpy(np.nan_to_num(model.chart_uv, nan=-1.0)), faces, side)
        covered = texels.mask & texels.mask.flip(1)
        empty = ~covered[:, : side // 2].numpy()
        rows, columns = distance_transform_edt(empty, return_distances=False, return_indices=True)
        rows, columns = np.hstack([rows, rows[:, ::-1]]), np.hstack([columns, side - 1 - columns[:, ::-1]])
        face, weight = texels.face[rows, columns], texels.bary[rows, columns]
        self.register_buffer("vertex", faces[face].view(-1, 3), persistent=False)
        self.register_buffer("weight", weight.reshape(-1, 3), persistent=False)
        self.register_buffer("mask", covered, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Values (B, V, C) at the vertices to (B, S * S, C) at the texels."""
        batch, _, channels = values.shape
        corners = values.index_select(1, self.vertex.flatten()).view(batch, -1, 3, channels)
        return (corners * self.weight.to(values)[..., None]).sum(2)


def shape_basis(model: FaceModel, identity: int, expression: int) -> Tensor:
    """(V, 3, identity + expression) mm: the first components of both bases, side by side."""
    parts = [model.identity_basis[..., :identity], model.expression_basis[..., :expression]]
    return torch.from_numpy(np.concatenate(parts, axis=2).astype(np.float32))


def vertex_model(model: FaceModel, identity: int, expression: int) -> LinearModel:
    """The layer that gives all vertices."""
    return LinearModel(torch.from_numpy(model.mean), shape_basis(model, identity, expression))


def landmark_model(model: FaceModel, identity: int, expression: int) -> LinearModel:
    """The layer that gives the 468 landmarks alone."""
    corners = torch.from_numpy(model.faces[model.landmarks468_face].astype(np.int64))
    weight = torch.from_numpy(model.landmarks468_bary.astype(np.float32))
    basis = shape_basis(model, identity, expression)
    mean = torch.einsum("lk,lkc->lc", weight, torch.from_numpy(model.mean)[corners])
    return LinearModel(mean, torch.einsum("lk,lkcn->lcn", weight, basis[corners]))


def grid_model(model: FaceModel, grid: UvGrid, identity: int, expression: int) -> LinearModel:
    """The layer that gives the points of a grid of the face chart: mean and basis resampled once, as published."""
    mean = grid(torch.from_numpy(model.mean)[None])[0]
    columns = shape_basis(model, identity, expression).flatten(1)
    resampled = grid(columns[None])[0].view(len(mean), 3, -1)
    return LinearModel(mean, resampled)


def landmark_uv(model: FaceModel) -> Tensor:
    """(468, 2) chart coordinates of the landmarks, u right, v up."""
    return torch.from_numpy(model.landmarks468(model.chart_uv).astype(np.float32))
