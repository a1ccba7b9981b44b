"""The morphable model: linear in its coefficients, rigid under pose, one model at every level."""

from dataclasses import replace

import pytest
import torch

from coarse.face_model import load_face_model
from coarse.morphable import FEATURES_MIDDLE_PX, MorphableModel, cam_from_model, crop_camera
from render.rotation import rotation_from_axis_angle


@pytest.fixture(scope="module")
def face_model():
    return load_face_model()


@pytest.fixture(scope="module")
def model(face_model):
    return MorphableModel(face_model, level=1)


def random_coefficients(model, batch=2, scale=0.3):
    generator = torch.Generator().manual_seed(0)
    return model.layout.decode(scale * torch.randn(batch, model.layout.total, generator=generator))


def test_shape_is_linear_in_the_coefficients(model):
    c = random_coefficients(model)
    zero_i, zero_e = torch.zeros_like(c.identity), torch.zeros_like(c.expression)
    both = model.vertices(c.identity, c.expression)
    apart = model.vertices(c.identity, zero_e) + model.vertices(zero_i, c.expression) - model.mean
    torch.testing.assert_close(both, apart, atol=1e-3, rtol=1e-4)


def test_levels_show_the_same_face(face_model):
    fine, coarse = MorphableModel(face_model, 0), MorphableModel(face_model, 2)
    c = random_coefficients(fine)
    at_kept = fine.vertices(c.identity, c.expression)[:, coarse.vertex_index]
    torch.testing.assert_close(coarse.vertices(c.identity, c.expression), at_kept)
    torch.testing.assert_close(fine(c).albedo[:, coarse.vertex_index], coarse(c).albedo)


def test_landmarks_equal_those_of_the_whole_mesh(face_model):
    fine = MorphableModel(face_model, 0)
    c = random_coefficients(fine)
    verts = fine.vertices(c.identity, c.expression)
    corners = verts[:, fine.faces[torch.from_numpy(face_model.landmarks468_face).long()]]
    expected = (corners * torch.from_numpy(face_model.landmarks468_bary).float()[..., None]).sum(2)
    torch.testing.assert_close(fine.landmarks468(c.identity, c.expression), expected, atol=1e-3, rtol=1e-4)


def test_neutral_face_stands_where_the_crop_has_it(model):
    neutral = model.layout.decode(torch.zeros(1, model.layout.total))
    points = crop_camera().project(model.landmarks_cam(neutral))[0, :, :2]
    left_eye, right_eye = points[[33, 133]].mean(0), points[[263, 362]].mean(0)
    assert left_eye[0] < 112 < right_eye[0]
    assert points[152, 1] > points[4, 1] > left_eye[1]
    middle = (left_eye[1] + right_eye[1] + points[61, 1] + points[291, 1]) / 4
    assert float(middle) == pytest.approx(FEATURES_MIDDLE_PX, abs=4)


def test_head_turned_to_its_left_shows_its_nose_to_the_viewers_right(model):
    rotated = model.layout.decode(torch.zeros(1, model.layout.total))
    rotated = replace(rotated, rotation=torch.tensor([[0.0, 0.5, 0.0]]))
    points = crop_camera().project(model.landmarks_cam(rotated))[0]
    assert points[4, 0] > points[[33, 263], 0].mean()


def test_normals_turn_with_the_head(model):
    c = random_coefficients(model, batch=1)
    still = model(replace(c, rotation=torch.zeros(1, 3)))
    rotated = model(c)
    rotation = rotation_from_axis_angle(c.rotation)
    torch.testing.assert_close(rotated.normals_view, still.normals_view @ rotation.mT, atol=1e-4, rtol=1e-4)
    distances = torch.cdist(still.verts_cam[:, :50], still.verts_cam[:, 50:100])
    torch.testing.assert_close(
        torch.cdist(rotated.verts_cam[:, :50], rotated.verts_cam[:, 50:100]), distances, atol=0.1, rtol=1e-3
    )


def test_camera_turn_is_a_rotation(model):
    matrix = cam_from_model(torch.randn(3, 3))
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(3).expand(3, 3, 3), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(3))


def test_unknown_level_is_refused(face_model):
    with pytest.raises(ValueError, match="levels 0 to"):
        MorphableModel(face_model, level=9)


def test_gradient_reaches_every_coefficient(model):
    raw = torch.zeros(1, model.layout.total, requires_grad=True)
    face = model(model.layout.decode(raw))
    (face.verts_cam.square().mean() + face.lit.square().mean()).backward()
    assert (raw.grad != 0).float().mean() > 0.99
