"""A coloured mesh drawn through a camera."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from render.camera import Camera
from render.fragments import Fragments
from render.interpolate import interpolate
from render.rasterize import rasterize


@dataclass(frozen=True)
class Rendered:
    """A drawn mesh.

    Attributes:
        image: (B, H, W, C) interpolated vertex colours over the background.
        mask: (B, H, W) bool, where the mesh is seen.
        fragments: which face is seen where.
    """

    image: Tensor
    mask: Tensor
    fragments: Fragments


def render_mesh(
    verts_cam: Tensor,
    faces: Tensor,
    vertex_rgb: Tensor,
    camera: Camera,
    background: float | Tensor | None = None,
    backend: str = "auto",
) -> Rendered:
    """Draw vertex colours (or any attributes), with hidden surfaces removed; differentiable in vertices and colours.

    Args:
        verts_cam: (B, V, 3) mm in camera space.
        faces: (F, 3) integer.
        vertex_rgb: (V, C) or (B, V, C).
        camera: its `hw` is the size of the image.
        background: what is seen beside the mesh, broadcastable to (B, H, W, C); None is 0.
        backend: as in `rasterize`.
    """
    fragments = rasterize(
        camera.project(verts_cam),
        faces,
        camera.hw,
        perspective_correct=camera.kind == "perspective",
        backend=backend,
    )
    image = interpolate(vertex_rgb, faces, fragments, 0.0 if background is None else background)
    return Rendered(image, fragments.mask, fragments)
