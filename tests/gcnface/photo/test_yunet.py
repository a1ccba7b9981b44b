"""YuNet finds faces at any turn, size and place, and reads their points in the house's order."""

import cv2
import numpy as np
import pytest

from gcnface.errors import WeightsError
from gcnface.photo.closer_look import upright_window
from gcnface.photo.crop import warp_image, warp_inside, warp_points
from gcnface.photo.detection import Detection, make_detector
from gcnface.photo.yunet_network import YunetNetwork
from tests.tolerances import EQUAL


@pytest.fixture(scope="module")
def yunet():
    return make_detector("yunet")


@pytest.fixture(scope="module")
def face(yunet, portrait):
    return only(yunet.detect(portrait))


def only(found):
    assert len(found) == 1
    return found[0]


def eye_distance(points5):
    return np.linalg.norm(points5[1] - points5[0])


def angle_between(a, b):
    return abs((a - b + np.pi) % (2 * np.pi) - np.pi)


def turned(portrait, lean_rad, scale=1.0, side=560):
    """The portrait leaning counter-clockwise amid a grey picture, and turned_from_portrait."""
    center = np.array(portrait.shape[1::-1]) / 2
    matrix = upright_window(center, -lean_rad, scale, side)
    seen = warp_inside(portrait.shape, matrix, (side, side))
    picture = np.where(seen[..., None], warp_image(portrait, matrix, (side, side)), np.float32(0.45))
    return picture.astype(np.float32), matrix


@pytest.mark.parametrize("lean_deg", [20, 45, 90, 135, 180, -135, -90, -45])
def test_a_face_is_found_at_any_turn(yunet, portrait, face, lean_deg):
    lean = np.deg2rad(lean_deg)
    picture, matrix = turned(portrait, lean)
    found = only(yunet.detect(picture))
    assert angle_between(found.roll_rad, lean + face.roll_rad) < np.deg2rad(8)
    error = np.linalg.norm(found.points5 - warp_points(face.points5, matrix), axis=1)
    assert error.max() < 0.15 * eye_distance(face.points5)
    assert np.sqrt(found.area / face.area) == pytest.approx(1, abs=0.15)


def test_a_lean_is_counted_counter_clockwise():
    """To the left ear's side in the picture: the eyes of an upright face lie above the mouth, now to its left."""
    points = np.array([[10, 20], [10, 10], [15, 15], [20, 20], [20, 10]], np.float32)
    assert Detection(np.zeros(4, np.float32), 1.0, points).roll_rad == pytest.approx(np.pi / 2)


def test_points_come_in_order(yunet, portrait, face):
    mirrored = only(yunet.detect(np.ascontiguousarray(portrait[:, ::-1])))
    back = (mirrored.points5 * [-1, 1] + [portrait.shape[1], 0])[[1, 0, 2, 4, 3]]
    assert np.linalg.norm(back - face.points5, axis=1).max() < 0.15 * eye_distance(face.points5)
    assert face.points5[0, 0] < face.points5[2, 0] < face.points5[1, 0]
    assert face.points5[3, 0] < face.points5[4, 0]


def test_red_is_red(yunet, portrait, face):
    """The network was trained on BGR: with red and blue exchanged it is less sure of a face."""
    image = np.rint(portrait * 255).astype(np.uint8)
    network = YunetNetwork()
    assert network(image, 0.3)[0].score > network(np.ascontiguousarray(image[:, :, ::-1]), 0.3)[0].score


@pytest.mark.parametrize("face_px", [15, 20, 40])
def test_small_faces_are_found(yunet, portrait, face, face_px):
    scale = face_px / np.sqrt(face.area)
    small = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    picture = np.full((300, 400, 3), 0.4, np.float32)
    picture[200 : 200 + small.shape[0], 300 : 300 + small.shape[1]] = small
    found = only(yunet.detect(picture))
    error = np.linalg.norm((found.points5 - [300, 200]) / scale - face.points5, axis=1)
    assert error.max() < 0.25 * eye_distance(face.points5)


def test_all_of_a_crowd_are_found_once(yunet, portrait, glasses_portrait):
    rng = np.random.default_rng(0)
    picture = np.full((600, 900, 3), 0.4, np.float32)
    for k in range(24):
        cell, _ = turned((portrait, glasses_portrait)[k % 2], rng.uniform(-np.pi, np.pi), rng.uniform(0.12, 0.26), 150)
        row, column = divmod(k, 6)
        picture[row * 150 : row * 150 + 150, column * 150 : column * 150 + 150] = cell
    centers = np.array([(each.box[:2] + each.box[2:]) / 2 for each in yunet.detect(picture)])
    assert len(centers) == 24
    assert len({(int(y // 150), int(x // 150)) for x, y in centers}) == 24


def test_noise_shows_nobody(yunet):
    rng = np.random.default_rng(0)
    for cell in (1, 8, 40):
        noise = cv2.resize(rng.random((400 // cell, 500 // cell, 3)).astype(np.float32), (500, 400))
        assert yunet.detect(noise.clip(0, 1)) == []


def test_the_same_photo_gives_the_same_faces(yunet, portrait, face):
    before = portrait.copy()
    again = only(make_detector("yunet").detect(portrait))
    np.testing.assert_allclose(again.points5, face.points5, **EQUAL)
    np.testing.assert_allclose(portrait, before, **EQUAL)


def test_a_portrait_is_looked_at_once(portrait, monkeypatch):
    looks = []
    call = YunetNetwork.__call__
    monkeypatch.setattr(YunetNetwork, "__call__", lambda *args: looks.append(args[1].shape) or call(*args))
    make_detector("yunet").detect(portrait)
    assert looks == [(320, 320, 3)]


def test_other_weights_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"YuNet weights are missing; reinstall gcnface"):
        YunetNetwork(tmp_path / "none.onnx")
    (tmp_path / "other.onnx").write_bytes(b"other")
    with pytest.raises(WeightsError, match=r"is not the file of YuNet weights: sha256 is .*; reinstall gcnface"):
        YunetNetwork(tmp_path / "other.onnx")
