"""Dense alignment of a photo whose truth is known: the drawn mean head, a detector and a network that know its pose."""

import numpy as np
import pytest
import torch

import gcnface
from coarse.face_model import LANDMARKS68_FROM_468
from gcnface.dense import aligner as dense
from gcnface.dense.aligner import STAGES, DenseAligner, align
from gcnface.dense.texture import chart_texture
from gcnface.names import QUALITY_FLOOR
from gcnface.photo.crop import similarity_scale
from gcnface.photo.registry import USUAL_DETECTOR
from render.baking import texel_map
from render.camera import pixel_camera
from render.rasterize import rasterize
from tests.gcnface.dense_stub import (
    LIFT,
    PHOTO_HW,
    STRAIGHT,
    TURNED,
    Head,
    colors,
    drawn,
    exact_aligner,
    shared_model,
    window_matrix,
)


@pytest.fixture(scope="module")
def model():
    return shared_model()[0]


@pytest.fixture(scope="module")
def aligner():
    return exact_aligner([TURNED], texture_size=128)


@pytest.fixture(scope="module")
def photo(model):
    return drawn(model, [TURNED])


@pytest.fixture(scope="module")
def face(aligner, photo):
    return aligner(photo)[0]


def test_the_window_shows_the_face(aligner, face):
    window = aligner.network.windows[0]
    assert window.min() >= 0
    assert window[0, :, 100:160, 100:160].mean() > 0.3
    matrix = window_matrix(aligner.detector.found[0])
    eyes = aligner.detector.found[0].points5[:2]
    level = eyes @ matrix[:2, :2].T + matrix[:2, 2]
    assert level[:, 1].mean() == pytest.approx(90 + 16, abs=10)
    assert similarity_scale(matrix) < 1.2


def test_pose_in_the_photo_contains_the_windows_own_turn(face):
    pose = face.pose
    np.testing.assert_allclose(pose.euler_deg, (TURNED.yaw, TURNED.pitch, TURNED.roll), atol=0.1)
    np.testing.assert_allclose(pose.rotation, TURNED.rotation, atol=1e-3)
    assert pose.scale == pytest.approx(TURNED.scale, rel=1e-3)
    np.testing.assert_allclose(pose.translation, TURNED.place, atol=0.1)
    assert pose.residual < 0.2


def test_landmarks_are_in_photo_px(model, face):
    truth = TURNED.in_photo(model.landmarks468(model.mean))
    assert np.linalg.norm(face.landmarks468 - truth, axis=1).max() < 0.15
    truth68 = TURNED.in_photo(model.landmarks68(model.mean))
    assert np.linalg.norm(face.landmarks68 - truth68, axis=1).max() < 0.5
    np.testing.assert_array_equal(face.landmarks68_contour[17:], face.landmarks468[list(LANDMARKS68_FROM_468[17:])])
    assert face.landmarks68_visible[[0, 4, 36, 39, 48]].all()
    assert not face.landmarks68_visible[[13, 14, 15, 16]].any()
    assert face.landmarks468_visible[[33, 133]].all()
    assert not face.landmarks468_visible[[454]].any()


def test_photo_from_model_is_the_pose(model, face):
    points = np.column_stack([model.mean, np.ones(len(model.mean))])
    np.testing.assert_allclose(points @ face.pose.photo_from_model.T, TURNED.in_photo(model.mean), atol=0.5)
    back = face.pose.model_from_photo(TURNED.in_photo(model.mean))
    np.testing.assert_allclose(back, model.mean, atol=0.3)


def test_position_map_holds_the_photos_px(model, aligner, face):
    layout = aligner.reader.layout
    corner = TURNED.in_photo(model.mean)[layout.texel_corners.numpy()]
    truth = (corner * layout.texel_bary.numpy()[..., None]).sum(2)
    np.testing.assert_allclose(face.position_map, truth, atol=0.01)
    np.testing.assert_array_equal(face.map_mask, layout.mask.numpy())


