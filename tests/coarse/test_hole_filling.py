"""Closing the holes of a chart."""

import numpy as np
import pytest
import torch

from coarse.face_model import load_face_model
from coarse.hole_filling import close_openings


def grid(side, holes):
    """A flat square of side x side cells, two triangles each, without the cells in `holes`."""
    ys, xs = np.mgrid[: side + 1, : side + 1]
    points = np.column_stack([xs.ravel(), ys.ravel()]).astype(float)
    faces = []
    for y in range(side):
        for x in range(side):
            a = y * (side + 1) + x
            if (x, y) not in holes:
                faces += [[a, a + 1, a + side + 1], [a + 1, a + side + 2, a + side + 1]]
    return points, np.array(faces)


def signed_area(points, faces):
    a, b, c = (points[faces[:, i]] for i in range(3))
    return 0.5 * ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])


def test_closed_area_is_the_whole_square():
    points, faces = grid(6, {(1, 1), (2, 1), (4, 4)})
    closed = close_openings(faces, points)
    all_points = closed.close(torch.from_numpy(points)[None])[0].numpy()
    area = signed_area(all_points, closed.faces.numpy())
    assert signed_area(points, faces).sum() == pytest.approx(33)
    assert area.sum() == pytest.approx(36)
    assert (area > 0).all()  # fans are wound as the faces around them
    assert len(all_points) == len(points) + 2
    np.testing.assert_array_equal(closed.faces[: len(faces)], faces)


def test_new_vertices_are_the_means_of_their_rims():
    points, faces = grid(4, {(1, 1)})
    closed = close_openings(faces, points)
    np.testing.assert_allclose(closed.close(torch.from_numpy(points)[None])[0, -1], [1.5, 1.5])


def test_a_chart_without_openings_stays_as_it_is():
    points, faces = grid(3, set())
    closed = close_openings(faces, points)
    assert not closed.rims
    np.testing.assert_array_equal(closed.faces, faces)


def test_the_face_chart_has_two_eyes_and_a_mouth():
    model = load_face_model()
    faces = model.faces[model.chart_faces]
    closed = close_openings(faces, np.nan_to_num(model.chart_uv))
    centers = closed.close(torch.from_numpy(np.ascontiguousarray(model.mean))[None])[0, len(model.mean) :]
    x, y = centers[:, 0].sort()[0], centers[:, 1].sort(descending=True)[0]
    np.testing.assert_allclose(x, [-33, 0, 33], atol=4)
    landmarks = model.landmarks468(model.mean)
    assert y[0] > landmarks[4, 1] > y[2]  # the eyes above the tip of the nose, the mouth below
    edges = np.sort(np.concatenate([closed.faces[:, [0, 1]], closed.faces[:, [1, 2]], closed.faces[:, [2, 0]]]), 1)
    boundary = np.unique(edges, axis=0, return_counts=True)
    rim = boundary[0][boundary[1] == 1]
    uv = model.chart_uv[np.unique(rim)]
    assert (np.isclose(uv, 0) | np.isclose(uv, 1)).any(1).all()  # what is left is the square's border
