import numpy as np
import pytest

from refine.graph import adjacency, averaging, scaled_laplacian
from tests.refine.meshes import icosphere, torus_grid

TETRAHEDRON = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])


def normalized_laplacian(faces, vertex_count):
    """I - D^-1/2 A D^-1/2, element by element."""
    edges = adjacency(faces, vertex_count).toarray()
    degree = np.maximum(edges.sum(0), 1)
    return np.eye(vertex_count) - edges / np.sqrt(np.outer(degree, degree))


def test_adjacency_of_a_tetrahedron_joins_all():
    assert np.array_equal(adjacency(TETRAHEDRON, 4).toarray(), 1 - np.eye(4))


def test_laplacian_of_a_tetrahedron_has_the_known_eigenvalues():
    values = np.linalg.eigvalsh(scaled_laplacian(TETRAHEDRON, 4) + np.eye(4))
    assert np.allclose(values, [0, 4 / 3, 4 / 3, 4 / 3])


def test_laplacian_of_a_mesh_is_symmetric_with_eigenvalues_in_0_2():
    verts, faces = icosphere(1)
    matrix = scaled_laplacian(faces, len(verts)).toarray() + np.eye(len(verts))
    values = np.linalg.eigvalsh(matrix)
    assert np.allclose(matrix, matrix.T)
    assert abs(values[0]) < 1e-12
    assert values[-1] <= 2


def test_scaled_laplacian_is_l_minus_identity():
    verts, faces = icosphere(1)
    expected = normalized_laplacian(faces, len(verts)) - np.eye(len(verts))
    assert np.allclose(scaled_laplacian(faces, len(verts)).toarray(), expected)


def test_scaled_laplacian_stores_no_diagonal():
    verts, faces = icosphere(1)
    assert scaled_laplacian(faces, len(verts)).nnz == adjacency(faces, len(verts)).nnz


def test_a_vertex_without_edges_keeps_its_value():
    assert scaled_laplacian(TETRAHEDRON, 5).toarray()[4].tolist() == [0, 0, 0, 0, 0]
    assert averaging(TETRAHEDRON, 5).toarray()[4].tolist() == [0, 0, 0, 0, 1]


def test_averaging_rows_sum_to_one():
    assert np.allclose(averaging(torus_grid(5, 6), 30).sum(axis=1), 1)


def test_degenerate_faces_add_no_loops():
    assert adjacency(np.array([[0, 1, 1], [0, 1, 2]]), 3).diagonal().tolist() == [0, 0, 0]


@pytest.mark.parametrize("faces", [np.array([[0, 1, 4]]), np.array([[-1, 1, 2]]), np.array([[0, 1]])])
def test_wrong_faces_are_refused(faces):
    with pytest.raises(ValueError, match="faces"):
        adjacency(faces, 4)
