"""Small geometry on triangle meshes used while building the face model."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from coarse.upsampling import SurfacePoints


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
