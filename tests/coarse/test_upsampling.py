import numpy as np
import pytest

from coarse.decimation import quadric_decimate
from coarse.upsampling import barycentric_upsampling, closest_barycentric, component_labels
from tests.refine.meshes import icosphere, masked_sheet


def mixed(values, index, weight):
    return (values[index] * weight[..., None]).sum(1)


def test_weights_are_barycentric_and_kept_vertices_are_themselves():
    verts, faces = masked_sheet(30)
    coarse = quadric_decimate(verts, faces, 200)
    index, weight = barycentric_upsampling(verts, verts[coarse.kept], coarse.faces)
    assert weight.min() >= 0
    assert np.allclose(weight.sum(1), 1)
    assert (weight[coarse.kept].max(1) == 1).all()
    assert np.array_equal(index[coarse.kept, weight[coarse.kept].argmax(1)], np.arange(200))


def test_positions_are_reproduced_up_to_the_surface_distance():
    verts, faces = icosphere(4)
    coarse = quadric_decimate(verts, faces, 640)
    index, weight = barycentric_upsampling(verts, verts[coarse.kept], coarse.faces)
    assert np.abs(mixed(verts[coarse.kept], index, weight) - verts).max() < 0.02


def test_linear_functions_on_a_plane_are_exact():
    verts, faces = masked_sheet(30)
    flat = verts * [1, 1, 0]
    coarse = quadric_decimate(flat, faces, 150)
    index, weight = barycentric_upsampling(flat, flat[coarse.kept], coarse.faces)
    inside = np.abs(mixed(flat[coarse.kept], index, weight) - flat).max(1) < 1e-9
    assert inside.mean() > 0.97
    line = flat @ [2.0, -1.0, 0.0] + 3
    assert np.allclose((line[coarse.kept][index] * weight).sum(1)[inside], line[inside])


def test_search_is_exact():
    rng = np.random.default_rng(0)
    verts, faces = rng.normal(size=(60, 3)), rng.integers(0, 60, (80, 3))
    points = rng.normal(size=(200, 3))
    index, weight = barycentric_upsampling(points, verts, faces)
    found = np.linalg.norm(mixed(verts, index, weight) - points, axis=1)
    corners = np.repeat(verts[faces][None], 200, 0).reshape(-1, 3, 3)
    every = closest_barycentric(np.repeat(points, 80, 0), corners)
    distance = np.linalg.norm((every[..., None] * corners).sum(1) - np.repeat(points, 80, 0), axis=1)
    assert np.allclose(found, distance.reshape(200, 80).min(1))


def test_closest_point_of_one_triangle_in_closed_form():
    corners = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]]).repeat(4, 0)
    points = np.array([[0.25, 0.25, 3], [-1, -1, 0], [0.5, -2, 1], [1, 1, 0]])
    expected = [[0.5, 0.25, 0.25], [1, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5]]
    assert np.allclose(closest_barycentric(points, corners), expected)


def test_labels_keep_components_apart():
    verts, faces = icosphere(2)
    both = np.concatenate([verts, 0.98 * verts])
    two = np.concatenate([faces, faces + len(verts)])
    labels = component_labels(two, len(both))
    assert len(np.unique(labels)) == 2
    coarse = quadric_decimate(both, two, 80)
    index, _ = barycentric_upsampling(
        both, both[coarse.kept], coarse.faces, labels_fine=labels, labels_coarse=labels[coarse.kept]
    )
    assert (labels[coarse.kept][index] == labels[:, None]).all()


def test_wrong_arguments_are_refused():
    verts, faces = icosphere(0)
    with pytest.raises(ValueError, match="together"):
        barycentric_upsampling(verts, verts, faces, labels_fine=np.zeros(12))
    with pytest.raises(ValueError, match="labels_fine must be"):
        barycentric_upsampling(verts, verts, faces, labels_fine=np.zeros(5), labels_coarse=np.zeros(12))
    with pytest.raises(ValueError, match="verts_coarse"):
        barycentric_upsampling(verts, verts[:, :2], faces)
