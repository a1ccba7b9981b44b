import numpy as np
import pytest

from coarse.decimation import quadric_decimate
from tests.refine.meshes import icosphere, masked_sheet, torus_grid


def edge_uses(faces):
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return np.unique(edges, axis=0, return_counts=True)


def euler_number(faces):
    return len(np.unique(faces)) - len(edge_uses(faces)[0]) + len(faces)


def face_normals(verts, faces):
    return np.cross(verts[faces[:, 1]] - verts[faces[:, 0]], verts[faces[:, 2]] - verts[faces[:, 0]])


def directed_edges_once(faces):
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return len(np.unique(edges, axis=0)) == len(edges)


@pytest.mark.parametrize("count", [160, 40, 12])
def test_sphere_stays_a_closed_oriented_sphere(count):
    verts, faces = icosphere(3)
    coarse = quadric_decimate(verts, faces, count)
    kept = verts[coarse.kept]
    assert len(coarse.kept) == count
    assert np.array_equal(np.unique(coarse.faces), np.arange(count))
    assert set(edge_uses(coarse.faces)[1]) == {2}
    assert directed_edges_once(coarse.faces)
    assert euler_number(coarse.faces) == 2
    assert ((face_normals(kept, coarse.faces) * kept[coarse.faces].mean(1)).sum(1) > 0).all()


@pytest.mark.parametrize("factor", [4, 16, 40])
def test_sheet_with_holes_keeps_its_boundary_and_holes(factor):
    verts, faces = masked_sheet(50)
    coarse = quadric_decimate(verts, faces, len(verts) // factor)
    edges, uses = edge_uses(coarse.faces)
    assert len(coarse.kept) == len(verts) // factor
    assert euler_number(coarse.faces) == euler_number(faces) == -1
    assert uses.max() == 2
    assert directed_edges_once(coarse.faces)
    assert (face_normals(verts[coarse.kept], coarse.faces)[:, 2] > 0).all()
    fine_edges, fine_uses = edge_uses(faces)
    on_boundary = set(fine_edges[fine_uses == 1].reshape(-1))
    assert set(coarse.kept[edges[uses == 1].reshape(-1)]) <= on_boundary


def test_the_outline_of_a_sheet_stays_where_it_was():
    verts, faces = masked_sheet(50)
    kept = verts[quadric_decimate(verts, faces, 150).kept]
    assert np.allclose(kept[:, :2].max(0), [1, 1.2])
    assert np.allclose(kept[:, :2].min(0), [-1, -1.2])


def test_a_ridge_survives_while_the_plain_empties():
    x, y = np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 21))
    verts = np.stack([x, y, np.maximum(0, 0.3 - np.abs(x))], -1).reshape(-1, 3)
    a = np.arange(441).reshape(21, 21)
    quads = [a[:-1, :-1], a[:-1, 1:], a[1:, 1:], a[1:, :-1]]
    faces = np.concatenate([np.stack([quads[i] for i in pick], -1).reshape(-1, 3) for pick in ((0, 1, 2), (0, 2, 3))])
    kept = verts[quadric_decimate(verts, faces, 60).kept]
    assert kept[:, 2].max() == pytest.approx(0.3)


def test_torus_keeps_its_handle_and_the_result_repeats():
    rows, columns = 24, 32
    u, v = np.meshgrid(np.arange(rows) * 2 * np.pi / rows, np.arange(columns) * 2 * np.pi / columns, indexing="ij")
    ring = 2 + 0.7 * np.cos(u)
    verts = np.stack([ring * np.cos(v), ring * np.sin(v), 0.7 * np.sin(u)], -1).reshape(-1, 3)
    first, second = (quadric_decimate(verts, torus_grid(rows, columns), 100) for _ in range(2))
    assert euler_number(first.faces) == 0
    assert np.array_equal(first.kept, second.kept)
    assert np.array_equal(first.faces, second.faces)


def test_unused_vertices_are_dropped_and_the_input_is_left_alone():
    verts, faces = icosphere(2)
    verts = np.concatenate([verts, [[5.0, 5.0, 5.0]]])
    before = verts.copy(), faces.copy()
    coarse = quadric_decimate(verts, faces, 50)
    assert len(verts) - 1 not in coarse.kept
    assert np.array_equal(verts, before[0])
    assert np.array_equal(faces, before[1])


def test_scale_and_place_do_not_matter():
    verts, faces = masked_sheet(30)
    moved = quadric_decimate(1000 * verts + [50, -700, 3000], faces, 90)
    assert len(np.intersect1d(moved.kept, quadric_decimate(verts, faces, 90).kept)) > 80


def test_what_cannot_be_reduced_is_refused():
    verts, faces = icosphere(1)
    with pytest.raises(ValueError, match="cannot be reduced below 4"):
        quadric_decimate(verts, faces, 3)
    assert edge_uses(quadric_decimate(verts, faces, 4).faces)[1].tolist() == [2] * 6
    with pytest.raises(ValueError, match="3 or more"):
        quadric_decimate(verts, faces, 2)
    with pytest.raises(ValueError, match="faces index"):
        quadric_decimate(verts[:5], faces, 4)
    with pytest.raises(ValueError, match="finite"):
        quadric_decimate(verts * np.nan, faces, 4)
