"""Normals of faces and vertices."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from render.shapes import check_shape


def vertex_normals(verts: Tensor, faces: Tensor) -> Tensor:
    """Unit normals at vertices: the mean of the faces around, weighted by their areas.

    Args:
        verts: (B, V, 3).
        faces: (F, 3) integer.

    Returns:
        (B, V, 3); 0 at a vertex without faces.
    """
    check_shape("verts", verts, "B V 3")
    check_shape("faces", faces, "F 3")
    start = torch.arange(len(verts), device=verts.device)[:, None] * verts.shape[1]
    rows = (faces.long().T.reshape(1, -1) + start).view(-1)  # all first corners, all second, all third
    a, b, c = verts.reshape(-1, 3).index_select(0, rows).view(len(verts), 3, -1, 3).unbind(1)
    area = torch.linalg.cross(b - a, c - a)
    three = area[:, None].expand(-1, 3, -1, -1).reshape(-1, 3)
    total = verts.new_zeros(verts.shape[0] * verts.shape[1], 3).index_add(0, rows, three)
    return normalize(total.view(verts.shape), dim=-1, eps=1e-20)


@torch.no_grad()
def normal_derivative(verts: Tensor, faces: Tensor, basis: Tensor) -> Tensor:
    """How the unit normals at vertices change along displacements of the mesh, to first order.

    A face's area vector is a x b + b x c + c x a, so it changes by da x (b - c) + db x (c - a) + dc x (a - b): one
    sparse matrix takes displacements of all vertices to changes of all normals.

    Args:
        verts: (V, 3).
        faces: (F, 3) integer.
        basis: (V, 3, N) displacements.

    Returns:
        (V, 3, N) derivatives of `vertex_normals`.
    """
    count = check_shape("verts", verts, "V 3")["V"]
    check_shape("basis", basis, "V C N", V=count, C=3)
    corner = faces.long()
    a, b, c = verts[corner.T].unbind(0)
    edges = torch.stack([b - c, c - a, a - b], 1)
    x, y, z = edges.unbind(2)
    values = torch.stack([z, -y, -z, x, y, -x], 2)  # d x e by d: rows 0 0 1 1 2 2, columns 1 2 0 2 0 1
    row_axis = torch.tensor((0, 0, 1, 1, 2, 2), device=verts.device)
    column_axis = torch.tensor((1, 2, 0, 2, 0, 1), device=verts.device)
    shape = (len(corner), 3, 3, 6)
    rows = (3 * corner[:, :, None, None] + row_axis).expand(shape).reshape(-1)
    columns = (3 * corner[:, None, :, None] + column_axis).expand(shape).reshape(-1)
    entries = values[:, None].expand(shape).reshape(-1)
    at, size = torch.stack([rows, columns]), (3 * count, 3 * count)
    matrix = torch.sparse_coo_tensor(at, entries, size, check_invariants=False).coalesce()
    change = (matrix @ basis.reshape(3 * count, -1)).view_as(basis)
    areas = torch.linalg.cross(b - a, c - a).repeat_interleave(3, 0)
    total = verts.new_zeros(count, 3).index_add(0, corner.reshape(-1), areas)
    length = total.norm(dim=1).clamp(min=1e-20)[:, None]
    normal = total / length
    along = torch.einsum("vc,vcn->vn", normal, change)
    return (change - normal[..., None] * along[:, None]) / length[..., None]
