"""Where a face is looked for: one place for sure points, several for others."""

from dataclasses import replace

import numpy as np
import pytest

from gcnface.photo.crop import TEMPLATE_POINTS5_PX, similarity_from_points
from gcnface.photo.detection import Detection
from gcnface.stages.first_crops import ALIKE_PX, coincide, may_be_frontal, other_crops, points_crop
from gcnface.stages.looks import crop_distance_px
from gcnface.stages.points_pose import head_points
from tests.gcnface.dense_stub import shared_model
from tests.tolerances import DOUBLE_SUMS

FRONTAL = Detection(
    np.array([120, 60, 320, 320], np.float32), 0.99, (TEMPLATE_POINTS5_PX * 1.5 + (50, 40)).astype(np.float32)
)
LINE = replace(FRONTAL, points5=FRONTAL.points5 * np.array([0.05, 1], np.float32) + np.array([200, 0], np.float32))


@pytest.fixture(scope="module")
def head():
    model, _ = shared_model()
    return head_points(model.landmarks468(model.mean))


def test_sure_points_lie_on_the_template():
    assert may_be_frontal(FRONTAL)
    np.testing.assert_allclose(
        points_crop(FRONTAL), similarity_from_points(FRONTAL.points5, TEMPLATE_POINTS5_PX), **DOUBLE_SUMS
    )


@pytest.mark.parametrize(
    "wrong",
    [
        replace(FRONTAL, score=0.7),
        LINE,
        replace(FRONTAL, points5=FRONTAL.points5[[1, 0, 2, 3, 4]]),
        replace(FRONTAL, points5=np.ones((5, 2), np.float32)),
    ],
    ids=["low score", "line", "eyes swapped", "one place"],
)
def test_other_points_are_not_sure(wrong):
    assert not may_be_frontal(wrong)


def test_points_on_one_place_coincide(head):
    one_place = replace(FRONTAL, points5=np.ones((5, 2), np.float32))
    assert coincide(one_place)
    assert not coincide(LINE)
    assert all(np.isfinite(crop).all() for _, crop in other_crops(head, one_place, []))


def test_poses_are_looked_at_first_and_no_two_crops_are_alike(head):
    crops = other_crops(head, LINE, [])
    assert crops[0][0] == "pose"
    assert all(np.linalg.det(crop[:2, :2]) > 0 for _, crop in crops)
    for i, (_, crop) in enumerate(crops):
        assert all(crop_distance_px(crop, other) > ALIKE_PX for _, other in crops[:i])
    frontal = other_crops(head, FRONTAL, [FRONTAL])
    assert [origin for origin, _ in frontal].count("rival") == 0  # it is where the pose is


def test_other_crops_lie_on_all_sides_and_ask_rivals(head):
    rival = replace(FRONTAL, points5=FRONTAL.points5 + 30)
    crops = dict(other_crops(head, LINE, [rival, replace(rival, points5=np.ones((5, 2), np.float32))]))
    np.testing.assert_array_equal(crops.pop("rival"), points_crop(rival))
    boxes = [crop for origin, crop in crops.items() if origin.startswith("box")]
    rolls = [round(np.degrees(np.arctan2(crop[1, 0], crop[0, 0]))) % 360 for crop in boxes]
    assert {90, 180, 270} <= set(rolls)
