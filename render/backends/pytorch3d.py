"""The same rasteriser by PyTorch3D (Ravi et al. 2020, arXiv:2007.08501), for those who have it."""

from __future__ import annotations

import torch
from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
from pytorch3d.structures import Meshes
from torch import Tensor

from render.fragments import Fragments
from render.ndc import ndc_from_screen

ON_EDGE = 1e-14
"""Squared distance (device coordinates) within which a centre counts as lying on an edge."""


def rasterize_fragments(
    verts_screen: Tensor, faces: Tensor, hw: tuple[int, int], *, perspective_correct: bool
) -> Fragments:
    """Nearest face, barycentrics and depth at every pixel centre.

    Args:
        verts_screen: (B, V, 3) x_px, y_px, depth.
        faces: (F, 3) int64.
        hw: height and width in pixels.
        perspective_correct: weights in space (perspective camera) rather than on the screen.
    """
    return _drawn(ndc_from_screen(verts_screen, hw), faces, hw, perspective_correct)


@torch.no_grad()
def nearest_faces(
    verts_ndc: Tensor, faces: Tensor, hw: tuple[int, int], *, perspective_correct: bool, closed: bool = False
) -> Tensor:
    """(B, H, W) int64 index of the nearest face, -1 where none; arguments as in `render.backends.torch`."""
    return _drawn(verts_ndc, faces, hw, perspective_correct, ON_EDGE if closed else 0.0).pix_to_face


@torch.no_grad()
def nearest_depth(verts_screen: Tensor, faces: Tensor, hw: tuple[int, int], *, perspective_correct: bool) -> Tensor:
    """(B, H, W) float32 depth of the nearest face, infinite where none; arguments of `rasterize_fragments`."""
    fragments = rasterize_fragments(verts_screen, faces, hw, perspective_correct=perspective_correct)
    return torch.where(fragments.mask, fragments.depth, torch.inf)


def _drawn(
    verts_ndc: Tensor, faces: Tensor, hw: tuple[int, int], perspective_correct: bool, blur_radius: float = 0.0
) -> Fragments:
    """What PyTorch3D answers, with faces counted in each mesh rather than over the batch."""
    batch = len(verts_ndc)
    if not len(faces):  # then PyTorch3D answers without a batch
        none = verts_ndc.new_full((batch, *hw, 3), -1.0)
        return Fragments(none[..., 0].long(), none, none[..., 0])
    packed, depth, bary, _ = rasterize_meshes(
        Meshes(list(verts_ndc.float()), [faces] * batch),
        image_size=hw,
        blur_radius=blur_radius,
        faces_per_pixel=1,
        perspective_correct=perspective_correct,
    )
    first = torch.arange(batch, device=packed.device)[:, None, None] * len(faces)
    pix_to_face = torch.where(packed >= 0, packed - first[..., None], -1)[..., 0]
    return Fragments(pix_to_face, bary[..., 0, :], depth[..., 0])
