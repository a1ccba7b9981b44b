"""Attributes of a mesh in its texture atlas (u right, v up, texel centres at .5, row 0 at v = 1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from render import backends
from render.fragments import Fragments
from render.interpolate import barycentrics, interpolate
from render.ndc import pixel_centers_ndc
from render.shapes import check_shape


@dataclass(frozen=True)
class TexelMap:
    """Which point of the mesh every texel shows.

    Attributes:
        face: (T, T) int64 row of the faces, -1 in the gutters.
        bary: (T, T, 3) barycentric weights of its corners, 0 in the gutters.
    """

    face: Tensor
    bary: Tensor

    @property
    def mask(self) -> Tensor:
        """(T, T) bool, true where a face lies."""
        return self.face >= 0


@torch.no_grad()
def texel_map(uv: Tensor, uv_faces: Tensor, size: int) -> TexelMap:
    """Find every texel's face by drawing the atlas; where charts overlap, the lowest face index wins.

    Args:
        uv: (N, 2) in [0, 1], v up.
        uv_faces: (F, 3) integer, rows in step with the mesh's faces.
        size: texels a side, T.
    """
    check_shape("uv", uv, "N 2")
    check_shape("uv_faces", uv_faces, "F 3")
    faces = uv_faces.long()
    hw = (size, size)
    ndc = torch.stack([1 - 2 * uv[:, 0], 2 * uv[:, 1] - 1, torch.ones_like(uv[:, 0])], -1).float()
    face = backends.load().nearest_faces(ndc[None], faces, hw, perspective_correct=False, closed=True)[0]
    texel = (face.flatten() >= 0).nonzero()[:, 0]
    x, y = pixel_centers_ndc(hw, ndc.device)
    corners = ndc[faces[face.flatten()[texel]]].permute(2, 1, 0).unbind(1)
    weight, _ = barycentrics(corners, torch.stack([x[texel % size], y[texel // size]]), perspective_correct=True)
    bary = weight.new_zeros(size * size, 3).index_copy(0, texel, weight.T)
    return TexelMap(face, bary.view(size, size, 3))


def bake(attributes: Tensor, faces: Tensor, texels: TexelMap) -> Tensor:
    """Attributes (V, C) of the mesh `faces` (F, 3) at every texel: (T, T, C), 0 in the gutters; differentiable."""
    check_shape("attributes", attributes, "V C")
    check_shape("faces", faces, "F 3")
    return interpolate(attributes, faces, Fragments(texels.face[None], texels.bary[None], texels.bary[None]))[0]


def pad_texture(texture: Tensor, mask: Tensor, px: int) -> Tensor:
    """Carry the charts' colours into the gutters, so that filtering at seams reads no background.

    Args:
        texture: (T, T, C).
        mask: (T, T) bool, where the texture is meant.
        px: how far, in texels; every texel within takes the nearest meant texel's colour, others keep their own.

    Returns:
        (T, T, C), a new tensor.
    """
    size = check_shape("texture", texture, "H W C")
    check_shape("mask", mask, "H W", H=size["H"], W=size["W"])
    index = padding_index(mask, px).to(texture.device)
    return texture.reshape(-1, size["C"]).index_select(0, index).view(texture.shape)


def padding_index(mask: Tensor, px: int) -> Tensor:
    """(H * W,) flat index of the texel whose colour `pad_texture` gives to each; it depends on the mask alone."""
    check_shape("mask", mask, "H W")
    meant = mask.detach().cpu().numpy().astype(bool)
    source = np.arange(meant.size).reshape(meant.shape)
    if px > 0 and meant.any():
        distance, nearest = distance_transform_edt(~meant, return_indices=True)
        source = np.where(distance <= px, np.ravel_multi_index(tuple(nearest), meant.shape), source)
    return torch.from_numpy(source.ravel())
