"""The blendshapes as morph targets: what each moves, kept where it moves anything.

The face model is linear, so a unit moves every face by the same offsets, whatever its identity and its expression. A
weight of 0 leaves the face as it was reconstructed, its own expression included; a weight is added to that expression,
as in `Reconstruction.with_expression`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from coarse.face_model import FaceModel, kept_with_model
from gcnface.face_model import known_model

SMALLEST_MOVE_MM = 0.1
"""What moves by less stays: a ninth of the file for what nobody sees."""

SMALLEST_BEND = 0.06
"""Changes of the unit normal shorter than this (3.4 degrees) are left out, and longer ones shortened by it, so that no
edge shows where they begin; half of what the normals take."""


@dataclass(frozen=True, eq=False)
class MorphTarget:
    """One blendshape at its full weight; equal to itself alone.

    Attributes:
        name: of the unit, as ARKit has it.
        moved: (n,) vertices that it moves, ascending.
        offset_mm: (n, 3) by how much, model space.
        bent: (k,) vertices whose normal it turns, ascending.
        normal_change: (k, 3) what is added to their unit normals.

    Example:
        >>> import gcnface
        >>> face = gcnface.reconstruct("examples/portrait.jpg", texture_size=512)
        >>> face.mesh.morph_targets[0].name
        'browDownLeft'
    """

    name: str
    moved: NDArray[np.int64]
    offset_mm: NDArray[np.float32]
    bent: NDArray[np.int64]
    normal_change: NDArray[np.float32]


@dataclass(frozen=True)
class ModelBlendshapes(Sequence[MorphTarget]):
    """The units of a face's model in its order, found when they are first asked for.

    Empty for a face of a model that is neither the shipped one nor in use, whose units are not known.

    Attributes:
        face_model: as `gcnface.face_model.remember` calls it, "" for the shipped one.
        names: of the face's units.
        vertices: number of the face's vertices.
    """

    face_model: str
    names: tuple[str, ...]
    vertices: int

    @overload
    def __getitem__(self, index: int) -> MorphTarget: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[MorphTarget]: ...

    def __getitem__(self, index: int | slice) -> MorphTarget | Sequence[MorphTarget]:
        return _targets(self)[index]

    def __len__(self) -> int:
        return len(_targets(self))


def _targets(units: ModelBlendshapes) -> tuple[MorphTarget, ...]:
    """Those of the face's model, where it is known and has these units."""
    model = known_model(units.face_model)
    if model is None or (units.names, units.vertices) != (model.expression_names, len(model.mean)):
        return ()
    return targets_of(model)


@kept_with_model
def targets_of(model: FaceModel) -> tuple[MorphTarget, ...]:
    """A target for each unit of a model: its offsets, and the changes of the mean face's normals."""
    area = _areas(model.mean, model.faces)
    total = _sums(area, model.faces, len(model.mean))
    rest = _unit(total)
    targets = []
    basis = np.ascontiguousarray(model.expression_basis.transpose(2, 0, 1))
    for name, offset in zip(model.expression_names, basis, strict=True):
        moves = np.linalg.norm(offset, axis=1) > SMALLEST_MOVE_MM
        moved, touched = np.flatnonzero(moves), moves[model.faces].any(1)
        faces = model.faces[touched]
        around = np.flatnonzero(np.bincount(faces.ravel(), minlength=len(moves)))
        change = _sums(_areas(model.mean + offset, faces) - area[touched], faces, len(offset))[around]
        change = _unit(total[around] + change) - rest[around]
        length = np.linalg.norm(change, axis=1)
        bent = length > SMALLEST_BEND
        shortened = change[bent] * (1 - SMALLEST_BEND / length[bent, None])
        targets.append(MorphTarget(name, moved, offset[moved], around[bent], shortened.astype(np.float32)))
    return tuple(targets)


def _areas(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> NDArray[np.float32]:
    """(F, 3) normals of faces, as long as twice their areas."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    return np.cross(b - a, c - a)


def _sums(values: NDArray[np.float32], faces: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    """(count, 3) sums of the faces' values (F, 3) around each vertex."""
    corners = faces.T.ravel()
    return np.stack([np.bincount(corners, np.tile(part, 3), count) for part in values.T], 1)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-20)
