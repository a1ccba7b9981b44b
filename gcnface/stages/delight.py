"""Light that spherical harmonics cannot say: cast shadows, highlights, a lamp close by.

Two facts tell it from paint. A face is coloured alike on both sides, so what is smooth and differs between the sides is
light; and skin is nowhere far brighter than the model's, so what is, shines. Both are taken into the shading: albedo
times shading stays the photo. Dark and symmetric differences stay in the albedo, since beards are both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.morphable import DARKEST_ALBEDO
from coarse.records import CoarseFace
from gcnface.stages.observation import VertexObservation
from gcnface.stages.outliers import log_ratio, step_down, weighted_median
from refine.diffusion import extend_values
from refine.pyramid import MeshPyramid
from render.lighting import MINIMUM_SHADING
from render.shapes import check_shape

WIDE_LEVEL, NARROW_LEVEL = 3, 2
"""Levels of the pyramid whose detail differences between the sides, and highlights, are smoothed to: vertices about 10
and 5 mm apart."""
SHINE_FROM = 0.2
"""How far above the photo's usual ratio to the model skin must be to count as a highlight, a natural logarithm."""
SHINE_SHARE = 0.7
"""Share of what lies above that is taken out."""
SHOWN = (0.05, 0.3)
"""Smoothed share of skin, on the side that shows less, from which differences count, and at which in full."""
LARGEST = 0.7
"""The most, in either direction, that the shading is changed by, a natural logarithm."""


@dataclass(frozen=True)
class SkinColors:
    """What a photo shows of the skin.

    Attributes:
        linear: (B, V, 3) the photo's colours.
        skin: (B, V) in [0, 1], how far a vertex shows skin of the face.
        albedo: (B, V, 3) the model's, linear.
        shading: (B, V, 3) linear, of the harmonics, above 0.
    """

    linear: Tensor
    skin: Tensor
    albedo: Tensor
    shading: Tensor


def full_shading(seen: SkinColors, pyramid: MeshPyramid, mirror: NDArray | Tensor) -> Tensor:
    """The shading (B, V, 3) with cast shadows and highlights in it.

    Args:
        seen: what the photo shows.
        pyramid: of the face model's mesh.
        mirror: (V,) index of each vertex's mirror image.
    """
    check_shape("linear", seen.linear, "B V 3")
    table = torch.as_tensor(mirror).long().to(seen.skin.device)
    colors, weight = log_ratio(seen.linear, seen.shading), seen.skin[..., None]
    uneven = _sides(colors, weight, pyramid, table)
    skin = seen.albedo.clamp(min=DARKEST_ALBEDO).log()
    above = colors - uneven - (skin + skin[:, table]) / 2
    shine = extend_values(above, weight, pyramid, finest=NARROW_LEVEL)
    usual = weighted_median(shine, seen.skin)[:, None]
    shine = SHINE_SHARE * (shine - usual - SHINE_FROM).clamp(min=0)
    return seen.shading * (uneven + shine).clamp(-LARGEST, LARGEST).exp()


def photo_light(face: CoarseFace, seen: VertexObservation, pyramid: MeshPyramid, mirror: NDArray | Tensor) -> Tensor:
    """(B, V, 3) what a photo's colours are divided by: `full_shading`, at least `MINIMUM_SHADING`.

    Args:
        face: the posed face and its estimated light.
        seen: what the photo shows at its vertices.
        pyramid: of the face model's mesh.
        mirror: (V,) index of each vertex's mirror image.
    """
    skin = SkinColors(seen.linear, seen.skin, face.albedo, face.shading.clamp(min=MINIMUM_SHADING))
    return full_shading(skin, pyramid, mirror).clamp(min=MINIMUM_SHADING)


def _sides(colors: Tensor, weight: Tensor, pyramid: MeshPyramid, mirror: Tensor) -> Tensor:
    """(B, V, 3) half the smooth difference of the two sides, where both were seen; it sums to 0 over them."""
    smooth = extend_values(colors, weight, pyramid, finest=WIDE_LEVEL)
    known = extend_values(weight, torch.ones_like(weight), pyramid, finest=WIDE_LEVEL + 1)
    both = 1 - step_down(torch.minimum(known, known[:, mirror]), SHOWN)
    return 0.5 * both * (smooth - smooth[:, mirror])
