"""Small geometry on triangle meshes used while building the face model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class SurfacePoints:
    """Points on a mesh.

    Attributes:
        face: (N,) index of the face.
        bary: (N, 3) barycentric coordinates, non-negative, rows sum to 1.
    """

    face: np.ndarray
    bary: np.ndarray

    def on(self, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """Positions (N, 3) on `vertices` (V, 3) with `faces` (F, 3)."""
        return np.einsum("nk,nkc->nc", self.bary, vertices[faces[self.face]])


def face_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,) areas; vertices (V, 2) or (V, 3). In 2D the areas are signed (counter-clockwise positive)."""
    a, b = vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]]
    if vertices.shape[1] == 2:
        return 0.5 * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    return 0.5 * np.linalg.norm(np.cross(a, b), axis=1)


def vertex_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V,) a third of the area of the faces around each vertex."""
    area = np.repeat(face_areas(vertices, faces) / 3.0, 3)
    return np.bincount(faces.ravel(), weights=area, minlength=len(vertices))


def adjacency(faces: np.ndarray, vertex_count: int) -> csr_matrix:
    """(V, V) symmetric 0/1 matrix of the mesh's edges."""
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    graph = coo_matrix((np.ones(len(sides)), (sides[:, 0], sides[:, 1])), shape=(vertex_count, vertex_count)).tocsr()
    graph = graph + graph.T
    graph.data[:] = 1.0
    return graph.tocsr()


def boundary_loops(faces: np.ndarray) -> list[np.ndarray]:
    """Closed boundary loops of a triangle mesh, each in the order its faces run along it, longest first."""
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    count = int(faces.max()) + 1
    keys, twins = sides @ [count, 1], sides[:, ::-1] @ [count, 1]
    rim = sides[~np.isin(keys, twins)]
    after = dict(rim.tolist())
    loops = []
    while after:
        loop = [next(iter(after))]
        while loop[-1] in after:
            loop.append(after.pop(loop[-1]))
        loops.append(np.array(loop[:-1]))
    return sorted(loops, key=len, reverse=True)


def closest_points(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, allowed: np.ndarray) -> SurfacePoints:
    """Closest points of the allowed faces, among the faces around the 12 nearest vertices of each point.

    Args:
        points: (N, 3).
        vertices: (V, 3).
        faces: (F, 3).
        allowed: (F,) bool.
    """
    chosen = np.flatnonzero(allowed)
    corner_vertex = faces[chosen].ravel()
    order = np.argsort(corner_vertex, kind="stable")
    start = np.searchsorted(corner_vertex[order], np.arange(len(vertices) + 1))
    usable = np.unique(corner_vertex)
    near = usable[cKDTree(vertices[usable]).query(points, k=min(12, len(usable)))[1].reshape(len(points), -1)]
    face, bary = np.zeros(len(points), np.int64), np.zeros((len(points), 3))
    for i, point in enumerate(points):
        candidates = np.unique(np.concatenate([chosen[order[start[v] : start[v + 1]] // 3] for v in near[i]]))
        weights = closest_barycentric(point, vertices[faces[candidates]])
        distance = np.linalg.norm(np.einsum("fk,fkc->fc", weights, vertices[faces[candidates]]) - point, axis=1)
        best = distance.argmin()
        face[i], bary[i] = candidates[best], weights[best]
    return SurfacePoints(face, bary)


def mirrored_points(points: SurfacePoints, faces: np.ndarray, mirror: np.ndarray) -> SurfacePoints:
    """The mirror images of points on a symmetric mesh, exact: mirrored face, corners matched."""
    count = len(mirror)

    def key(corners: np.ndarray) -> np.ndarray:
        return np.sort(corners, axis=1) @ np.array([count * count, count, 1], dtype=np.int64)

    order = np.argsort(key(faces))
    wanted = mirror[faces[points.face]].astype(np.int64)
    face = order[np.searchsorted(key(faces), key(wanted), sorter=order)]
    place = (faces[face][:, :, None] == wanted[:, None, :]).argmax(2)
    return SurfacePoints(face, np.take_along_axis(points.bary, place, axis=1))


def closest_barycentric(point: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(F, 3) barycentric coordinates of the point of each triangle (F, 3, 3) closest to `point` (3,)."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac, ap = b - a, c - a, point - a
    d00, d01, d11 = (ab * ab).sum(1), (ab * ac).sum(1), (ac * ac).sum(1)
    d20, d21 = (ap * ab).sum(1), (ap * ac).sum(1)
    scale = np.maximum(d00 * d11 - d01 * d01, 1e-20)
    v, w = (d11 * d20 - d01 * d21) / scale, (d00 * d21 - d01 * d20) / scale
    inside = np.stack([1.0 - v - w, v, w], axis=-1)
    sides = [_on_segment(point, corners[:, i], corners[:, j], i, j) for i, j in ((0, 1), (1, 2), (2, 0))]
    options = np.stack([inside, *sides], axis=1)
    distance = np.linalg.norm(np.einsum("fok,fkc->foc", options, corners) - point, axis=-1)
    distance[:, 0] = np.where((inside >= 0).all(1), distance[:, 0], np.inf)
    return options[np.arange(len(corners)), distance.argmin(1)]


def _on_segment(point: np.ndarray, start: np.ndarray, end: np.ndarray, i: int, j: int) -> np.ndarray:
    along = end - start
    t = np.clip(((point - start) * along).sum(1) / np.maximum((along * along).sum(1), 1e-20), 0.0, 1.0)
    weights = np.zeros((len(start), 3))
    weights[:, i], weights[:, j] = 1.0 - t, t
    return weights
