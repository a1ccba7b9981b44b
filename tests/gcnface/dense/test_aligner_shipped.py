"""Dense alignment with the shipped network, against the fitted face of the same photo."""

from pathlib import Path

import numpy as np
import pytest

import gcnface

PORTRAIT = Path(__file__).parents[3] / "examples" / "portrait.jpg"


@pytest.fixture(scope="module")
def photo():
    return gcnface.read_photo(PORTRAIT)


@pytest.fixture(scope="module")
def face(photo):
    return gcnface.align(photo)


def test_points_are_those_of_the_reconstruction(photo, face):
    fitted = gcnface.reconstruct(photo).landmarks68[:, :2]
    side = np.sqrt(np.prod(np.ptp(fitted, axis=0)))
    distance = np.linalg.norm(face.landmarks68[:, :2] - fitted, axis=1)
    assert distance.mean() < 0.04 * side


def test_points_lie_in_the_detected_box_and_the_nose_is_nearest(face):
    x0, y0, x1, y1 = face.box
    margin = 0.25 * (x1 - x0)
    points = face.landmarks68
    assert (points[:, 0] > x0 - margin).all()
    assert (points[:, 0] < x1 + margin).all()
    assert (points[17:, 1] > y0 - margin).all()
    assert (points[:, 1] < y1 + margin).all()
    assert points[30, 2] == pytest.approx(points[:, 2].min(), abs=5 * face.pose.scale)


def test_a_mirrored_photo_gives_the_mirrored_pose(photo, face):
    mirrored = gcnface.align(np.ascontiguousarray(photo[:, ::-1]))
    np.testing.assert_allclose(mirrored.pose.euler_deg, face.pose.euler_deg * (-1, 1, -1), atol=4)


def test_the_mean_head_fits_to_millimetres(face):
    assert face.pose.residual / face.pose.scale < 7  # people differ from the mean by some 3 mm
    assert np.abs(face.pose.euler_deg).max() < 25
    assert face.visible.mean() > 0.7
