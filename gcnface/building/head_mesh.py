"""The triangle meshes of the head on three nested levels, with their parts and the way between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from coarse.face_model import PyramidLevel
from coarse.levels import rcm_order
from gcnface.building.cage import PARTS, HeadCage, mirror_quads
from gcnface.building.subdivision import QuadRefinement, catmull_clark, edge_midpoints, refine_triangles, triangulate

FINE_PARTS = ("face", "eyeballs")


@dataclass(frozen=True)
class HeadMesh:
    """The subdivided head in its final numbering (reverse Cuthill-McKee on every level).

    Attributes:
        faces: (F, 3) of the finest level.
        mirror: (V,) mirror table of the finest level.
        face_quad: (F,) the cage quad each face lies in.
        stages: sparse matrices from the cage's vertices to the finest level's.
        levels: the pooling pyramid down to the cage (in the cage's RCM numbering).
        cage_order: (Vc,) cage vertex of each vertex of the last level.
    """

    faces: np.ndarray
    mirror: np.ndarray
    face_quad: np.ndarray
    stages: tuple[csr_matrix, ...]
    levels: tuple[PyramidLevel, ...]
    cage_order: np.ndarray


def head_mesh(cage: HeadCage) -> HeadMesh:
    """Subdivide twice in the face and the eyeballs, once elsewhere."""
    count = len(cage.vertices)
    first = catmull_clark(cage.quads, count)
    second = catmull_clark(first.quads, first.matrix.shape[0])
    base = triangulate(cage.quads, cage.vertices, cage.mirror)
    middle = refine_triangles(base.faces, cage.quads, first, np.ones(len(base.faces), bool))
    middle_quad = base.parent[middle.parent]
    chosen = np.isin(cage.part[middle_quad], [PARTS.index(name) for name in FINE_PARTS])
    fine = refine_triangles(middle.faces, first.quads, second, chosen)
    used = np.unique(fine.faces)
    order = [rcm_order(base.faces, count), rcm_order(middle.faces, first.matrix.shape[0])]
    order.append(used[rcm_order(np.searchsorted(used, fine.faces), len(used))])
    rank = [_inverse(o, n) for o, n in zip(order, (count, *(r.matrix.shape[0] for r in (first, second))), strict=True)]
    levels = (
        _level(rank[2][fine.faces], order, rank, 2, edge_midpoints(middle.faces, first.quads, second), middle.faces),
        _level(rank[1][middle.faces], order, rank, 1, edge_midpoints(base.faces, cage.quads, first), base.faces),
        PyramidLevel(rank[0][base.faces].astype(np.int32)),
    )
    fine_mirror = _refined_mirror(_refined_mirror(cage.mirror, cage.quads, first), first.quads, second)
    return HeadMesh(
        faces=levels[0].faces,
        mirror=rank[2][fine_mirror[order[2]]].astype(np.int32),
        face_quad=middle_quad[fine.parent],
        stages=(first.matrix.tocsr(), second.matrix[order[2]].tocsr()),
        levels=levels,
        cage_order=order[0],
    )


def _inverse(order: np.ndarray, count: int) -> np.ndarray:
    rank = np.full(count, -1)
    rank[order] = np.arange(len(order))
    return rank


def _level(
    faces: np.ndarray,
    order: list[np.ndarray],
    rank: list[np.ndarray],
    at: int,
    midpoint: np.ndarray,
    coarse_faces: np.ndarray,
) -> PyramidLevel:
    """The level `at` above level `at - 1`: even vertices are kept, odd ones lie between two parents."""
    coarse_count = len(order[at - 1])
    parents = np.zeros((len(rank[at]), 2), np.int64)
    parents[:coarse_count] = np.arange(coarse_count)[:, None]
    sides = np.stack([coarse_faces, np.roll(coarse_faces, -1, axis=1)], axis=-1)
    parents[midpoint.ravel()] = sides.reshape(-1, 2)
    mine = parents[order[at]]
    even = mine[:, :1] == mine[:, 1:]
    weight = np.where(even, (1.0, 0.0, 0.0), (0.5, 0.5, 0.0))
    index = rank[at - 1][np.concatenate([mine, mine[:, :1]], axis=1)]
    down = rank[at][order[at - 1]]
    return PyramidLevel(
        *(faces.astype(np.int32), down.astype(np.int32), index.astype(np.int32), weight.astype(np.float32))
    )


def _refined_mirror(mirror: np.ndarray, quads: np.ndarray, refinement: QuadRefinement) -> np.ndarray:
    """Mirror table after one Catmull-Clark step: by the mirrored edges and quads."""
    count = len(mirror)
    keys = refinement.edges @ [count, 1]
    edge_of = np.searchsorted(keys, np.sort(mirror[refinement.edges], axis=1) @ [count, 1])
    parts = (mirror, count + edge_of, count + len(keys) + mirror_quads(quads, mirror))
    return np.concatenate(parts)
