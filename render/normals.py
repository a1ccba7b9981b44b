"""Normals of faces and vertices."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from render.shapes import check_shape


def face_normals(verts: Tensor, faces: Tensor) -> Tensor:
    """Unit normals (B, F, 3) of `verts` (B, V, 3), outward where corners run counter-clockwise seen from outside.

    A face without area has the normal 0.
    """
    return normalize(_doubled_areas(verts, faces), dim=-1, eps=1e-20)


def vertex_normals(verts: Tensor, faces: Tensor) -> Tensor:
    """Unit normals at vertices: the mean of the faces around, weighted by their areas.

    Args:
        verts: (B, V, 3).
        faces: (F, 3) integer.

    Returns:
        (B, V, 3); 0 at a vertex without faces.
    """
    corners = _corner_rows(verts, faces)
    area = _doubled_areas(verts, faces)
    three = area[:, None].expand(-1, 3, -1, -1).reshape(-1, 3)
    total = verts.new_zeros(verts.shape[0] * verts.shape[1], 3).index_add(0, corners, three)
    return normalize(total.view(verts.shape), dim=-1, eps=1e-20)


def _corner_rows(verts: Tensor, faces: Tensor) -> Tensor:
    """Rows (B * 3 * F,) of the corners in `verts` taken as (B * V, 3): all first corners, all second, all third."""
    check_shape("verts", verts, "B V 3")
    check_shape("faces", faces, "F 3")
    start = torch.arange(len(verts), device=verts.device)[:, None] * verts.shape[1]
    return (faces.long().T.reshape(1, -1) + start).view(-1)


def _doubled_areas(verts: Tensor, faces: Tensor) -> Tensor:
    """Normals (B, F, 3) as long as twice the faces' areas."""
    corners = verts.reshape(-1, 3).index_select(0, _corner_rows(verts, faces))
    a, b, c = corners.view(len(verts), 3, -1, 3).unbind(1)
    return torch.linalg.cross(b - a, c - a)
