"""Poses that explain a detection: those of the mean head that a detection was made from."""

import math

import numpy as np
import pytest

from gcnface.photo.crop import TEMPLATE_POINTS5_PX, head_similarity, warp_points
from gcnface.photo.detection import Detection
from gcnface.stages.looks import crop_distance_px
from gcnface.stages.points_pose import explain, from_box, head_points
from tests.gcnface.dense_stub import Head, shared_model


@pytest.fixture(scope="module")
def head():
    model, _ = shared_model()
    return head_points(model.landmarks468(model.mean))


def detection_of(head, pose):
    """What a detector that makes no mistakes says of a head."""
    around = pose.in_photo(head.outline)[:, :2]
    box = np.concatenate([around.min(0), around.max(0)]).astype(np.float32)
    return Detection(box, 0.99, pose.in_photo(head.five)[:, :2].astype(np.float32))


def true_crop(head, pose):
    return head_similarity(pose.in_photo(head.five), np.diag([1.0, -1, -1]) @ pose.rotation)


def posed(yaw, pitch=0.0, roll=0.0):
    return Head(yaw, pitch, roll, 1.5, (300.0, 260.0, 0.0))


@pytest.mark.parametrize("yaw", [-80, -45, 0, 30, 80])
@pytest.mark.parametrize("roll", [0, 60, 180])
def test_a_pose_is_found_from_its_points_and_box(head, yaw, roll):
    pose = posed(yaw, roll=roll)
    found = explain(head, detection_of(head, pose))[0]
    cosine = (np.trace(found.rotation.T @ np.diag([1.0, -1, -1]) @ pose.rotation) - 1) / 2
    assert math.degrees(math.acos(min(cosine, 1))) < 12
    assert crop_distance_px(found.crop_from_photo, true_crop(head, pose)) < 6
    np.testing.assert_allclose(found.five[:, :2], pose.in_photo(head.five)[:, :2], atol=0.03 * 200)


def test_the_best_explanation_comes_first_and_all_differ(head):
    found = explain(head, detection_of(head, posed(70)))
    costs = [pose.cost for pose in found]
    assert costs == sorted(costs)
    assert costs[0] < 0.1
    for i, pose in enumerate(found):
        for other in found[:i]:
            assert np.linalg.norm((pose.five - other.five)[:, :2], axis=1).mean() > 2


def test_one_wrong_point_is_not_believed(head):
    pose = posed(-60)
    face = detection_of(head, pose)
    wrong = face.points5.copy()
    wrong[2] += (60, -40)
    found = explain(head, Detection(face.box, 0.99, wrong))[0]
    assert crop_distance_px(found.crop_from_photo, true_crop(head, pose)) < 15


def test_points_on_one_place_are_explained_by_the_box(head):
    face = detection_of(head, posed(0))
    found = explain(head, Detection(face.box, 0.99, np.repeat(face.points5.mean(0)[None], 5, axis=0)))
    assert all(np.isfinite(pose.five).all() for pose in found)


@pytest.mark.parametrize("roll_deg", [0, 90, 180, 270])
def test_a_box_is_filled_by_a_frontal_head(head, roll_deg):
    pose = posed(0, roll=-roll_deg)  # a positive roll leans counter-clockwise, the box's is clockwise
    found = from_box(head, detection_of(head, pose), math.radians(roll_deg))
    np.testing.assert_allclose(found.five[:, :2], pose.in_photo(head.five)[:, :2], atol=1e-3)
    there = warp_points(pose.in_photo(head.five)[:, :2], found.crop_from_photo)
    assert np.linalg.norm(there - TEMPLATE_POINTS5_PX, axis=1).mean() < 5
