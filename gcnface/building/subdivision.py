"""Catmull-Clark subdivision as sparse matrices, and the triangle refinement that goes with it.

Catmull & Clark, "Recursively generated B-spline surfaces on arbitrary topological meshes", 1978. Every quad is
split into two triangles once; refining each triangle at its edge midpoints then gives exactly the vertices of
the Catmull-Clark quads (a diagonal's midpoint is the quad's face point), so triangle levels nest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags, vstack


@dataclass(frozen=True)
class QuadRefinement:
    """One Catmull-Clark step: vertices are [old vertices, edge points, face points].

    Attributes:
        matrix: (V', V) rows of weights: new positions = matrix @ old positions.
        quads: (4 Q, 4) quads of the refined mesh.
        edges: (E, 2) old vertex pairs (sorted), edge i becomes vertex V + i.
    """

    matrix: csr_matrix
    quads: np.ndarray
    edges: np.ndarray


@dataclass(frozen=True)
class TriangleRefinement:
    """Triangles of a (partly) refined mesh.

    Attributes:
        faces: (F', 3) in the refined numbering of QuadRefinement.
        parent: (F',) the coarser triangle each one lies in.
    """

    faces: np.ndarray
    parent: np.ndarray


def catmull_clark(quads: np.ndarray, vertex_count: int) -> QuadRefinement:
    """Refine a quad mesh (Q, 4) once; boundary edges follow the cubic B-spline rule."""
    edges, quad_edges, edge_use = _edges(quads, vertex_count)
    face_rows = _incidence(quads, vertex_count).T.tocsr() / 4
    boundary = edge_use == 1
    middle = _incidence(edges, vertex_count).T.tocsr() / 2
    edge_faces = _incidence(quad_edges, len(edges))
    interior_rows = (middle + diags(1.0 / edge_use) @ edge_faces @ face_rows) * 0.5
    edge_rows = _choose(boundary, middle, interior_rows)
    vertex_rows = _vertex_rows(quads, edges, boundary, face_rows, middle)
    matrix = vstack([vertex_rows, edge_rows, face_rows]).tocsr()
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return QuadRefinement(matrix, _split_quads(quads, quad_edges, vertex_count, len(edges)), edges)


def triangulate(quads: np.ndarray, vertices: np.ndarray, mirror: np.ndarray) -> TriangleRefinement:
    """Split each quad along its shorter diagonal on the +x side, and the -x side as its mirror image."""
    a, b, c, d = (vertices[quads[:, i]] for i in range(4))
    along_ac = np.linalg.norm(a - c, axis=1) <= np.linalg.norm(b - d, axis=1)
    diagonal = np.where(along_ac[:, None], quads[:, [0, 2]], quads[:, [1, 3]])
    on_right = vertices[quads].mean(1)[:, 0] > 0
    chosen = {tuple(sorted(pair)) for pair in diagonal[on_right].tolist()}
    chosen |= {tuple(sorted(pair)) for pair in mirror[diagonal[on_right]].tolist()}
    use_ac = np.array([tuple(sorted((quad[0], quad[2]))) in chosen for quad in quads.tolist()])
    first = np.where(use_ac[:, None], quads[:, [0, 1, 2]], quads[:, [0, 1, 3]])
    second = np.where(use_ac[:, None], quads[:, [0, 2, 3]], quads[:, [1, 2, 3]])
    faces = np.stack([first, second], axis=1).reshape(-1, 3)
    return TriangleRefinement(faces, np.repeat(np.arange(len(quads)), 2))


def refine_triangles(
    faces: np.ndarray, quads: np.ndarray, refinement: QuadRefinement, chosen: np.ndarray
) -> TriangleRefinement:
    """Split the chosen triangles into four; neighbours get what closes the T-junctions (red-green).

    A triangle with one split edge is bisected; one with two or three is split into four as well.

    Args:
        faces: (F, 3) triangles made of the quads' edges and one diagonal each.
        quads: (Q, 4) quads of the same level.
        refinement: the Catmull-Clark step of those quads.
        chosen: (F,) bool, triangles that must be split into four.
    """
    midpoint = edge_midpoints(faces, quads, refinement)
    red = chosen.copy()
    while True:
        split = np.isin(midpoint, np.unique(midpoint[red]))
        grown = red | (split.sum(1) >= 2)
        if (grown == red).all():
            break
        red = grown
    two = np.flatnonzero((split.sum(1) == 1) & ~red)
    four = np.flatnonzero(red)
    one = np.setdiff1d(np.arange(len(faces)), np.concatenate([two, four]))
    parts = [faces[one], _bisect(faces[two], midpoint[two], split[two]), _quarter(faces[four], midpoint[four])]
    parent = np.concatenate([one, np.repeat(two, 2), np.repeat(four, 4)])
    return TriangleRefinement(np.concatenate(parts), parent)


def edge_midpoints(faces: np.ndarray, quads: np.ndarray, refinement: QuadRefinement) -> np.ndarray:
    """(F, 3) new vertex on the edge from corner i to corner i + 1."""
    vertex_count = refinement.matrix.shape[1]
    pairs = np.concatenate([refinement.edges, quads[:, [0, 2]], quads[:, [1, 3]]])
    face_point = vertex_count + len(refinement.edges) + np.arange(len(quads))
    target = np.concatenate([vertex_count + np.arange(len(refinement.edges)), face_point, face_point])
    keys = np.sort(pairs, axis=1) @ [vertex_count, 1]
    order = np.argsort(keys)
    sides = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1)
    wanted = np.sort(sides, axis=-1) @ [vertex_count, 1]
    return target[order[np.searchsorted(keys[order], wanted)]]


def _quarter(faces: np.ndarray, midpoint: np.ndarray) -> np.ndarray:
    a, b, c = faces.T
    ab, bc, ca = midpoint.T
    corners = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1).reshape(-1, 3)


def _bisect(faces: np.ndarray, midpoint: np.ndarray, split: np.ndarray) -> np.ndarray:
    side = split.argmax(1)
    rows = np.arange(len(faces))
    a, b, c = (faces[rows, (side + i) % 3] for i in range(3))
    m = midpoint[rows, side]
    return np.stack([np.stack([a, m, c], axis=-1), np.stack([m, b, c], axis=-1)], axis=1).reshape(-1, 3)


def _edges(quads: np.ndarray, vertex_count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unique sorted edges (E, 2), edge of each quad side (Q, 4), quads per edge (E,)."""
    sides = np.sort(np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1), axis=-1)
    keys, inverse, count = np.unique(sides @ [vertex_count, 1], return_inverse=True, return_counts=True)
    edges = np.stack([keys // vertex_count, keys % vertex_count], axis=-1)
    return edges, inverse.reshape(quads.shape), count


def _incidence(members: np.ndarray, count: int) -> csr_matrix:
    """(count, N) ones where thing i belongs to group j of `members` (N, k)."""
    columns = np.repeat(np.arange(len(members)), members.shape[1])
    values = np.ones(members.size)
    return coo_matrix((values, (members.ravel(), columns)), shape=(count, len(members))).tocsr()


def _vertex_rows(
    quads: np.ndarray, edges: np.ndarray, boundary: np.ndarray, face_rows: csr_matrix, middle: csr_matrix
) -> csr_matrix:
    """Rows of the moved old vertices: (F + 2 R + (n - 3) P) / n inside, (6 P + neighbours) / 8 on the boundary."""
    count = face_rows.shape[1]
    vertex_faces, vertex_edges = _incidence(quads, count), _incidence(edges, count)
    valence = np.maximum(np.asarray(vertex_edges.sum(1)).ravel(), 1)
    face_count = np.maximum(np.asarray(vertex_faces.sum(1)).ravel(), 1)
    identity = diags(np.ones(count)).tocsr()
    around_faces = diags(1.0 / face_count) @ vertex_faces @ face_rows
    around_edges = diags(1.0 / valence) @ vertex_edges @ middle
    inner = diags(1.0 / valence) @ (around_faces + 2.0 * around_edges + diags(valence - 3.0) @ identity)
    on_boundary = np.zeros(count, dtype=bool)
    on_boundary[np.unique(edges[boundary])] = True
    rim = 0.5 * identity + 0.25 * _incidence(edges[boundary], count) @ middle[np.flatnonzero(boundary)]
    return _choose(on_boundary, rim, inner)


def _choose(condition: np.ndarray, yes: csr_matrix, no: csr_matrix) -> csr_matrix:
    return (diags(condition.astype(float)) @ yes + diags((~condition).astype(float)) @ no).tocsr()


def _split_quads(quads: np.ndarray, quad_edges: np.ndarray, vertex_count: int, edge_count: int) -> np.ndarray:
    center = vertex_count + edge_count + np.arange(len(quads))
    points = vertex_count + quad_edges
    corners = [np.stack([quads[:, i], points[:, i], center, points[:, (i + 3) % 4]], axis=-1) for i in range(4)]
    return np.stack(corners, axis=1).reshape(-1, 4)
