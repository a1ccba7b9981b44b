"""A face model out of the arrays that every morphable model has; what else gcnface needs is derived."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from coarse.face_model import LANDMARKS68_FROM_468, REGIONS, FaceModel, FaceModelError, PyramidLevel, load_face_model
from coarse.landmark_transfer import at_vertices, landmarks68_through, landmarks468_through
from coarse.levels import decimated_levels
from coarse.similarity import similarity_between
from coarse.upsampling import SurfacePoints

SKIN = (0.42, 0.22, 0.16)
"""Linear RGB of a face whose model knows no colours: the mean of the shipped model's face."""
SKIN_SPREAD = 0.1
"""One standard deviation of each of its channels, all over the face."""

LEVELS, COARSEST = 5, 150
"""Levels of a derived pyramid, and about how many vertices the coarsest has."""

_SYMMETRIC = 0.02
"""Mirrored vertices of a symmetric mesh lie nearer to others than this, on the median, of the half width."""
_FEATURE_MM = 15.0
"""What lies nearer to a landmark of eyes, nose or mouth is part of them."""
_UV_MARGIN = 0.01


def face_model_from_arrays(
    name: str,
    mean: ArrayLike,
    faces: ArrayLike,
    identity_basis: ArrayLike,
    *,
    landmarks: SurfacePoints | Sequence[int],
    expression_basis: ArrayLike | None = None,
    expression_names: Sequence[str] = (),
    albedo_mean: ArrayLike | None = None,
    albedo_basis: ArrayLike | None = None,
    region: ArrayLike | None = None,
    uv: tuple[ArrayLike, ArrayLike] | None = None,
    levels: Sequence[PyramidLevel] | None = None,
    licence: str = "unknown",
) -> FaceModel:
    """A face model of any topology.

    Args:
        name: of the model.
        mean: (V, 3). With 468 `landmarks` it is in model space: mm, x to the viewer's right, y up, z towards the
            viewer, origin between the ears. With 68 it is brought there by them, from any unit, place and turn.
        faces: (F, 3) triangles, counter-clockwise seen from outside; every vertex belongs to one.
        identity_basis: (V, 3, Ni) a standard deviation, in the unit and axes of `mean`.
        landmarks: the 468 points of the MediaPipe mesh on the surface, or the vertices of the 68 points of 300W-LP (the
            jaw on the skin before the ears and along its lower edge); the others are warped through them.
        expression_basis: (V, 3, Ne) full units, likewise; coefficients are fitted to 0..1. None for none.
        expression_names: (Ne) names of the units.
        albedo_mean: (V, 3) linear RGB in [0, 1]; None takes `SKIN`.
        albedo_basis: (V, 3, Na) a standard deviation; None takes an even change of each channel.
        region: (V,) index into `coarse.face_model.REGIONS`; None calls "eyes_nose_mouth" what lies near their landmarks
            and all else "face".
        uv: (N, 2), v up, and (F, 3) indices into it; None unrolls a cylinder, on which surfaces that lie behind others
            (eyeballs, the mouth's inside) share their texels.
        levels: a pyramid, the finest first; None collapses edges, 5 levels.
        licence: one line.

    Raises:
        FaceModelError: arrays do not fit together.
        ValueError: a vertex belongs to no face, or the mesh cannot be reduced.
    """
    points, triangles = np.asarray(mean, np.float32), np.asarray(faces, np.int32)
    identity = np.asarray(identity_basis, np.float32)
    expression = np.zeros((len(points), 3, 0)) if expression_basis is None else expression_basis
    expression = np.asarray(expression, np.float32)
    if not isinstance(landmarks, SurfacePoints):
        points, turn = _in_model_space(points, np.asarray(landmarks))
        identity, expression = (np.einsum("ij,vjn->vin", turn, basis) for basis in (identity, expression))
        landmarks68 = at_vertices(np.asarray(landmarks), triangles)
        landmarks = landmarks468_through(load_face_model(), points, triangles, landmarks68)
    else:
        landmarks68 = landmarks68_through(load_face_model(), points, triangles, landmarks)
    mirror = mirror_table(points)
    rows, corners = cylinder_uv(points, triangles) if uv is None else uv
    chart_uv, chart_faces = _chart(len(points), triangles, rows if uv is None else None, corners, mirror)
    even = np.tile(np.eye(3, dtype=np.float32) * SKIN_SPREAD, (len(points), 1, 1))
    return FaceModel(
        name=name,
        licence=licence,
        faces=triangles,
        mirror=np.arange(len(points), dtype=np.int32) if mirror is None else mirror,
        region=_regions(points, triangles, landmarks) if region is None else np.asarray(region, np.uint8),
        mean=points,
        identity_basis=np.ascontiguousarray(identity),
        expression_basis=np.ascontiguousarray(expression),
        expression_names=tuple(expression_names),
        albedo_mean=np.asarray(np.tile(SKIN, (len(points), 1)) if albedo_mean is None else albedo_mean, np.float32),
        albedo_basis=np.asarray(even if albedo_basis is None else albedo_basis, np.float32),
        landmarks468_face=np.asarray(landmarks.face, np.int32),
        landmarks468_bary=np.asarray(landmarks.bary, np.float32),
        landmarks68_face=np.asarray(landmarks68.face, np.int32),
        landmarks68_bary=np.asarray(landmarks68.bary, np.float32),
        uv=np.asarray(rows, np.float32),
        uv_faces=np.asarray(corners, np.int32),
        chart_uv=chart_uv,
        chart_faces=chart_faces,
        levels=tuple(derived_levels(points, triangles) if levels is None else levels),
    )


