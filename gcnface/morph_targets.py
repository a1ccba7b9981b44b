"""The face units as morph targets: what each moves, kept where it moves anything.

The face model is linear, so a unit moves every face by the same offsets, whatever its identity and its expression. A
weight of 0 leaves the face as it was reconstructed, its own expression included; a weight is added to that expression,
as in `Reconstruction.with_expression`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from gcnface.appearance import ExpressionError, model_of, shipped_model
from render.normals import vertex_normals

if TYPE_CHECKING:
    from coarse.face_model import FaceModel
    from gcnface.reconstruction import Reconstruction

SMALLEST_MOVE_MM = 0.1
"""What moves by less stays: a ninth of the file for what nobody sees."""

SMALLEST_BEND = 0.06
"""Changes of the unit normal shorter than this (3.4 degrees) are left out, and longer ones shortened by it, so that no
edge shows where they begin; half of what the normals take."""


@dataclass(frozen=True)
class MorphTarget:
    """One face unit at its full weight.

    Attributes:
        name: of the unit, as ARKit has it.
        moved: (n,) vertices that it moves, ascending.
        offset_mm: (n, 3) by how much, model space.
        bent: (k,) vertices whose normal it turns, ascending.
        normal_change: (k, 3) what is added to their unit normals.
    """

    name: str
    moved: NDArray[np.int64]
    offset_mm: NDArray[np.float32]
    bent: NDArray[np.int64]
    normal_change: NDArray[np.float32]


def morph_targets(face: Reconstruction) -> tuple[MorphTarget, ...]:
    """The units of a face's model in its order; empty for a face of another model, whose units are not known."""
    try:
        model = model_of(face)
    except ExpressionError:
        return ()
    return _shipped_targets() if face.expression_names == model.expression_names else ()


@lru_cache(maxsize=1)
def _shipped_targets() -> tuple[MorphTarget, ...]:
    """Those of the shipped model; found once, whatever number of faces is written."""
    return targets_of(shipped_model())


def targets_of(model: FaceModel) -> tuple[MorphTarget, ...]:
    """A target for each unit of a model: its offsets, and the changes of the mean face's normals."""
    faces = torch.from_numpy(model.faces)
    mean = torch.from_numpy(model.mean)[None]
    rest = vertex_normals(mean, faces)[0].numpy()
    targets = []
    for index, name in enumerate(model.expression_names):
        offset = model.expression_basis[..., index]
        change = vertex_normals(mean + torch.from_numpy(offset), faces)[0].numpy() - rest
        length = np.linalg.norm(change, axis=1, keepdims=True)
        moved = np.flatnonzero(np.linalg.norm(offset, axis=1) > SMALLEST_MOVE_MM)
        bent = np.flatnonzero(length[:, 0] > SMALLEST_BEND)
        shortened = change[bent] * (1 - SMALLEST_BEND / length[bent])
        targets.append(MorphTarget(name, moved, offset[moved], bent, shortened.astype(np.float32)))
    return tuple(targets)
