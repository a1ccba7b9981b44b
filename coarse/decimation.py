"""Quadric edge collapse onto an end point, so that the vertices of the coarse mesh are a subset of the fine ones.

Garland and Heckbert, "Surface simplification using quadric error metrics", 1997; the collapse to an end point instead
of the optimal point follows the sampling of Ranjan et al., "Generating 3D faces using convolutional mesh autoencoders"
(CoMA), 2018: pooling a mesh is then choosing vertices.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Point = tuple[float, float, float]
Quadric = tuple[float, ...]

BOUNDARY_WEIGHT = 10.0
"""Weight of the planes that stand on boundary edges, beside 1 for the planes of the faces."""

SPREAD_WEIGHT = 1e-2
"""Weight of the squared distance to the merged vertices: keeps flat regions, where planes cost nothing, evenly full."""

STRICTNESS = ((0.2, 0.1), (0.0, 0.01), (0.0, 1e-4))
"""Rounds of (smallest cosine between a face's normal before and after, smallest quality of a new face)."""


@dataclass(frozen=True)
class Decimation:
    """A coarse mesh on a subset of a fine mesh's vertices.

    Attributes:
        kept: (n,) int64, ascending: which fine vertices the coarse mesh keeps; coarse vertex i is fine vertex kept[i].
        faces: (m, 3) int64 triangles that index the coarse vertices; orientation as in the fine mesh.
    """

    kept: NDArray[np.int64]
    faces: NDArray[np.int64]


def quadric_decimate(vertices: ArrayLike, faces: ArrayLike, count: int) -> Decimation:
    """Collapse edges, cheapest first, until `count` vertices are left.

    Each collapse moves a vertex onto a neighbour. A collapse that would turn a face over, make a sliver, or break the
    surface (two-manifold with boundary; no component or hole closes) is not made. Boundary vertices move along the
    boundary only. Vertices that no face uses are dropped first. Deterministic.

    Args:
        vertices: (V, 3) positions, any unit.
        faces: (F, 3) triangles.
        count: vertices to keep, 3 or more.

    Returns:
        The kept vertices and the coarse faces.

    Raises:
        ValueError: shapes or indices are wrong, or the surface cannot be brought down to `count` vertices.
    """
    points, triangles = _checked(vertices, faces)
    if count < 3:
        raise ValueError(f"count is {count}; a mesh has 3 vertices at least: ask for 3 or more")
    mesh = _CollapsingMesh(points, triangles)
    for min_cosine, min_quality in STRICTNESS:
        progress = True
        while progress and mesh.alive > count:
            before = mesh.alive
            mesh.collapse_until(count, min_cosine, min_quality)
            progress = mesh.alive < before
    if mesh.alive > count:
        raise ValueError(
            f"the mesh of {len(points)} vertices cannot be reduced below {mesh.alive} without breaking its surface; "
            f"{count} were asked for: ask for more"
        )
    return mesh.result()


def _checked(vertices: ArrayLike, faces: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    points = np.asarray(vertices, dtype=np.float64)
    triangles = np.asarray(faces, dtype=np.int64)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise ValueError(f"vertices must be finite and (V, 3), found shape {points.shape}")
    if triangles.ndim != 2 or triangles.shape[1] != 3 or not len(triangles):
        raise ValueError(f"faces must be (F, 3) with F > 0, found shape {triangles.shape}")
    if triangles.min() < 0 or triangles.max() >= len(points):
        raise ValueError(f"faces index vertices {triangles.min()}..{triangles.max()}, the mesh has {len(points)}")
    proper = (triangles != np.roll(triangles, 1, axis=1)).all(axis=1)
    return points, triangles[proper]


def vertex_quadrics(points: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.float64]:
    """Area-weighted plane quadrics, boundary planes and the spread term, per vertex.

    Args:
        points: (V, 3) positions.
        faces: (F, 3) triangles.

    Returns:
        (V, 10) upper triangles of the symmetric 4 x 4 quadrics: aa ab ac ad bb bc bd cc cd dd.
    """
    corners = points[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    double_area = np.linalg.norm(cross, axis=1)
    normal = cross / np.maximum(double_area, 1e-300)[:, None]
    quadrics = np.zeros((len(points), 10))
    planes = _plane_quadrics(normal, corners[:, 0]) * (double_area / 2)[:, None]
    areas = np.zeros(len(points))
    rows = faces.T.ravel()
    np.add.at(quadrics, rows, np.tile(planes, (3, 1)))
    np.add.at(areas, rows, np.tile(double_area / 6, 3))
    _add_boundary(quadrics, points, faces, normal)
    spread = np.zeros((len(points), 10))
    for axis, (square, mixed) in enumerate(((0, 3), (4, 6), (7, 8))):
        spread[:, square] = 1.0
        spread[:, mixed] = -points[:, axis]
    spread[:, 9] = (points**2).sum(axis=1)
    return quadrics + SPREAD_WEIGHT * areas[:, None] * spread


def _plane_quadrics(normal: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    plane = np.concatenate([normal, -(normal * point).sum(axis=1, keepdims=True)], axis=1)
    rows, columns = np.triu_indices(4)
    return plane[:, rows] * plane[:, columns]


def _add_boundary(
    quadrics: NDArray[np.float64], points: NDArray[np.float64], faces: NDArray[np.int64], normal: NDArray[np.float64]
) -> None:
    edges, owner = boundary_edges(faces)
    direction = points[edges[:, 1]] - points[edges[:, 0]]
    wall = np.cross(direction, normal[owner])
    wall /= np.maximum(np.linalg.norm(wall, axis=1), 1e-300)[:, None]
    weight = BOUNDARY_WEIGHT * (direction**2).sum(axis=1)
    planes = _plane_quadrics(wall, points[edges[:, 0]]) * weight[:, None]
    np.add.at(quadrics, edges.T.ravel(), np.tile(planes, (2, 1)))


def boundary_edges(faces: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Edges that one face only uses.

    Args:
        faces: (F, 3) triangles.

    Returns:
        (E, 2) edges in the direction of their face, and (E,) that face's index.
    """
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    keys = np.sort(edges, axis=1) @ (faces.max() + 1, 1)
    _, inverse, uses = np.unique(keys, return_inverse=True, return_counts=True)
    single = np.flatnonzero(uses[inverse] == 1)
    return edges[single], single % len(faces)


class _CollapsingMesh:
    """The mesh while edges collapse: plain Python lists, which beat small numpy arrays one vertex at a time."""

    def __init__(self, points: NDArray[np.float64], faces: NDArray[np.int64]) -> None:
        used = np.unique(faces)
        centered = points - points[used].mean(axis=0)
        centered /= max(float(np.abs(centered[used]).max()), 1e-300)
        self.points: list[Point] = [tuple(row) for row in centered.tolist()]
        self.faces: dict[int, tuple[int, int, int]] = {index: tuple(row) for index, row in enumerate(faces.tolist())}
        self.quadrics: list[Quadric] = [tuple(row) for row in vertex_quadrics(centered, faces).tolist()]
        self.around: list[set[int]] = [set() for _ in range(len(points))]
        for index, face in self.faces.items():
            for vertex in face:
                self.around[vertex].add(index)
        self.on_boundary = set(boundary_edges(faces)[0].reshape(-1).tolist())
        self.stamps = [0] * len(points)
        self.alive = len(used)
        self.heap: list[tuple[float, int, int, int, int]] = []

    def collapse_until(self, count: int, min_cosine: float, min_quality: float) -> None:
        """One sweep over a fresh heap of all edges, cheapest first."""
        self.heap = []
        for vertex, ring in enumerate(self.around):
            if ring:
                self._push(vertex, (other for other in self._neighbors(vertex) if other > vertex))
        while self.heap and self.alive > count:
            _, stamp_gone, stamp_kept, gone, kept = heapq.heappop(self.heap)
            if self.stamps[gone] != stamp_gone or self.stamps[kept] != stamp_kept:
                continue
            if self._sound(gone, kept) and self._shapely(gone, kept, min_cosine, min_quality):
                self._collapse(gone, kept)

    def result(self) -> Decimation:
        left = np.array(list(self.faces.values()), dtype=np.int64)
        kept, inverse = np.unique(left, return_inverse=True)
        return Decimation(kept=kept, faces=inverse.reshape(-1, 3).astype(np.int64))

    def _neighbors(self, vertex: int) -> set[int]:
        return set().union(*(self.faces[index] for index in self.around[vertex])) - {vertex}

    def _push(self, vertex: int, others: Iterable[int]) -> None:
        for other in others:
            merged = tuple(map(float.__add__, self.quadrics[vertex], self.quadrics[other]))
            for gone, kept in ((vertex, other), (other, vertex)):
                if gone in self.on_boundary and kept not in self.on_boundary:
                    continue
                cost = _error(merged, self.points[kept])
                heapq.heappush(self.heap, (cost, self.stamps[gone], self.stamps[kept], gone, kept))

    def _sound(self, gone: int, kept: int) -> bool:
        """The link condition: the surface stays a manifold with the same components and holes."""
        shared = self.around[gone] & self.around[kept]
        common = self._neighbors(gone) & self._neighbors(kept)
        if len(common) != len(shared) or not 1 <= len(shared) <= 2:
            return False
        if len(shared) == 2 and gone in self.on_boundary:
            return False
        if len(self.around[kept]) + len(self.around[gone]) <= 2 * len(shared):
            return False
        if any(len(self.around[vertex]) < 2 for vertex in common):
            return False
        rest = {frozenset(self.faces[index]) - {kept} for index in self.around[kept] - shared}
        return not any(frozenset(self.faces[index]) - {gone} in rest for index in self.around[gone] - shared)

    def _shapely(self, gone: int, kept: int, min_cosine: float, min_quality: float) -> bool:
        """No remaining face turns over or becomes a sliver."""
        target = self.points[kept]
        for index in self.around[gone] - self.around[kept]:
            a, b, c = self.faces[index]
            if b == gone:
                a, b, c = b, c, a
            elif c == gone:
                a, b, c = c, a, b
            if not _face_stays(self.points[a], target, self.points[b], self.points[c], min_cosine, min_quality):
                return False
        return True

    def _collapse(self, gone: int, kept: int) -> None:
        for index in list(self.around[gone]):
            face = self.faces[index]
            if kept in face:
                for vertex in face:
                    self.around[vertex].discard(index)
                del self.faces[index]
            else:
                a, b, c = (kept if vertex == gone else vertex for vertex in face)
                self.faces[index] = (a, b, c)
                self.around[kept].add(index)
        self.around[gone] = set()
        self.quadrics[kept] = tuple(map(float.__add__, self.quadrics[kept], self.quadrics[gone]))
        self.stamps[gone] += 1
        self.stamps[kept] += 1
        self.alive -= 1
        self._push(kept, self._neighbors(kept))


def _error(quadric: Quadric, point: Point) -> float:
    aa, ab, ac, ad, bb, bc, bd, cc, cd, dd = quadric
    x, y, z = point
    return (
        x * (aa * x + 2.0 * (ab * y + ac * z + ad)) + y * (bb * y + 2.0 * (bc * z + bd)) + z * (cc * z + 2.0 * cd) + dd
    )


def _face_stays(old: Point, new: Point, b: Point, c: Point, min_cosine: float, min_quality: float) -> bool:
    """Whether triangle (old, b, c) may become (new, b, c); quality is 1 for an equilateral triangle, 0 for a line."""
    ox, oy, oz, _ = _cross_at(old, b, c)
    nx, ny, nz, edges = _cross_at(new, b, c)
    old_length = (ox * ox + oy * oy + oz * oz) ** 0.5
    new_length = (nx * nx + ny * ny + nz * nz) ** 0.5
    if new_length * 3.4641016151377544 < min_quality * edges or new_length <= 0.0:
        return False
    return ox * nx + oy * ny + oz * nz >= min_cosine * old_length * new_length


def _cross_at(a: Point, b: Point, c: Point) -> tuple[float, float, float, float]:
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    wx, wy, wz = vx - ux, vy - uy, vz - uz
    edges = ux * ux + uy * uy + uz * uz + vx * vx + vy * vy + vz * vz + wx * wx + wy * wy + wz * wz
    return uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx, edges
