"""The inside of the mouth: no photo of a closed mouth shows it, and shading by harmonics knows no shadow.

The face model has a plain bag behind the lips, without teeth and tongue. In the colour of skin it would shine once
the jaw opens, so its albedo fades to a dark red with the distance from the lips.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from coarse.face_model import FaceModel

FADE_MM = (9.0, 5.0, 5.0)
"""Distance from the lips at which red, green and blue have fallen to 1 / e: light that gets in turns red."""

DARKEST = (0.09, 0.024, 0.021)
"""Linear albedo of the throat: dark enough for an open mouth, not black, for lips that the fit leaves ajar."""


def mouth_fade(model: FaceModel) -> Tensor:
    """(V, 3) in [0, 1]: what is left of each vertex's albedo in a mouth that nobody looked into; 1 outside of it."""
    inside = model.region_mask("mouth_interior")
    fade = np.ones((len(inside), 3), np.float32)
    ends = np.concatenate([model.faces[:, [0, 1]], model.faces[:, [1, 2]], model.faces[:, [2, 0]]])
    lips = np.unique(ends[~inside[ends[:, 0]] & inside[ends[:, 1]], 0])
    if len(lips):
        distance_mm = cKDTree(model.mean[lips]).query(model.mean[inside])[0]
        fade[inside] = np.exp(-distance_mm[:, None] / np.array(FADE_MM))
    return torch.from_numpy(fade)


def darkened_mouth(albedo: Tensor, seen: Tensor, fade: Tensor) -> Tensor:
    """Let the albedo fade where no photo looked into the mouth.

    Args:
        albedo: (V, 3) linear.
        seen: (V,) in [0, 1], how far a vertex takes its colour from a photo, which stays.
        fade: (V, 3) of `mouth_fade`.
    """
    dark = torch.maximum(albedo * fade, torch.minimum(albedo, albedo.new_tensor(DARKEST)))
    return torch.lerp(dark, albedo, torch.where(fade < 1, seen.clamp(0, 1)[:, None], 1.0))
