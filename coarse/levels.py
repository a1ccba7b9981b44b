"""The levels of a pooling pyramid over any mesh: edges collapse; what is left is numbered for fast sparse products."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import reverse_cuthill_mckee

from coarse.decimation import quadric_decimate
from coarse.face_model import PyramidLevel
from coarse.upsampling import barycentric_upsampling, component_labels


def decimated_levels(
    vertices: ArrayLike, faces: ArrayLike, factors: Sequence[int] = (4, 4, 4, 4)
) -> tuple[PyramidLevel, ...]:
    """Build a pyramid over any mesh by quadric edge collapse, as the published code does.

    Args:
        vertices: (V, 3) positions.
        faces: (F, 3) triangles; every vertex is used by one.
        factors: by how much each level has fewer vertices than the one before (rounded up).

    Returns:
        one level more than factors, the finest first.

    Raises:
        ValueError: a factor below 2, a vertex without faces, or a surface that cannot be reduced as far.
    """
    if min(factors, default=2) < 2:
        raise ValueError(f"factors are {tuple(factors)}; each must be 2 or more")
    points, triangles = np.asarray(vertices, np.float64), np.asarray(faces, np.int64)
    if len(np.unique(triangles)) != len(points):
        raise ValueError(f"{len(points) - len(np.unique(triangles))} vertices belong to no face: remove them first")
    _, *counts = accumulate(factors, lambda count, factor: -(-count // factor), initial=len(points))
    return extended_levels((PyramidLevel(triangles.astype(np.int32)),), points, counts)


def extended_levels(
    levels: Sequence[PyramidLevel], vertices: NDArray[np.floating], counts: Sequence[int]
) -> tuple[PyramidLevel, ...]:
    """Add coarser levels by quadric edge collapse, numbered by reverse Cuthill-McKee.

    Args:
        levels: those that are there, the finest first.
        vertices: (V, 3) positions of the last one's vertices.
        counts: vertices of each further level.
    """
    done, last = list(levels[:-1]), levels[-1]
    for count in counts:
        coarse = quadric_decimate(vertices, last.faces, count)
        order = rcm_order(coarse.faces, len(coarse.kept))
        kept, faces = coarse.kept[order], np.argsort(order)[coarse.faces]
        labels = component_labels(last.faces, len(vertices))
        index, weight = barycentric_upsampling(
            vertices, vertices[kept], faces, labels_fine=labels, labels_coarse=labels[kept]
        )
        done.append(PyramidLevel(last.faces, kept.astype(np.int32), index.astype(np.int32), weight.astype(np.float32)))
        last, vertices = PyramidLevel(faces.astype(np.int32)), vertices[kept]
    return (*done, last)


def rcm_order(faces: ArrayLike, vertex_count: int) -> NDArray[np.int64]:
    """(V,) reverse Cuthill-McKee order of a mesh's vertices: old index of each new vertex."""
    triangles = np.asarray(faces, np.int64)
    start, end = triangles.T.ravel(), np.roll(triangles, -1, axis=1).T.ravel()
    graph = coo_array((np.ones(len(start), np.int8), (start, end)), shape=(vertex_count, vertex_count)).tocsr()
    return reverse_cuthill_mckee((graph + graph.T).tocsr(), symmetric_mode=True).astype(np.int64)
