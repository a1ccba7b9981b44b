from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import gcnface
from gcnface.result.lights import LIGHTS
from gcnface.result.rendering import BACKGROUND, photo_hw, portrait
from render.color import linear_from_srgb
from tests.gcnface.results import PHOTO_HW, make_head, make_mesh, make_reconstruction


@pytest.fixture(scope="module")
def ball():
    return make_reconstruction()


def middle(picture):
    return picture[picture.shape[0] // 2, picture.shape[1] // 2]


def test_the_texture_is_drawn_not_the_vertex_colours(ball):
    drawing = ball.draw(256)
    assert np.allclose(middle(drawing.rgb), (0.5, 0.5, 0.4), atol=0.02)
    assert drawing.alpha.max() == 1
    assert drawing.alpha[0, 0] == 0
    assert 0.2 < drawing.alpha.mean() < 0.8


def test_the_texture_keeps_its_resolution():
    """A chequered texture of 1024 px: at 1024 px its fields are told apart, each in its own colour."""
    mesh = make_mesh()
    ys, xs = np.mgrid[:1024, :1024] // 16
    fields = np.repeat(((xs + ys) % 2)[..., None], 3, 2).astype(np.float32)
    face = replace(make_reconstruction(), mesh=replace(mesh, texture=fields), texel_source=np.ones((1024, 1024)),
                   texel_photo=None, texel_confidence=None)  # fmt: skip
    row = face.draw(1024).rgb[500, 400:624, 0]
    assert np.count_nonzero(np.diff(row > 0.5)) >= 5
    assert (np.minimum(row, 1 - row) < 0.05).mean() > 0.5
    small = face.draw(24).rgb[10:14, 10:14, 0]
    assert np.ptp(small) < 0.25  # averaged down, not sampled at random


def test_ambient_light_draws_the_albedo_and_half_of_it_half(ball):
    full, half = ball.relit("ambient").draw(128), ball.relit(LIGHTS["ambient"].lighting / 2).draw(128)
    seen = full.alpha == 1
    full_linear, half_linear = (linear_from_srgb(torch.from_numpy(d.rgb[seen])).numpy() for d in (full, half))
    assert np.allclose(half_linear, full_linear / 2, atol=1e-4)


def test_turning_by_nothing_draws_the_same(ball):
    assert np.array_equal(ball.rotated(0).draw(96).rgb, ball.draw(96).rgb)
    again = ball.rotated(yaw=360).draw(96)
    assert np.allclose(again.alpha, ball.draw(96).alpha, atol=0.3)
    assert np.abs(again.rgb - ball.draw(96).rgb)[ball.draw(96).alpha == 1].mean() < 2e-3


def test_the_photo_s_camera_draws_the_face_where_it_was(ball):
    drawing = ball.draw(320, view="photo")
    assert drawing.alpha.shape == PHOTO_HW
    rows, columns = np.nonzero(drawing.alpha > 0.5)
    xy = ball.vertices_cam @ ball.px_from_cam.T
    xy = xy[:, :2] / xy[:, 2:]
    assert np.allclose((columns.min(), rows.min()), xy.min(0), atol=1.5)
    assert np.allclose((columns.max() + 1, rows.max() + 1), xy.max(0), atol=1.5)
    assert ball.draw(640, view="photo").alpha.shape == (480, 640)


@pytest.mark.parametrize("turn", [{}, {"yaw": 90}, {"pitch": 60, "roll": 40}, {"yaw": 180}])
def test_a_portrait_holds_the_whole_head_however_it_is_turned(turn):
    face = make_head().rotated(**turn)
    viewpoint = portrait(face, (200, 300))
    xy = viewpoint.camera.project(viewpoint.verts_cam[None])[0, :, :2].numpy()
    assert xy.min() >= 0
    assert (xy.max(0) <= (300, 200)).all()
    assert np.ptp(xy[:, 1]) > 110


def test_the_inside_is_dark():
    """Seen from below, the ball's opening at the pole shows its inside."""
    face = make_reconstruction()
    bright, dark = face.draw(300).rgb, face.rotated(pitch=-90).draw(300).rgb
    assert middle(dark).max() < 0.75 * middle(bright).max()


def test_backgrounds(ball):
    drawing = ball.draw(64)
    assert np.allclose(drawing.over((0.1, 0.2, 0.3))[0, 0], (0.1, 0.2, 0.3))
    behind = np.random.default_rng(0).uniform(size=(64, 64, 3)).astype(np.float32)
    assert np.array_equal(drawing.over(behind)[drawing.alpha == 0], behind[drawing.alpha == 0])
    assert drawing.rgba.shape == (64, 64, 4)


def test_errors(ball):
    with pytest.raises(ValueError, match="view is 'side'"):
        ball.draw(view="side")
    for size in (8, (100, 9000)):
        with pytest.raises(ValueError, match="expected 16 to"):
            ball.draw(size)
    with pytest.raises(ValueError, match="photo is not known"):
        photo_hw(make_reconstruction(photo=False))


@pytest.mark.parametrize("name", ["a.png", "a.WEBP"])
def test_a_saved_drawing_is_transparent(ball, tmp_path, name):
    drawing = ball.draw(64)
    assert drawing.save(tmp_path / "new" / name) == tmp_path / "new" / name
    with Image.open(tmp_path / "new" / name) as picture:
        assert picture.mode == "RGBA"
        saved = np.asarray(picture, np.float32) / 255
    assert np.allclose(saved[..., 3], drawing.alpha, atol=0.01)
    assert np.allclose(middle(saved)[:3], middle(drawing.rgb), atol=0.03)


def test_a_saved_drawing_before_a_background(ball, tmp_path):
    drawing = ball.draw(64)
    cases = (("a.jpg", None, BACKGROUND), ("b.jpg", (0, 0, 1), (0, 0, 1)), ("c.png", (1, 0, 0), (1, 0, 0)))
    for name, behind, expected in cases:
        with Image.open(drawing.save(str(tmp_path / name), behind)) as picture:
            assert picture.mode == "RGB"
            assert np.allclose(np.asarray(picture)[0, 0] / 255, expected, atol=0.03)


@pytest.mark.parametrize("name", ["a.gif", "a"])
def test_a_drawing_of_another_format(ball, tmp_path, name):
    with pytest.raises(ValueError, match=r"a picture cannot be saved as .*; use .png, .jpg, .jpeg, .webp"):
        ball.draw(64).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_face_knows_its_photo_s_size_without_the_photo(tmp_path):
    make_reconstruction().save(tmp_path, "ball", ["npz"])
    assert gcnface.load(tmp_path / "ball.npz").draw(64, view="photo").rgb.shape == (48, 64, 3)
    assert photo_hw(replace(make_reconstruction(), photo=None)) == PHOTO_HW


@pytest.mark.parametrize(
    "origin",
    [
        {"photo_hw": (0, 9)},
        {"photo_hw": [8, 9]},
        {"photo_hw": (8.0, 9.0)},
        {"photo_names": "a.jpg"},
        {"photo_names": (1,)},
        {"face_model": "a\n"},
        {"face_model": None},
    ],
)
def test_an_origin_that_cannot_be(origin):
    with pytest.raises(ValueError, match=next(iter(origin))):
        replace(make_reconstruction(photo=False), **origin)
