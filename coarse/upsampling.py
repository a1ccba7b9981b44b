"""Barycentric up-sampling (CoMA, 2018): a fine vertex is a mixture of the corners of its closest coarse triangle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

FIRST_CANDIDATES = 8
"""Triangles tried first, by centroid, to bound the distance before the exact search."""

CHUNK = 8192
"""Points searched at a time: bounds the memory of the candidate pairs."""


def barycentric_upsampling(
    verts_fine: ArrayLike,
    verts_coarse: ArrayLike,
    faces_coarse: ArrayLike,
    *,
    labels_fine: ArrayLike | None = None,
    labels_coarse: ArrayLike | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Closest point of the coarse surface for each fine vertex, as barycentric weights.

    The search is exact. A fine vertex that coincides with a coarse one gets weight 1 there and 0 elsewhere. With labels
    (for example connected components), a fine vertex only sees triangles whose first corner has its label: an eyeball
    then never takes values from the lid in front of it. A label without coarse triangles falls back to all triangles.

    Args:
        verts_fine: (V, 3) positions.
        verts_coarse: (v, 3) positions.
        faces_coarse: (f, 3) triangles over the coarse vertices.
        labels_fine: (V,) integers, or None.
        labels_coarse: (v,) integers, given together with `labels_fine`.

    Returns:
        index (V, 3) int64 into the coarse vertices and weight (V, 3) float64, non-negative, rows summing to 1:
        x_fine = sum_j weight[:, j] x_coarse[index[:, j]].

    Raises:
        ValueError: wrong shapes, or one kind of label without the other.
    """
    fine, coarse = np.asarray(verts_fine, np.float64), np.asarray(verts_coarse, np.float64)
    faces = np.asarray(faces_coarse, np.int64)
    for name, array in (("verts_fine", fine), ("verts_coarse", coarse), ("faces_coarse", faces)):
        if array.ndim != 2 or array.shape[1] != 3 or not len(array):
            raise ValueError(f"{name} must be (N, 3) with N > 0, found {array.shape}")
    if (labels_fine is None) != (labels_coarse is None):
        raise ValueError("labels_fine and labels_coarse are given together or not at all")
    if labels_fine is None or labels_coarse is None:
        labels_fine, labels_coarse = np.zeros(len(fine)), np.zeros(len(coarse))
    of_point, of_face = np.asarray(labels_fine), np.asarray(labels_coarse)[faces[:, 0]]
    if of_point.shape != (len(fine),):
        raise ValueError(f"labels_fine must be ({len(fine)},), found {of_point.shape}")
    index, weight = np.zeros((len(fine), 3), np.int64), np.zeros((len(fine), 3))
    for label in np.unique(of_point):
        mine, theirs = of_point == label, of_face == label
        found = closest_points(fine[mine], coarse, faces, theirs if theirs.any() else None)
        index[mine], weight[mine] = faces[found.face], found.bary
    weight = np.where(weight < 1e-9, 0.0, weight)
    return index, weight / weight.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class SurfacePoints:
    """Points on a mesh.

    Attributes:
        face: (N,) index of the face.
        bary: (N, 3) barycentric coordinates, non-negative, rows sum to 1.
    """

    face: NDArray[np.integer]
    bary: NDArray[np.floating]

    def on(self, vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.floating]:
        """Positions (N, 3) on `vertices` (V, 3) with `faces` (F, 3)."""
        return np.einsum("nk,nkc->nc", self.bary, vertices[faces[self.face]])


def closest_points(
    points: ArrayLike, vertices: ArrayLike, faces: ArrayLike, allowed: NDArray[np.bool_] | None = None
) -> SurfacePoints:
    """The point of a surface that lies closest to each of `points`, exactly.

    Args:
        points: (N, 3).
        vertices: (V, 3).
        faces: (F, 3).
        allowed: (F,) faces that count; None for all.
    """
    triangles, every = np.asarray(faces, np.int64), np.asarray(points, np.float64)
    chosen = np.arange(len(triangles)) if allowed is None else np.flatnonzero(allowed)
    search = _TriangleSearch(np.asarray(vertices, np.float64), triangles[chosen])
    parts = [search.closest(every[start : start + CHUNK]) for start in range(0, len(every), CHUNK)]
    face, bary = (np.concatenate(part) for part in zip(*parts, strict=True))
    return SurfacePoints(chosen[face], bary)


