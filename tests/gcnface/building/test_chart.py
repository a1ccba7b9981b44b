"""The face chart: a symmetric Tutte embedding."""

import numpy as np
import pytest

from gcnface.building.chart import chart_faces, conformal_weights, tutte_chart, vertex_stretch
from gcnface.building.geometry import boundary_loops, face_areas
from gcnface.building.subdivision import triangulate
from tests.gcnface.building.test_subdivision import grid


def bowl(columns=16, rows=12):
    vertices, quads, mirror = grid(columns, rows)
    faces = triangulate(quads, vertices, mirror).faces
    x, y = vertices[:, 0], vertices[:, 1]
    return np.stack([60 * x, 80 * y, 50 * np.cos(x) * np.cos(y)], -1), faces, mirror


def with_holes(vertices, faces):
    """Two eyes and a mouth cut out."""
    middle = vertices[faces].mean(1)
    eyes = (np.abs(np.abs(middle[:, 0]) - 30) < 8) & (np.abs(middle[:, 1] - 20) < 8)
    mouth = (np.abs(middle[:, 0]) < 16) & (np.abs(middle[:, 1] + 40) < 8)
    return faces[~(eyes | mouth)]


@pytest.mark.parametrize("holes", [False, True])
def test_embedding_is_free_of_folds_and_mirrored(holes):
    vertices, faces, mirror = bowl()
    if holes:
        faces = with_holes(vertices, faces)
    faces = faces[chart_faces(faces, np.arange(len(faces)))]
    uv = tutte_chart(vertices, faces, mirror)
    used = np.unique(faces)
    assert face_areas(uv, faces).min() > 0
    np.testing.assert_allclose(uv[mirror][used], uv[used] * [-1, 1] + [1, 0], atol=1e-12)
    np.testing.assert_allclose(uv[used].min(0), 0.0, atol=1e-12)
    np.testing.assert_allclose(uv[used].max(0), 1.0, atol=1e-12)


def test_rim_lies_on_the_square_and_the_rest_inside():
    vertices, faces, mirror = bowl()
    faces = faces[chart_faces(faces, np.arange(len(faces)))]
    uv = tutte_chart(vertices, faces, mirror)
    rim = boundary_loops(faces)[0]
    depth = np.minimum(uv, 1 - uv).min(1)
    np.testing.assert_allclose(depth[rim], 0.0, atol=1e-12)
    assert depth[np.setdiff1d(np.unique(faces), rim)].min() > 1e-4
    # The rim goes round once: its polygon has the square's area but for the corners it cuts.
    a, b = uv[rim], uv[np.roll(rim, -1)]
    assert abs(np.sum(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2) == pytest.approx(1.0, abs=0.02)


def test_no_point_of_the_square_belongs_to_two_faces():
    vertices, faces, mirror = bowl()
    faces = faces[chart_faces(faces, np.arange(len(faces)))]
    uv = tutte_chart(vertices, faces, mirror)
    a, b, c = (uv[faces[:, corner]] for corner in range(3))
    signed = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
    assert (signed > 0).all(), "all faces run the same way round as on the surface"
    rim = uv[boundary_loops(faces)[0]]
    after = np.roll(rim, -1, axis=0)
    polygon = abs(np.sum(rim[:, 0] * after[:, 1] - rim[:, 1] * after[:, 0])) / 2
    assert signed.sum() == pytest.approx(polygon, rel=1e-9)


def test_mirror_plane_is_the_middle_of_the_square():
    vertices, faces, mirror = bowl()
    faces = faces[chart_faces(faces, np.arange(len(faces)))]
    uv = tutte_chart(vertices, faces, mirror)
    used = np.unique(faces)
    middle = used[mirror[used] == used]
    assert len(middle) > 5
    np.testing.assert_allclose(uv[middle, 0], 0.5, atol=1e-12)
    sides = np.setdiff1d(used, middle)
    assert (np.sign(uv[sides, 0] - 0.5) == np.sign(vertices[sides, 0])).all()


def test_axes_of_the_chart():
    vertices, faces, mirror = bowl()
    faces = faces[chart_faces(faces, np.arange(len(faces)))]
    uv = tutte_chart(vertices, faces, mirror)
    used = np.unique(faces)
    assert np.corrcoef(uv[used, 0], vertices[used, 0])[0, 1] > 0.9
    assert np.corrcoef(uv[used, 1], vertices[used, 1])[0, 1] > 0.9


def test_faces_with_all_corners_on_the_rim_are_dropped():
    vertices, faces, _ = bowl(4, 4)
    kept = faces[chart_faces(faces, np.arange(len(faces)))]
    assert not np.isin(kept, boundary_loops(kept)[0]).all(1).any()
    assert len(kept) < len(faces)


def test_weights_of_an_equilateral_triangle():
    height = np.sqrt(3) / 2
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0.5, height, 0]])
    weights = conformal_weights(vertices, np.array([[0, 1, 2]])).toarray()
    # Half the cotangent of 60 degrees on each edge.
    np.testing.assert_allclose(weights[0, 1], 0.5 / np.sqrt(3))
    np.testing.assert_allclose(weights, weights.T)


def test_stretch_is_rebalanced():
    vertices, faces, mirror = bowl(24, 18)
    bump = np.exp(-((vertices[:, 0] / 15) ** 2) - ((vertices[:, 1] / 15) ** 2))
    vertices[:, 2] += 40 * bump  # a nose
    faces = faces[chart_faces(faces, np.arange(len(faces)))]
    uv = tutte_chart(vertices, faces, mirror)
    stretch = vertex_stretch(vertices, uv, faces)[np.unique(faces)]
    assert np.percentile(stretch, 95) < 1.6
    assert face_areas(uv, faces).min() > 0