def test_depth_is_that_of_the_drawn_face(model, face):
    faces = torch.from_numpy(model.faces[model.chart_faces].astype(np.int64))
    screen = torch.from_numpy(TURNED.in_photo(model.mean) + (0, 0, LIFT)).float()[None]
    truth = rasterize(screen, faces, pixel_camera(PHOTO_HW))
    mask, depth = truth.mask[0].numpy(), truth.depth[0].numpy() - LIFT
    assert face.depth.shape == PHOTO_HW
    both = mask & np.isfinite(face.depth)
    assert both.sum() > 0.98 * mask.sum()
    difference = np.abs(face.depth - depth)[both]
    assert np.median(difference) < 0.15
    assert np.quantile(difference, 0.94) < 1
    assert np.isnan(face.depth[:20]).all()


def test_depth_of_a_face_that_leaves_the_photo(model):
    head = Head(0, 0, 0, 1.4, (20.0, 200.0, 0.0))
    face = exact_aligner([head])(drawn(model, [head]))[0]
    assert np.isfinite(face.depth[:, 0]).any()
    assert face.depth.shape == PHOTO_HW
    outside = face.vertices[:, 0] < 0
    assert outside.any()
    assert not face.visible[outside].any()
    assert face.texture[..., 3].mean() < 0.8


def test_texture_has_the_photos_colours_where_it_is_seen(model, aligner, face):
    seen = face.texture[..., 3] > 0
    assert set(np.unique(face.texture[..., 3])) == {0, 1}
    closed = aligner.reader.closed.close(aligner.reader.mean[None])[0].numpy()
    corner = closed[aligner.reader.faces[aligner.texels.face.clamp(min=0)]]
    truth = colors((corner * aligner.texels.bary.numpy()[..., None]).sum(2))
    error = np.abs(face.texture[..., :3] - truth).max(2)
    assert np.median(error[seen]) < 0.01
    assert np.quantile(error[seen], 0.95) < 0.08  # the rest: eyeballs, and the outline before the dark ground
    assert 0.35 < seen.mean() < 0.8


def test_unseen_texels_borrow_from_their_mirror_image(aligner, face):
    seen = face.texture[..., 3] > 0
    borrowed = ~seen & seen[:, ::-1]
    assert borrowed.mean() > 0.2
    closed = aligner.reader.closed.close(aligner.reader.mean[None])[0].numpy()
    corner = closed[aligner.reader.faces[aligner.texels.face.clamp(min=0)]]
    truth = colors((corner * aligner.texels.bary.numpy()[..., None]).sum(2))
    error = np.abs(face.texture[..., 1:3] - truth[..., 1:]).max(2)  # green and blue are the same on both sides
    assert np.median(error[borrowed]) < 0.03


def square_sheet():
    """A sheet that fills a photo of 64 px, texel by pixel: its vertices (4, 3), faces, and texels."""
    uv = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    vertices = np.column_stack([64 * uv[:, 0], 64 * (1 - uv[:, 1]), np.zeros(4)]).astype(np.float32)
    return vertices, faces, texel_map(uv, faces, 64)


def test_borrowed_colours_take_the_light_of_their_side():
    rng = np.random.default_rng(0)
    half = rng.uniform(0.2, 0.6, (64, 32, 3)).astype(np.float32)
    photo = np.concatenate([half[:, ::-1] + np.float32(0.2), half], 1)  # the left side is lit more
    vertices, faces, texels = square_sheet()
    seen = np.ones((64, 64), bool)
    seen[:, :12] = False
    texture = chart_texture(photo, vertices, faces, texels, seen)
    np.testing.assert_allclose(texture[..., :3][seen], photo[seen], atol=1e-4)
    np.testing.assert_allclose(texture[:, :12, :3], photo[:, :12], atol=1e-3)
    np.testing.assert_array_equal(texture[..., 3] > 0, seen)


def test_texels_beyond_the_photo_are_not_seen():
    vertices, faces, texels = square_sheet()
    texture = chart_texture(np.full((64, 40, 3), 0.5, np.float32), vertices, faces, texels, np.ones((64, 64), bool))
    assert (texture[:, :40, 3] == 1).all()
    assert (texture[:, 40:, 3] == 0).all()