def component_labels(faces: ArrayLike, vertex_count: int) -> NDArray[np.int64]:
    """Number the connected components of a mesh.

    Args:
        faces: (F, 3) triangles.
        vertex_count: V.

    Returns:
        (V,) int64 labels; equal for vertices joined by edges.
    """
    triangles = np.asarray(faces, np.int64)
    rows, columns = triangles.reshape(-1), np.roll(triangles, 1, axis=1).reshape(-1)
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(vertex_count, vertex_count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


class _TriangleSearch:
    """Exact closest triangle: k-d trees over centroids, one for each power of two of the triangles' radius."""

    def __init__(self, coarse: NDArray[np.float64], faces: NDArray[np.int64]) -> None:
        self.corners = coarse[faces]
        self.centroids = self.corners.mean(axis=1)
        radius = np.linalg.norm(self.corners - self.centroids[:, None], axis=2).max(axis=1)
        bucket = np.ceil(np.log2(np.maximum(radius, 1e-12))).astype(int)
        self.tree = cKDTree(self.centroids)
        self.buckets = []
        for level in np.unique(bucket):
            members = np.flatnonzero(bucket == level)
            self.buckets.append((members, radius[members].max(), cKDTree(self.centroids[members])))

    def closest(self, points: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Face (n,) and barycentric weights (n, 3) of the closest points."""
        first = self.tree.query(points, k=min(FIRST_CANDIDATES, len(self.centroids)))[1].reshape(len(points), -1)
        owner = np.repeat(np.arange(len(points)), first.shape[1])
        face, weight, distance = self._best(points, owner, first.reshape(-1))
        owners, candidates = [np.arange(len(points))], [face]
        for members, radius, tree in self.buckets:
            found = tree.query_ball_point(points, distance * (1 + 1e-9) + radius)
            owners.append(np.repeat(np.arange(len(points)), [len(one) for one in found]))
            candidates.append(members[np.concatenate([np.asarray(one, np.int64) for one in found])])
        face, weight, _ = self._best(points, np.concatenate(owners), np.concatenate(candidates))
        return face, weight

    def _best(
        self, points: NDArray[np.float64], owner: NDArray[np.int64], face: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        weight = closest_barycentric(points[owner], self.corners[face])
        offset = np.einsum("nc,ncd->nd", weight, self.corners[face]) - points[owner]
        distance = np.linalg.norm(offset, axis=1)
        order = np.lexsort((face, distance, owner))
        winner = order[np.unique(owner[order], return_index=True)[1]]
        return face[winner], weight[winner], distance[winner]


def closest_barycentric(points: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Barycentric coordinates of the closest point of each point's own triangle.

    Args:
        points: (N, 3).
        corners: (N, 3, 3), corner by coordinate.

    Returns:
        (N, 3) non-negative weights that sum to 1. Degenerate triangles are treated as their edges.
    """
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac, ap = b - a, c - a, points - a
    aa, mixed, cc = (ab * ab).sum(1), (ab * ac).sum(1), (ac * ac).sum(1)
    pa, pc = (ap * ab).sum(1), (ap * ac).sum(1)
    determinant = aa * cc - mixed**2
    usable = determinant > 1e-14 * aa * cc
    safe = np.where(usable, determinant, 1.0)
    v, w = (cc * pa - mixed * pc) / safe, (aa * pc - mixed * pa) / safe
    inside = usable & (v >= 0) & (w >= 0) & (v + w <= 1)
    weights = np.stack([1 - v - w, v, w], axis=1)
    outside = np.flatnonzero(~inside)
    weights[outside] = _closest_on_edges(points[outside], corners[outside])
    return weights


def _closest_on_edges(points: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.float64]:
    best = np.zeros((len(points), 3))
    shortest = np.full(len(points), np.inf)
    for start, end in ((0, 1), (1, 2), (2, 0)):
        origin, direction = corners[:, start], corners[:, end] - corners[:, start]
        along = ((points - origin) * direction).sum(1) / np.maximum((direction**2).sum(1), 1e-300)
        along = np.clip(along, 0.0, 1.0)
        distance = np.linalg.norm(origin + along[:, None] * direction - points, axis=1)
        nearer = distance < shortest
        shortest = np.where(nearer, distance, shortest)
        weight = np.zeros_like(best)
        weight[:, start], weight[:, end] = 1 - along, along
        best = np.where(nearer[:, None], weight, best)
    return best
