"""The graph of a mesh as scipy matrices: adjacency, Laplacian, averaging."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix, diags_array


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


def scaled_laplacian(faces: ArrayLike, vertex_count: int) -> csr_matrix:
    """L - I = -D^-1/2 A D^-1/2 with L the normalised Laplacian, the argument of the Chebyshev polynomials.

    Eigenvalues of L lie in [0, 2] (bipartite graphs alone reach 2, the published code's bound), these in [-1, 1]. The
    diagonal is empty and not stored; a vertex without edges has an empty row.

    Args:
        faces: (F, 3) triangles.
        vertex_count: V.

    Returns:
        (V, V) symmetric.

    Raises:
        ValueError: the faces are wrong.
    """
    matrix = adjacency(faces, vertex_count)
    degree = np.diff(matrix.indptr)
    root = diags_array(np.where(degree > 0, np.maximum(degree, 1) ** -0.5, 0.0))
    matrix = csr_matrix(-(root @ matrix @ root))
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
