"""The graph of a mesh as scipy matrices: adjacency, Laplacians, a numbering that keeps neighbours close in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix, diags_array, eye_array
from scipy.sparse.csgraph import reverse_cuthill_mckee as scipy_rcm

LAMBDA_MAX = 2.0
"""Bound of the normalised Laplacian's eigenvalues (bipartite graphs alone reach it); the published code's value."""


def adjacency(faces: ArrayLike, vertex_count: int) -> csr_matrix:
    """Which vertices share an edge.

    Args:
        faces: (F, 3) triangles.
        vertex_count: V.

    Returns:
        (V, V) symmetric, ones where an edge is, zero diagonal, float64, column indices sorted.

    Raises:
        ValueError: faces are not (F, 3) or name vertices outside 0..V-1.
    """
    triangles = np.asarray(faces, dtype=np.int64)
    if triangles.ndim != 2 or triangles.shape[1] != 3:
        raise ValueError(f"faces must be (F, 3), found shape {triangles.shape}")
    if len(triangles) and (triangles.min() < 0 or triangles.max() >= vertex_count):
        raise ValueError(f"faces index {triangles.min()}..{triangles.max()}; the mesh has {vertex_count} vertices")
    start, end = triangles.reshape(-1), np.roll(triangles, -1, axis=1).reshape(-1)
    proper = start != end
    rows, columns = np.concatenate([start, end]), np.concatenate([end, start])
    ones = np.ones(2 * int(proper.sum()))
    proper = np.concatenate([proper, proper])
    matrix = csr_matrix((ones, (rows[proper], columns[proper])), shape=(vertex_count, vertex_count))
    matrix.sort_indices()
    matrix.data[:] = 1.0
    return matrix


def normalized_laplacian(faces: ArrayLike, vertex_count: int) -> csr_matrix:
    """L = I - D^-1/2 A D^-1/2; a vertex without edges has a row of I.

    Args:
        faces: (F, 3) triangles.
        vertex_count: V.

    Returns:
        (V, V) symmetric, eigenvalues in [0, 2].
    """
    return csr_matrix(eye_array(vertex_count) - _normalized_adjacency(faces, vertex_count))


def scaled_laplacian(faces: ArrayLike, vertex_count: int, lambda_max: float = LAMBDA_MAX) -> csr_matrix:
    """2 L / lambda_max - I, the argument of the Chebyshev polynomials, eigenvalues in [-1, 1].

    With lambda_max = 2 it is -D^-1/2 A D^-1/2, whose empty diagonal is not stored.

    Args:
        faces: (F, 3) triangles.
        vertex_count: V.
        lambda_max: bound of L's eigenvalues.

    Returns:
        (V, V) symmetric.

    Raises:
        ValueError: lambda_max is not positive, or the faces are wrong.
    """
    if not lambda_max > 0:
        raise ValueError(
            f"lambda_max is {lambda_max}; it bounds eigenvalues and must be positive (2 holds for any graph)"
        )
    scale = 2.0 / lambda_max
    matrix = csr_matrix(-scale * _normalized_adjacency(faces, vertex_count))
    if scale != 1.0:
        matrix = csr_matrix(matrix + (scale - 1.0) * eye_array(vertex_count))
    matrix.sort_indices()
    return matrix


def averaging(faces: ArrayLike, vertex_count: int) -> csr_matrix:
    """D^-1 A: the mean over a vertex's neighbours; a vertex without edges keeps its own value.

    Args:
        faces: (F, 3) triangles.
        vertex_count: V.

    Returns:
        (V, V), rows sum to 1.
    """
    matrix = adjacency(faces, vertex_count)
    degree = np.diff(matrix.indptr)
    mean = diags_array(1.0 / np.maximum(degree, 1)) @ matrix + diags_array((degree == 0).astype(np.float64))
    return csr_matrix(mean)


def reverse_cuthill_mckee(faces: ArrayLike, vertex_count: int) -> NDArray[np.int64]:
    """Order in which neighbours have near numbers: sparse products then find their operands in the cache.

    Args:
        faces: (F, 3) triangles.
        vertex_count: V.

    Returns:
        (V,) order: new vertex i is old vertex order[i]; renumber faces with ``np.argsort(order)[faces]``.
    """
    return np.asarray(scipy_rcm(adjacency(faces, vertex_count), symmetric_mode=True), dtype=np.int64)


def _normalized_adjacency(faces: ArrayLike, vertex_count: int) -> csr_matrix:
    matrix = adjacency(faces, vertex_count)
    degree = np.diff(matrix.indptr)
    root = diags_array(np.where(degree > 0, np.maximum(degree, 1) ** -0.5, 0.0))
    return csr_matrix(root @ matrix @ root)
