"""Face models of other topologies, cut out of the shipped one."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from coarse.face_model import FaceModel, load_face_model
from coarse.model_from_arrays import face_model_from_arrays
from coarse.position_map import WINDOW_PX


@dataclass(frozen=True)
class Parts:
    """Arrays of the front of the head at a coarser level.

    Attributes:
        index: (V,) vertices of the shipped model.
        mean, faces, identity, expression: its arrays there, some components alone.
        landmarks68: (68,) the vertices nearest to the shipped points.
    """

    index: np.ndarray
    mean: np.ndarray
    faces: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    landmarks68: np.ndarray


@lru_cache(maxsize=2)
def front_parts(level: int, identity: int = 30, expression: int = 20) -> Parts:
    model = load_face_model()
    index = np.arange(len(model.mean))
    for step in model.levels[:level]:
        index = index[step.down_index]
    front = ~np.isin(model.region[index], [3, 4, 6]) & (model.mean[index, 2] > 10)  # no neck, scalp, mouth
    faces = model.levels[level].faces
    faces = faces[front[faces].all(1)]
    used, faces = np.unique(faces, return_inverse=True)
    index, faces = index[used], faces.reshape(-1, 3)
    mean = model.mean[index]
    points = model.landmarks68(model.mean)
    nearest = np.linalg.norm(points[:, None] - mean[None], axis=2).argmin(1)
    bases = model.identity_basis[index, :, :identity], model.expression_basis[index, :, :expression]
    return Parts(index, mean, faces, *bases, nearest)


@lru_cache(maxsize=2)
def front_model(level: int) -> FaceModel:
    parts = front_parts(level)
    names = load_face_model().expression_names[:20]
    return face_model_from_arrays(
        "front",
        parts.mean,
        parts.faces,
        parts.identity,
        landmarks=parts.landmarks68,
        expression_basis=parts.expression,
        expression_names=names,
    )


def mirrored_map(maps: torch.Tensor) -> torch.Tensor:
    """The position maps (B, 3, S, S) of the mirrored photographs: the chart's mirror plane is u = 1/2."""
    flipped = maps.flip(3)
    return torch.cat([WINDOW_PX - flipped[:, :1], flipped[:, 1:]], dim=1)
