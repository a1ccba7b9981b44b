"""Faces are found at any size and turn, and their points stay on the same places of the face."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from gcnface.errors import NoFaceError
from gcnface.photo.crop import TEMPLATE_POINTS5_PX, similarity_from_points, warp_points
from gcnface.photo.detection import make_detector, no_face
from gcnface.photo.mtcnn import SMALLEST_FACE_PX


def only(found):
    assert len(found) == 1
    return found[0]


@pytest.fixture(scope="module", params=["joint", "mtcnn"])
def detector(request):
    return make_detector(request.param)


@pytest.fixture(scope="module")
def face(detector, portrait):
    return only(detector.detect(portrait))


def eye_distance(points5):
    return np.linalg.norm(points5[1] - points5[0])


def test_points_look_like_a_face(face):
    assert face.score > 0.9
    inside = (face.points5 > face.box[:2]) & (face.points5 < face.box[2:])
    assert inside.all()
    left_eye, right_eye, nose, left_mouth, right_mouth = face.points5
    assert left_eye[0] < nose[0] < right_eye[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    residual = (
        warp_points(face.points5, similarity_from_points(face.points5, TEMPLATE_POINTS5_PX)) - TEMPLATE_POINTS5_PX
    )
    assert np.linalg.norm(residual, axis=1).max() < 15


def test_glasses_do_not_hide_a_face(detector, glasses_portrait):
    assert only(detector.detect(glasses_portrait)).score > 0.9


def test_area(face):
    x0, y0, x1, y1 = face.box
    assert face.area == pytest.approx((x1 - x0) * (y1 - y0), rel=1e-5)


@pytest.mark.parametrize("scale", [2, 4])
def test_an_enlarged_photo_gives_the_same_points(detector, portrait, face, scale):
    large = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC).clip(0, 1)
    found = only(detector.detect(large))
    error = np.linalg.norm(found.points5 / scale - face.points5, axis=1)
    assert error.max() < 0.06 * eye_distance(face.points5)


def test_face_in_a_photo_of_4000_px(detector, portrait, face):
    photo = np.full((3000, 4000, 3), 0.4, np.float32)
    photo[900:1284, 2500:2884] = portrait
    found = only(detector.detect(photo))
    error = np.linalg.norm(found.points5 - [2500, 900] - face.points5, axis=1)
    assert error.max() < 0.15 * eye_distance(face.points5)


def test_small_face(detector, portrait):
    photo = np.full((90, 120, 3), 0.4, np.float32)
    photo[20:68, 40:88] = cv2.resize(portrait, (48, 48), interpolation=cv2.INTER_AREA)
    found = only(detector.detect(photo))
    assert ((found.points5 > [40, 20]) & (found.points5 < [88, 68])).all()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_on_its_side_gives_the_same_points(detector, portrait, face, turns):
    found = only(detector.detect(np.rot90(portrait, turns)))
    side = portrait.shape[0]
    points = found.points5
    for _ in range(turns):
        points = np.stack([side - points[:, 1], points[:, 0]], 1)
    error = np.linalg.norm(points - face.points5, axis=1)
    assert error.max() < 0.06 * eye_distance(face.points5)


def test_nothing_is_found_where_nothing_is(detector):
    assert detector.detect(np.full((60, 80, 3), 0.5, np.float32)) == []


def test_a_photo_of_few_pixels(detector):
    assert detector.detect(np.full((2, 3, 3), 0.5, np.float32)) == []


def test_groups_are_sorted_by_size(detector, portrait, glasses_portrait):
    small = cv2.resize(glasses_portrait, (192, 192), interpolation=cv2.INTER_AREA)
    photo = np.full((384, 600, 3), 0.4, np.float32)
    photo[:, :384], photo[100:292, 396:588] = portrait, small
    found = detector.detect(photo, thorough=True)
    assert len(found) == 2
    assert found[0].area > 2 * found[1].area
    assert found[0].box[2] < found[1].box[2]


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 4), (0, 10, 3)])
def test_other_shapes_are_refused(detector, shape):
    with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
        detector.detect(np.zeros(shape, np.float32))


@pytest.mark.parametrize("side", [11, 20, 31])
def test_pictures_too_small_for_a_face_show_none(detector, portrait, side):
    small = cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA)
    assert detector.detect(small) == []
    with pytest.raises(NoFaceError, match=f"a.png: shows no face .* in {side} x {side} px; give a picture of 32 px"):
        raise no_face(Path("a.png"), small)


@pytest.mark.parametrize(("side", "count"), [(11, 0), (20, 0), (32, 1)])
def test_a_face_that_is_too_small_for_its_points_is_none_in_a_larger_picture_either(detector, portrait, side, count):
    photo = np.full((60, 60, 3), 0.4, np.float32)
    photo[14 : 14 + side, 14 : 14 + side] = cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA)
    found = detector.detect(photo)
    assert len(found) == count
    assert all(min(face.box[2:] - face.box[:2]) >= SMALLEST_FACE_PX for face in found)


@pytest.mark.parametrize(
    "edges", [(0.2, 0, 0, 0), (0, 0.2, 0, 0), (0, 0, 0.2, 0), (0, 0, 0, 0.2), (0.1, 0.1, 0.1, 0.1)]
)
def test_a_face_that_is_cut_keeps_its_points(detector, portrait, face, edges):
    """Without a border around the picture they are off by 6 to 50 % of the distance of the eyes."""
    low, high = face.box[:2], face.box[2:]
    inset = np.array(edges) * np.tile(high - low, 2)
    limits = [0, 0, portrait.shape[1], portrait.shape[0]]
    x0, y0, x1, y1 = np.where(inset, [*(low + inset[:2]), *(high - inset[2:])], limits).round().astype(int)
    found = only(detector.detect(np.ascontiguousarray(portrait[y0:y1, x0:x1])))
    error = np.linalg.norm(found.points5 + [x0, y0] - face.points5, axis=1)
    assert error.max() < 0.1 * eye_distance(face.points5)


def test_a_face_amid_its_picture_is_looked_at_once(detector, portrait, face, monkeypatch):
    monkeypatch.setattr("gcnface.photo.mtcnn.BORDERED_PASS", None)
    monkeypatch.setattr("gcnface.photo.yunet.BORDERED_PASS", None)
    np.testing.assert_array_equal(only(detector.detect(portrait)).points5, face.points5)


def test_a_cut_face_in_a_group_is_not_taken_for_its_neighbour(detector, portrait, glasses_portrait):
    photo = np.concatenate([portrait[:, 130:], glasses_portrait], 1)
    found = sorted(detector.detect(photo), key=lambda each: each.box[0])
    assert len(found) == 2
    assert found[0].points5[:, 0].max() < portrait.shape[1] - 130 < found[1].points5[:, 0].min()
