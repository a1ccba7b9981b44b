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
    area = _doubled_areas(verts, faces)
    row = faces.long().T.reshape(-1)
    total = torch.zeros_like(verts).index_add(1, row, area.repeat(1, 3, 1))
    return normalize(total, dim=-1, eps=1e-20)


def _doubled_areas(verts: Tensor, faces: Tensor) -> Tensor:
    check_shape("verts", verts, "B V 3")
    check_shape("faces", faces, "F 3")
    a, b, c = (verts.index_select(1, corner) for corner in faces.long().unbind(1))
    return torch.linalg.cross(b - a, c - a)