def derived_levels(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> tuple[PyramidLevel, ...]:
    """Five levels, each a quarter of the one before, or more of a small mesh."""
    factor = round((len(vertices) / COARSEST) ** (1 / (LEVELS - 1)))
    return decimated_levels(vertices, faces, (min(max(factor, 2), 4),) * (LEVELS - 1))


def mirror_table(vertices: NDArray[np.float32]) -> NDArray[np.int32] | None:
    """(V,) the vertex nearest to each one's mirror image in x; None where the mesh is not symmetric."""
    distance, index = cKDTree(vertices).query(vertices * np.array([-1, 1, 1], np.float32))
    symmetric = np.median(distance) <= _SYMMETRIC * np.abs(vertices[:, 0]).max()
    return index.astype(np.int32) if symmetric else None


def cylinder_uv(
    vertices: NDArray[np.float32], faces: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """(N, 2) uv of a cylinder around the head's upright axis, cut at the back, and (F, 3) indices into it."""
    u = np.arctan2(vertices[:, 0], vertices[:, 2]) / (2 * np.pi) + 0.5
    low, high = vertices[:, 1].min(), vertices[:, 1].max()
    rows = np.stack([u, (vertices[:, 1] - low) / (high - low)], 1)
    crossing = np.ptp(u[faces], axis=1) > 0.5
    behind = (u[faces] < 0.5) & crossing[:, None]
    far = np.unique(faces[behind])
    rank = np.zeros(len(vertices), np.int32)
    rank[far] = len(vertices) + np.arange(len(far))
    rows = np.concatenate([rows, np.stack([np.ones(len(far)), rows[far, 1]], 1)])
    return (_UV_MARGIN + (1 - 2 * _UV_MARGIN) * rows).astype(np.float32), np.where(behind, rank[faces], faces)


def _in_model_space(
    vertices: NDArray[np.float32], landmarks68: NDArray[np.int_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vertices (V, 3) where their 68 points lie best on the shipped model's, and the matrix (3, 3) of offsets."""
    if landmarks68.shape != (68,) or not 0 <= landmarks68.min() <= landmarks68.max() < len(vertices):
        raise FaceModelError(f"landmarks has shape {landmarks68.shape}; expected 68 vertices, or 468 SurfacePoints")
    shipped = load_face_model()
    target = torch.from_numpy(shipped.landmarks68(shipped.mean))[None].double()
    points = torch.from_numpy(vertices).double()
    found = similarity_between(points[landmarks68], target)
    turn = (found.scale[:, None, None] * found.rotation)[0].numpy().astype(np.float32)
    return found.apply(points)[0].numpy().astype(np.float32), turn


def _chart(
    count: int, faces: NDArray[np.int32], rows: ArrayLike | None, corners: ArrayLike, mirror: NDArray[np.int32] | None
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The chart, over which colours are mirrored: the cylinder of a symmetric mesh but for its cut; else empty."""
    if rows is None or mirror is None:
        return np.full((count, 2), np.nan, np.float32), np.zeros(0, np.int32)
    whole = (np.asarray(corners) == faces).all(1)
    return np.asarray(rows, np.float32)[:count], np.flatnonzero(whole).astype(np.int32)


def _regions(vertices: NDArray[np.float32], faces: NDArray[np.int32], landmarks: SurfacePoints) -> NDArray[np.uint8]:
    """(V,) "eyes_nose_mouth" around nose, eyes and lips, which the last 41 of the 68 points outline, else "face"."""
    distance, _ = cKDTree(landmarks.on(vertices, faces)[list(LANDMARKS68_FROM_468[27:])]).query(vertices)
    near, far = (REGIONS.index(name) for name in ("eyes_nose_mouth", "face"))
    return np.where(distance < _FEATURE_MM, near, far).astype(np.uint8)