def test_texture_averages_a_photo_that_is_finer(model):
    big = Head(0, 0, 0, 6.0, (700.0, 900.0, 0.0))
    photo = drawn(model, [big], (1700, 1400))
    stripes = (np.arange(1400) % 2).astype(np.float32)
    photo[:] = stripes[None, :, None]
    texture = exact_aligner([big], texture_size=64)(photo)[0].texture
    middle = texture[20:50, 20:44, :3]
    assert np.abs(middle - 0.5).max() < 0.1  # nearest or bilinear samples would be 0 or 1


def test_mesh_is_the_head_upright_in_mm(model, aligner, face):
    mesh = face.mesh
    closed = aligner.reader.closed.close(aligner.reader.mean[None])[0].numpy()
    trusted = np.append(aligner.reader.weight.numpy() > 0, [False] * 3)
    assert np.abs(mesh.vertices - closed)[trusted].max() < 1.5
    assert np.abs(mesh.vertices - closed)[trusted].mean() < 0.05
    corner = mesh.vertices[mesh.faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    assert (normal[:, 2] > 0).mean() > 0.85  # out of the face
    np.testing.assert_allclose(mesh.landmarks468, model.landmarks468(model.mean), atol=0.2)
    assert mesh.texture.shape == (128, 128, 3)


def test_vertex_colours_are_the_textures(face):
    wrong = np.abs(face.mesh.vertex_rgb - colors(face.mesh.vertices)).max(1)[face.visible]
    assert np.median(wrong) < 0.02


def test_a_mirrored_photo_gives_the_mirrored_answer(model, face):
    width = PHOTO_HW[1]
    mirrored = Head(-TURNED.yaw, TURNED.pitch, -TURNED.roll, TURNED.scale, (width - 200.0, 220.0, 0.0))
    photo = drawn(model, [mirrored])
    other = exact_aligner([mirrored], texture_size=128)(photo)[0]
    np.testing.assert_allclose(other.pose.euler_deg, face.pose.euler_deg * (-1, 1, -1), atol=0.1)
    assert np.isclose(other.landmarks68[30, 0], width - face.landmarks68[30, 0], atol=0.2)
    same = (other.texture[..., 3] == face.texture[:, ::-1, 3]).mean()
    assert same > 0.97


def test_all_faces_and_stages(model):
    heads = [STRAIGHT, Head(-30, 0, 0, 0.8, (90.0, 120.0, 0.0))]
    photo = drawn(model, heads)
    told = []
    faces = exact_aligner(heads, all_faces=True)(photo, on_stage=told.append)
    assert [round(face.pose.scale, 1) for face in faces] == [1.6, 0.8]
    assert told == [*STAGES, *STAGES[1:]]
    assert len(exact_aligner(heads)(photo)) == 1


def test_the_photo_is_left_alone(aligner, photo):
    before = photo.copy()
    aligner(photo)
    np.testing.assert_array_equal(photo, before)


def test_texture_sizes_out_of_range():
    with pytest.raises(ValueError, match="texture_size is 10"):
        DenseAligner(texture_size=10)


@pytest.fixture
def known_aligner(monkeypatch, aligner):
    made = []
    monkeypatch.setattr(dense, "load_aligner", lambda *options: made.append(options) or aligner)
    return made


def test_python_interface(known_aligner, photo):
    face = gcnface.align(photo, texture_size=128, device="cpu")
    assert isinstance(face, gcnface.AlignedFace)
    assert known_aligner == [("cpu", 128, False, USUAL_DETECTOR, QUALITY_FLOOR)]
    assert [type(one) for one in align(photo, all_faces=True)] == [gcnface.AlignedFace]


def test_nobody_in_the_photo(known_aligner):
    with pytest.raises(gcnface.NoFaceError, match="array: shows no face"):
        align(np.zeros((8, 8, 3), np.uint8))
