"""A model of other vertices, out of its arrays."""

import numpy as np
import pytest
import torch

from coarse.face_model import FaceModelError, load_face_model, save_face_model
from coarse.model_from_arrays import SurfacePoints, cylinder_uv, face_model_from_arrays, mirror_table
from coarse.morphable import MorphableModel
from coarse.upsampling import closest_points
from tests.coarse.variants import front_model, front_parts


@pytest.fixture(scope="module")
def model():
    return front_model(2)


def test_the_68_points_place_the_468(model):
    shipped = load_face_model()
    away = np.linalg.norm(model.landmarks468(model.mean) - shipped.landmarks468(shipped.mean), axis=1)
    assert np.median(away) < 2.5
    assert away.max() < 12  # mm, on a mesh whose vertices lie 5 mm apart


def test_unit_place_and_turn_do_not_matter(model):
    parts, turn = front_parts(2), np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]], np.float32)
    other = face_model_from_arrays(
        "turned",
        0.1 * parts.mean @ turn.T + 7,
        parts.faces,
        0.1 * np.einsum("ij,vjn->vin", turn, parts.identity),
        landmarks=parts.landmarks68,
    )
    np.testing.assert_allclose(other.mean, model.mean, atol=1e-2)
    np.testing.assert_allclose(other.identity_basis, model.identity_basis, atol=1e-2)
    assert other.expression_basis.shape[2] == 0


def test_what_is_derived(model, tmp_path):
    assert len(model.levels) == 5
    count = len(model.mean)
    assert len(model.levels[1].faces) < len(model.levels[0].faces)
    sides = np.abs(model.mean[model.mirror] * [-1, 1, 1] - model.mean).max(1)
    assert np.median(sides) < 0.5
    assert (model.uv >= 0).all()
    assert (model.uv <= 1).all()
    half = model.chart_uv[np.unique(model.faces[model.chart_faces])]
    assert abs(np.median(half[:, 0]) - 0.5) < 0.02
    posed = MorphableModel(model, level=1)
    assert posed(posed.layout.decode(torch.zeros(1, posed.layout.total))).albedo.shape[1] < count
    save_face_model(model, tmp_path / "front.npz")
    assert load_face_model(tmp_path / "front.npz").name == "front"


def test_the_68_vertices_are_kept(model):
    parts = front_parts(2)
    np.testing.assert_allclose(model.landmarks68(model.mean), model.mean[parts.landmarks68], atol=1e-4)


def test_the_468_points_place_the_68():
    shipped, parts = load_face_model(), front_parts(1)
    places = closest_points(shipped.landmarks468(shipped.mean), parts.mean, parts.faces)
    other = face_model_from_arrays("own", parts.mean, parts.faces, parts.identity, landmarks=places)
    away = np.linalg.norm(other.landmarks68(other.mean) - shipped.landmarks68(shipped.mean), axis=1)
    assert np.median(away) < 1.0
    assert away.max() < 8  # mm, before the ears, beyond the 468


def test_points_in_model_space_leave_the_vertices_where_they_are():
    parts = front_parts(2)
    points = SurfacePoints(np.zeros(468, np.int32), np.tile(np.float32([1, 0, 0]), (468, 1)))
    other = face_model_from_arrays("own", parts.mean, parts.faces, parts.identity, landmarks=points)
    np.testing.assert_array_equal(other.mean, parts.mean)


def test_what_does_not_fit_is_refused():
    parts = front_parts(2)
    with pytest.raises(FaceModelError, match=r"landmarks has shape \(3,\); expected 68 vertices"):
        face_model_from_arrays("a", parts.mean, parts.faces, parts.identity, landmarks=[1, 2, 3])
    extra = np.concatenate([parts.mean, parts.mean[:1]])
    basis = np.concatenate([parts.identity, parts.identity[:1]])
    with pytest.raises(ValueError, match="1 vertices belong to no face"):
        face_model_from_arrays("a", extra, parts.faces, basis, landmarks=parts.landmarks68)
    with pytest.raises(FaceModelError, match="expression_basis has shape"):
        face_model_from_arrays(
            "a", parts.mean, parts.faces, parts.identity, landmarks=parts.landmarks68, expression_names=["jawOpen"]
        )


def test_a_lopsided_mesh_is_not_mirrored():
    vertices = load_face_model().mean
    assert mirror_table(vertices + np.float32([9, 0, 0])) is None
    assert (mirror_table(vertices) == load_face_model().mirror).mean() > 0.99


def test_the_cylinder_is_cut_at_the_back():
    shipped = load_face_model()
    rows, corners = cylinder_uv(shipped.mean, shipped.faces)
    assert np.ptp(rows[corners][..., 0], axis=1).max() < 0.6
    np.testing.assert_array_equal(rows[corners][..., 1], rows[shipped.faces][..., 1])
    signed = np.cross(rows[corners][:, 1] - rows[corners][:, 0], rows[corners][:, 2] - rows[corners][:, 0])
    ahead = (shipped.mean[shipped.faces, 2] > 90).all(1)
    assert (signed[ahead] > 0).mean() > 0.8
