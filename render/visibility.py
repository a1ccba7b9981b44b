"""Which points of a mesh the camera sees, by a depth buffer (Williams 1978, the shadow map)."""

from __future__ import annotations

import torch
from torch import Tensor

from render import backends
from render.camera import Camera
from render.shapes import check_shape

DEFAULT_TOLERANCE = 0.01
"""Share of the mesh's extent in depth that counts as no difference (2 mm of a head)."""

JUMP = 5.0
"""Neighbouring pixels whose depths differ by more than this many tolerances show two surfaces."""


@torch.no_grad()
def depth_buffer(verts_cam: Tensor, faces: Tensor, camera: Camera, *, supersample: int = 1) -> Tensor:
    """Depth (B, H * supersample, W * supersample) of the nearest surface, infinite where there is none.

    Args:
        verts_cam: (B, V, 3) mm in camera space.
        faces: (F, 3) integer.
        camera: its `hw` is the size of the image.
        supersample: depth samples a pixel, each way.
    """
    return _depth(camera.project(verts_cam.detach()), faces, camera, supersample)


@torch.no_grad()
def point_visibility(
    points_screen: Tensor, depth: Tensor, hw: tuple[int, int], *, tolerance_mm: float | Tensor
) -> Tensor:
    """Whether points lie inside the frame and not behind the surface of a depth buffer.

    Of the four samples around a point, those count that belong to the nearest sample's surface. The point may lie as
    deep as the deepest of them, and deeper by their spread: a slope needs no tolerance of its own, even where it bends
    away, and an edge before a distant surface stays sharp to a sample.

    Args:
        points_screen: (B, N, 3) x_px, y_px, depth_mm: vertices, texels, anything.
        depth: (B, h, w) of `depth_buffer`, of any supersampling, infinite where empty.
        hw: size of the image in pixels, in which the points are given.
        tolerance_mm: how far behind the surface a point may lie; a number or (B,).

    Returns:
        (B, N) bool.
    """
    batch = check_shape("points_screen", points_screen, "B N 3")["B"]
    size = check_shape("depth", depth, "B h w", B=batch)
    x, y, z = points_screen.unbind(-1)
    inside = (x >= 0) & (y >= 0) & (x < hw[1]) & (y < hw[0]) & (z > 0)
    column = (x.nan_to_num() * (size["w"] / hw[1]) - 0.5).clamp(0, size["w"] - 1)
    line = (y.nan_to_num() * (size["h"] / hw[0]) - 0.5).clamp(0, size["h"] - 1)
    flat = depth.reshape(batch, -1)

    def at(row: Tensor, col: Tensor) -> Tensor:
        return flat.gather(1, row.clamp(max=size["h"] - 1).long() * size["w"] + col.clamp(max=size["w"] - 1).long())

    tolerance = torch.as_tensor(tolerance_mm).to(z).reshape(-1, 1)
    nearest = at(line.round(), column.round())
    deep, shallow = nearest, nearest
    top, left = line.floor(), column.floor()
    for row, col in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        other = at(row, col)
        same = (other - nearest).abs() <= JUMP * tolerance
        deep = torch.where(same, deep.maximum(other), deep)
        shallow = torch.where(same, shallow.minimum(other), shallow)
    slope = torch.where(deep.isinf(), 0.0, deep - shallow)
    return inside & (z <= deep + slope + tolerance)


@torch.no_grad()
def vertex_visibility(verts_cam: Tensor, faces: Tensor, camera: Camera, *, supersample: int = 1) -> Tensor:
    """Whether the camera sees each vertex: in the frame, on a side that is turned to it, and behind nothing.

    A vertex may lie a hundredth of the mesh's depth (`DEFAULT_TOLERANCE`) behind the drawn surface.

    Args:
        verts_cam: (B, V, 3) mm in camera space.
        faces: (F, 3) integer, counter-clockwise seen from outside.
        camera: its `hw` is the size of the image.
        supersample: depth samples a pixel, each way; more follow thin occluders better.

    Returns:
        (B, V) bool.
    """
    screen = camera.project(verts_cam.detach())
    depth = _depth(screen, faces, camera, supersample)
    z = screen[..., 2]
    tolerance = (z.amax(1) - z.amin(1)) * DEFAULT_TOLERANCE
    seen = point_visibility(screen, depth, camera.hw, tolerance_mm=tolerance)
    return seen & _facing_vertices(screen, faces)


def _depth(screen: Tensor, faces: Tensor, camera: Camera, supersample: int) -> Tensor:
    """The depth buffer of a mesh (B, V, 3) that was projected."""
    check_shape("faces", faces, "F 3")
    finer = screen * screen.new_tensor([supersample, supersample, 1.0])
    size = (camera.hw[0] * supersample, camera.hw[1] * supersample)
    return backends.load().nearest_depth(finer, faces.long(), size, perspective_correct=camera.is_perspective)


def _facing_vertices(verts_screen: Tensor, faces: Tensor) -> Tensor:
    """(B, V) bool: vertices with at least one face whose outside is turned to the camera."""
    a, b, c = (verts_screen[..., :2].index_select(1, corner) for corner in faces.long().unbind(1))
    one, two = b - a, c - a
    front = (one[..., 0] * two[..., 1] - one[..., 1] * two[..., 0] < 0).repeat(1, 3)  # y runs down
    count = torch.zeros(verts_screen.shape[:2], device=verts_screen.device)
    return count.index_add(1, faces.long().T.reshape(-1), front.float()) > 0
