"""Catmull-Clark operators and the triangle refinement that goes with them."""

import numpy as np
import pytest

from coarse.levels import rcm_order
from gcnface.building.cage import mirror_quads
from gcnface.building.geometry import face_areas
from gcnface.building.subdivision import catmull_clark, refine_triangles, triangulate

CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
CUBE_QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


def grid(columns, rows):
    x, y = np.meshgrid(np.linspace(-1, 1, columns + 1), np.linspace(-1, 1, rows + 1), indexing="ij")
    vertices = np.stack([x.ravel(), y.ravel(), 0.3 * (x * y).ravel() ** 2], -1)
    index = np.arange((columns + 1) * (rows + 1)).reshape(columns + 1, rows + 1)
    quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], -1).reshape(-1, 4)
    return vertices, quads, index[::-1].ravel()


def edge_use(faces):
    sides = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return np.unique(sides, axis=0, return_counts=True)


def test_cube_counts_and_weights():
    step = catmull_clark(CUBE_QUADS, 8)
    assert step.matrix.shape == (8 + 12 + 6, 8)
    assert step.quads.shape == (24, 4)
    np.testing.assert_allclose(step.matrix.sum(1), 1.0)


def test_cube_corner_by_hand():
    # (F + 2 R + (n - 3) P) / n with n = 3: faces' mean (1/3, 1/3, 1/3), edges' mean (2/3, 2/3, 2/3).
    refined = catmull_clark(CUBE_QUADS, 8).matrix @ CUBE
    np.testing.assert_allclose(refined[7], np.full(3, (1 / 3 + 4 / 3) / 3))


def test_subdivision_commutes_with_affine_maps():
    step = catmull_clark(CUBE_QUADS, 8)
    turn = np.random.default_rng(0).normal(size=(3, 3))
    np.testing.assert_allclose(step.matrix @ (CUBE @ turn + 2.0), (step.matrix @ CUBE) @ turn + 2.0)


def test_boundary_is_a_spline_of_the_boundary_alone():
    vertices, quads, _ = grid(4, 3)
    step = catmull_clark(quads, len(vertices))
    moved = vertices.copy()
    moved[5:7, 2] += 10.0  # inner vertices
    rim = np.abs(vertices).max(1)[: len(vertices)] == 1.0
    inner_moved = (step.matrix @ moved)[: len(vertices)][rim]
    np.testing.assert_allclose(inner_moved, (step.matrix @ vertices)[: len(vertices)][rim])


def test_triangulation_is_symmetric_and_full():
    vertices, quads, mirror = grid(4, 3)
    faces = triangulate(quads, vertices, mirror).faces
    assert len(faces) == 2 * len(quads)
    assert {tuple(sorted(f)) for f in mirror[faces].tolist()} == {tuple(sorted(f)) for f in faces.tolist()}
    np.testing.assert_allclose(face_areas(vertices[:, :2], faces).sum(), 4.0)


def test_full_refinement_matches_the_quads():
    vertices, quads, mirror = grid(4, 3)
    step = catmull_clark(quads, len(vertices))
    base = triangulate(quads, vertices, mirror).faces
    fine = refine_triangles(base, quads, step, np.ones(len(base), bool))
    assert len(fine.faces) == 4 * len(base)
    quad_sides = {tuple(sorted(side)) for q in step.quads.tolist() for side in zip(q, q[1:] + q[:1], strict=True)}
    sides = {tuple(side) for side in edge_use(fine.faces)[0].tolist()}
    assert quad_sides <= sides


@pytest.mark.parametrize("seed", range(4))
def test_partial_refinement_leaves_no_t_junction(seed):
    vertices, quads, mirror = grid(6, 5)
    step = catmull_clark(quads, len(vertices))
    base = triangulate(quads, vertices, mirror).faces
    chosen = np.random.default_rng(seed).random(len(base)) < 0.2
    fine = refine_triangles(base, quads, step, chosen)
    flat = (step.matrix @ vertices)[:, :2]
    flat[: len(vertices)] = vertices[:, :2]
    flat[len(vertices) : len(vertices) + len(step.edges)] = vertices[step.edges][:, :, :2].mean(1)
    flat[len(vertices) + len(step.edges) :] = vertices[quads][:, :, :2].mean(1)
    area = face_areas(flat, fine.faces)
    assert area.min() > 0
    np.testing.assert_allclose(area.sum(), 4.0)
    rim, count = edge_use(fine.faces)
    at_rim = flat[rim[count == 1]]
    assert count.max() == 2
    assert (np.abs(at_rim).max(2) > 1 - 1e-9).all()  # every open edge lies on the square's boundary
    assert (np.bincount(fine.parent, minlength=len(base))[chosen] == 4).all()


def test_mirror_quads():
    _, quads, mirror = grid(4, 3)
    twin = mirror_quads(quads, mirror)
    np.testing.assert_array_equal(twin[twin], np.arange(len(quads)))
    with pytest.raises(ValueError, match="mirror"):
        mirror_quads(quads, np.roll(mirror, 1))


def test_rcm_order_is_a_permutation_with_small_bandwidth():
    vertices, quads, mirror = grid(12, 12)
    faces = triangulate(quads, vertices, mirror).faces
    shuffled = np.random.default_rng(0).permutation(len(vertices))
    order = rcm_order(shuffled[faces], len(vertices))
    assert sorted(order) == list(range(len(vertices)))
    rank = np.argsort(order)
    new = rank[shuffled[faces]]
    assert np.abs(new - np.roll(new, 1, axis=1)).max() < 40
