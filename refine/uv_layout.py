"""The texture atlas as an image that convolutions can work on: vertex features out to it and back."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse import csr_matrix, diags_array
from scipy.spatial import cKDTree
from torch import Tensor, nn

from coarse.face_model import FaceModel
from coarse.upsampling import component_labels
from refine.sparse import SparseOperator
from render.baking import texel_map
from render.shapes import check_shape


class UVLayout(nn.Module):
    """Constant tables between the vertices of a face model and an image of its atlas.

    To the image every texel mixes the three vertices of the face it shows; texels in the gutters take what the nearest
    texel of a chart shows, so that convolutions meet no cliffs there. Back to the vertices the image is sampled
    bilinearly at each vertex's texture coordinates, reading its own chart only; a vertex on a seam has several
    coordinates and takes their mean; one whose charts are too small to cover a texel takes the texel that shows the
    point nearest to it on the mean face. Both are sparse products, and gradients flow through both. Tables are
    constants of the model and stay out of the state dict.

    Args:
        model: face model; its `mean`, `faces`, `uv` and `uv_faces` are read.
        side: texels a side, S.

    Attributes:
        side: S.
        vertex_count: V.
        paint: operator (S * S, V); rows sum to 1.
        sample: operator (V, S * S); rows sum to 1.
        mask: (S, S) bool, true where a face lies, false in the gutters.

    Shapes:
        `to_image` (B, V, C) to (B, C, S, S), row 0 at v = 1; `to_vertices` (B, C, S, S) to (B, V, C).

    Raises:
        ValueError: side below 2.
    """

    mask: Tensor

    def __init__(self, model: FaceModel, side: int = 256) -> None:
        super().__init__()
        if side < 2:
            raise ValueError(f"side is {side}; an image of the atlas needs 2 texels or more")
        self.side = side
        self.vertex_count = len(model.mean)
        texels = texel_map(torch.as_tensor(model.uv), torch.as_tensor(model.uv_faces.astype(np.int64)), side)
        face, bary = texels.face.numpy().ravel(), texels.bary.numpy().reshape(-1, 3)
        shown = _nearest_shown(texels.mask.numpy())
        paint = _painting(model, face[shown], bary[shown])
        self.paint = SparseOperator(paint)
        self.sample = SparseOperator(_sampling(model, paint, shown, face))
        self.register_buffer("mask", texels.mask, persistent=False)

    def to_image(self, features: Tensor) -> Tensor:
        """(B, V, C) to (B, C, S, S), channels last in memory."""
        check_shape("features", features, "B V C", V=self.vertex_count)
        rows = self.paint(features).contiguous()
        return rows.unflatten(1, (self.side, self.side)).permute(0, 3, 1, 2)

    def to_vertices(self, image: Tensor) -> Tensor:
        """(B, C, S, S) to (B, V, C)."""
        check_shape("image", image, "B C H W", H=self.side, W=self.side)
        return self.sample(image.permute(0, 2, 3, 1).flatten(1, 2))


def _nearest_shown(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(S * S,) flat index of the nearest texel on which a face lies; its own there."""
    nearest = distance_transform_edt(~mask, return_distances=False, return_indices=True)
    return np.ravel_multi_index(tuple(nearest), mask.shape).ravel()


def _painting(model: FaceModel, face: NDArray[np.int64], bary: NDArray[np.float32]) -> csr_matrix:
    """(S * S, V): the corners of each texel's face by their weights."""
    rows = np.repeat(np.arange(len(face)), 3)
    shape = (len(face), len(model.mean))
    return csr_matrix((bary.ravel(), (rows, model.faces[face].ravel())), shape=shape)


def _sampling(model: FaceModel, paint: csr_matrix, shown: NDArray[np.int64], face: NDArray[np.int64]) -> csr_matrix:
    """(V, S * S): the mean over each vertex's coordinates of their bilinear weights."""
    pairs = np.unique(np.stack([model.faces.ravel(), model.uv_faces.ravel()], 1), axis=0).astype(np.int64)
    chart = component_labels(model.uv_faces, len(model.uv))
    taps = _bilinear(model.uv, chart, chart[model.uv_faces[face[shown], 0]])
    corners = csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(model.mean), len(model.uv)))
    weight = csr_matrix(corners @ taps)
    lost = np.flatnonzero(np.diff(weight.indptr) == 0)
    _, nearest = cKDTree(paint @ model.mean).query(model.mean[lost])
    weight += csr_matrix((np.ones(len(lost)), (lost, nearest)), shape=weight.shape)
    return _rows_to_one(weight)


def _bilinear(uv: NDArray[np.float32], chart: NDArray[np.int64], texel_chart: NDArray[np.int64]) -> csr_matrix:
    """(Nuv, S * S) bilinear weights without those on texels of other charts; rows sum to 1, or to 0 if none is left."""
    side = round(len(texel_chart) ** 0.5)
    place = np.clip(np.stack([uv[:, 0], 1 - uv[:, 1]], 1).astype(np.float64) * side - 0.5, 0, side - 1)
    first = np.minimum(place.astype(np.int64), side - 2)
    right, down = (place - first).T[:, :, None]
    weight = np.hstack([(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down])
    index = (first[:, 1:] + [0, 0, 1, 1]) * side + first[:, :1] + [0, 1, 0, 1]
    weight = np.where(texel_chart[index] == chart[:, None], weight, 0.0)
    rows = np.repeat(np.arange(len(uv)), 4)
    taps = csr_matrix((weight.ravel(), (rows, index.ravel())), shape=(len(uv), side * side))
    taps.eliminate_zeros()
    return _rows_to_one(taps)


def _rows_to_one(matrix: csr_matrix) -> csr_matrix:
    total = np.asarray(matrix.sum(axis=1)).ravel()
    return csr_matrix(diags_array(1.0 / np.where(total > 0, total, 1.0)) @ matrix)
