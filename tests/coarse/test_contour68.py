"""The jaw on the outline of turned heads."""

import numpy as np
import pytest
import torch

from coarse.contour68 import CHIN, JAW, contour68
from coarse.face_model import LANDMARKS68_FROM_468, load_face_model
from render.rotation import rotation_from_euler

VIEW = np.array([1.0, -1.0, -1.0])


@pytest.fixture(scope="module")
def model():
    return load_face_model()


def turned(points, yaw_deg, roll_deg=0.0):
    """Points in px: x right, y down."""
    yaw, pitch, roll = (torch.tensor([np.radians(a)]) for a in (yaw_deg, 0.0, roll_deg))
    return (points @ rotation_from_euler(yaw, pitch, roll)[0].double().numpy().T * VIEW + 300).astype(np.float32)


def chosen(points468):
    return points468[list(LANDMARKS68_FROM_468)]


def test_all_but_the_jaw_stay(model):
    points = turned(model.landmarks468(model.mean), 50)
    np.testing.assert_array_equal(contour68(points)[JAW:], chosen(points)[JAW:])
    np.testing.assert_array_equal(contour68(points)[CHIN], chosen(points)[CHIN])


def test_the_jaw_slides_to_the_outline_of_the_far_cheek(model):
    points = turned(model.landmarks468(model.mean), 45)  # the nose to the viewer's right
    cheek = points[np.abs(model.landmarks468(model.mean)[:, 0]) > 25]
    slid = contour68(points)
    assert (slid[9:JAW, 0] >= chosen(points)[9:JAW, 0]).all()
    assert (slid[11:15, 0] - chosen(points)[11:15, 0]).min() > 3
    assert slid[:JAW, 0].max() <= cheek[:, 0].max() + 1e-3
    np.testing.assert_allclose(slid[:, 1], chosen(points)[:, 1], atol=8)  # at their own height
    assert np.abs(slid[:6] - chosen(points)[:6]).max() < 6  # the near side is outline already


def test_the_mirror_image_has_the_mirrored_points(model):
    from coarse.face_model import LANDMARKS68_MIRROR

    points = model.landmarks468(model.mean)
    one, other = contour68(turned(points, 40)), contour68(turned(points, -40))
    np.testing.assert_allclose(other[list(LANDMARKS68_MIRROR), 0], 600 - one[:, 0], atol=1.0)


def test_a_turned_picture_turns_the_points(model):
    points = turned(model.landmarks468(model.mean), 40)[:, :2]
    quarter = np.array([[0, -1], [1, 0]], np.float32)
    np.testing.assert_allclose(contour68(points @ quarter.T), contour68(points) @ quarter.T, atol=1e-3)


def test_points_in_one_place_are_left_alone():
    assert contour68(np.zeros((468, 3))).shape == (68, 3)
