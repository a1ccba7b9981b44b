"""Hair for drawn heads: the bald head of the face model swells and darkens above a random hairline.

It is no likeness of hair. It takes from networks the lesson that every skull is bald, and hides ears, temples and
forehead as hair does.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from coarse.face_model import FaceModel
from render.normals import vertex_normals

_SHADES = (
    (0.02, 0.015, 0.012),
    (0.05, 0.03, 0.02),
    (0.12, 0.07, 0.04),
    (0.35, 0.24, 0.12),
    (0.4, 0.4, 0.4),
    (0.2, 0.06, 0.03),
)
"""Linear RGB: black, dark brown, brown, blond, gray, red."""

_FRONT_Z_MM, _EAR_Z_MM = 100.0, 20.0


def haired(
    model: FaceModel, verts: Tensor, albedo: Tensor, faces: Tensor, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A head with hair.

    Args:
        model: the face model, at whose finest level the head is.
        verts: (1, V, 3) mm in model space.
        albedo: (V, 3) linear.
        faces: (F, 3).
        rng: of every random choice.

    Returns:
        The vertices and the albedo; face, eyes and mouth below the hairline are as they were.
    """
    rest = torch.from_numpy(model.mean).float()
    length_mm = rng.uniform(0, 110) if rng.random() < 0.4 else 0.0
    limit = hairline(rest, rng.uniform(78, 112), rng.uniform(0, 12), length_mm) + 8 * smooth_noise(rest, 25.0, rng)
    weight = torch.sigmoid((rest[:, 1] - limit) / 2.5)
    covers = ["face", "scalp"] + (["ears"] if rng.random() < 0.5 else []) + (["neck"] if length_mm > 40 else [])
    weight = weight * torch.from_numpy(model.region_mask(*covers)).float()
    thickness = rng.uniform(1, 12) if rng.random() < 0.5 else rng.uniform(8, 40)
    bulge = thickness * (0.8 + 0.35 * smooth_noise(rest, 30.0, rng) + 0.15 * smooth_noise(rest, 9.0, rng))
    grown = verts + (weight * bulge)[None, :, None] * vertex_normals(verts, faces)
    shade = torch.tensor(_SHADES[rng.integers(len(_SHADES))]) * float(rng.uniform(0.5, 1.6))
    strands = (1 + 0.5 * smooth_noise(rest * rest.new_tensor([1.0, 0.25, 1.0]), 3.0, rng)).clamp(min=0.2)
    return grown, torch.lerp(albedo, strands[:, None] * shade, weight[:, None])


def hairline(rest: Tensor, front_mm: float, sideburn_mm: float, length_mm: float) -> Tensor:
    """(V,) height above which hair grows: over the forehead, down before the ears, lower behind them."""
    z = rest[:, 2]
    side = 6.0 - sideburn_mm
    before = side + (front_mm - side) * ((z - _EAR_Z_MM) / (_FRONT_Z_MM - _EAR_Z_MM)).clamp(min=0)
    return torch.where(z > _EAR_Z_MM, before, (side - 1.2 * (_EAR_Z_MM - z)).clamp(min=-60.0 - length_mm))


def smooth_noise(points: Tensor, size_mm: float, rng: np.random.Generator) -> Tensor:
    """(V,) about -1..1, changing over about `size_mm`: six plane waves in random directions."""
    waves = torch.from_numpy(rng.normal(0, 1 / size_mm, (3, 6))).float()
    phases = torch.from_numpy(rng.uniform(0, 2 * np.pi, 6)).float()
    return torch.cos(points @ waves + phases).mean(1) * 1.7
