"""The same rasteriser by PyTorch3D (Ravi et al. 2020, arXiv:2007.08501), for those who have it."""

from __future__ import annotations

import importlib.util

import torch
from torch import Tensor

from render.errors import GcnfaceError
from render.fragments import Fragments
from render.ndc import ndc_from_screen


class MissingBackendError(GcnfaceError, ImportError, ValueError):
    """A rasteriser was asked for by name whose library is not installed."""


def is_installed() -> bool:
    """Whether PyTorch3D can be found (it is not imported)."""
    return importlib.util.find_spec("pytorch3d") is not None


def rasterize_fragments(
    verts_screen: Tensor, faces: Tensor, hw: tuple[int, int], *, perspective_correct: bool = False
) -> Fragments:
    """Nearest face, barycentrics and depth at every pixel centre.

    Args:
        verts_screen: (B, V, 3) x_px, y_px, depth.
        faces: (F, 3) int64.
        hw: height and width in pixels.
        perspective_correct: weights in space (perspective camera) rather than on the screen.

    Raises:
        MissingBackendError: PyTorch3D is not installed.
    """
    if not is_installed():
        raise MissingBackendError(
            "backend 'pytorch3d' needs the pytorch3d library, which is not installed; install it as "
            "https://github.com/facebookresearch/pytorch3d/blob/main/INSTALL.md says, or use backend='torch'"
        )
    from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
    from pytorch3d.structures import Meshes

    batch = len(verts_screen)
    verts_ndc = ndc_from_screen(verts_screen, hw).float()
    meshes = Meshes(list(verts_ndc), [faces] * batch)
    packed, depth, bary, _ = rasterize_meshes(
        meshes, image_size=hw, blur_radius=0.0, faces_per_pixel=1, perspective_correct=perspective_correct
    )
    first = torch.arange(batch, device=packed.device)[:, None, None] * len(faces)
    pix_to_face = torch.where(packed >= 0, packed - first[..., None], -1)[..., 0]
    return Fragments(pix_to_face, bary[..., 0, :], depth[..., 0])
