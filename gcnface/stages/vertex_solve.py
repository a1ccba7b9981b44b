"""From the network's answer to the colours that are handed out: tones of hidden parts, and a drawing like the photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coarse.morphable import DARKEST_ALBEDO
from gcnface.stages.observation import VertexObservation
from render.camera import Camera
from render.color import linear_from_srgb, srgb_from_linear
from render.rasterize import rasterize
from render.vertex_colors import ColorTarget, solve_vertex_colors

RIDGE = 0.05
"""Weight, in pixels, of leaving a vertex colour as it was."""
STEPS = 8
"""Of conjugate gradients; the last thousandths of the error are ringing."""
LARGEST_FACTOR = 8.0
"""Of the light of a vertex over the estimated one, and one over the least."""


@dataclass(frozen=True)
class ImageView:
    """A picture and the camera that took it.

    Attributes:
        image: (1, 3, H, W) sRGB.
        camera: of a batch of one, in px of the picture.
    """

    image: Tensor
    camera: Camera


@dataclass(frozen=True)
class SolvedColors:
    """Colours of a face whose drawing looks like the photo.

    Attributes:
        albedo: (V, 3) linear; where the photo was believed, the solved colours without their light.
        shading: (V, 3) linear, `lit` over `albedo`, which includes what the face's light does not explain.
        lit: (V, 3) linear.
    """

    albedo: Tensor
    shading: Tensor
    lit: Tensor


def solve_colors(
    verts_cam: Tensor,
    faces: Tensor,
    albedo: Tensor,
    shading: Tensor,
    seen: VertexObservation,
    views: Sequence[ImageView],
) -> SolvedColors:
    """Solve for the vertex colours that draw the face as the shots show it.

    Args:
        verts_cam: (1, V, 3) mm.
        faces: (F, 3) integer.
        albedo: (V, 3) linear.
        shading: (V, 3) linear, above 0.
        seen: one face; `shown` says where the drawing should look like the photo, `confidence` where the albedo is
            corrected with it.
        views: the photo's face, at one or several resolutions.
    """
    before = srgb_from_linear((albedo * shading).clamp(0, 1))
    targets = []
    for view in views:
        fragments = rasterize(verts_cam, faces, view.camera)
        targets.append(ColorTarget(fragments, view.image[0].permute(1, 2, 0)))
    solved = solve_vertex_colors(before, faces, targets, seen.shown[0], ridge=RIDGE, steps=STEPS).clamp(0, 1)
    lit = torch.where(solved == before, albedo * shading, linear_from_srgb(solved))
    light = shading.clamp(min=DARKEST_ALBEDO)
    believed = seen.confidence[0][:, None]
    corrected = albedo + believed * (lit / light - albedo)
    explained = (lit.clamp(min=DARKEST_ALBEDO**2) / corrected.clamp(min=DARKEST_ALBEDO)) / light
    return SolvedColors(corrected, light * explained.clamp(1 / LARGEST_FACTOR, LARGEST_FACTOR), lit)
