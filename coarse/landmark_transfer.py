"""Landmarks of the shipped model on other heads: warped through those that both have, then put on the surface.

The warp is a thin-plate spline through the shared points, so that any topology can take it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from coarse.upsampling import SurfacePoints, closest_points

if TYPE_CHECKING:
    from coarse.face_model import FaceModel


def landmarks468_through(
    shipped: FaceModel, vertices: NDArray[np.floating], faces: NDArray[np.integer], landmarks68: SurfacePoints
) -> SurfacePoints:
    """The 468 points of the shipped model on a head (V, 3), (F, 3) whose 68 points are known."""
    source, target = shipped.landmarks68(shipped.mean), landmarks68.on(vertices, faces)
    return closest_points(_warped(shipped.landmarks468(shipped.mean), source, target), vertices, faces)


def landmarks68_through(
    shipped: FaceModel, vertices: NDArray[np.floating], faces: NDArray[np.integer], landmarks468: SurfacePoints
) -> SurfacePoints:
    """The 68 points of the shipped model on a head (V, 3), (F, 3) whose 468 are known; its own on its topology."""
    if np.array_equal(faces, shipped.faces):
        return SurfacePoints(shipped.landmarks68_face, shipped.landmarks68_bary)
    source, target = shipped.landmarks468(shipped.mean), landmarks468.on(vertices, faces)
    return closest_points(_warped(shipped.landmarks68(shipped.mean), source, target), vertices, faces)


def _warped(points: NDArray, source: NDArray, target: NDArray) -> NDArray[np.float64]:
    """Points (N, 3) through the thin-plate spline that takes source (M, 3) to target (M, 3)."""
    from scipy.interpolate import RBFInterpolator  # slow to load, and hardly ever needed

    return np.asarray(RBFInterpolator(source, target, kernel="thin_plate_spline")(points), np.float64)


def at_vertices(index: NDArray[np.integer], faces: NDArray[np.integer]) -> SurfacePoints:
    """Vertices (N,) of a mesh (F, 3) as points of its surface; each belongs to a face."""
    flat = np.asarray(faces).reshape(-1)
    order = np.argsort(flat, kind="stable")
    found = np.searchsorted(flat, index, sorter=order)
    corner = order[found.clip(max=len(flat) - 1)]
    return SurfacePoints(corner // 3, np.eye(3)[corner % 3])
