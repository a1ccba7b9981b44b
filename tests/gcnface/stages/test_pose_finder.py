"""First crops are moved to where the pose network sees a head, and those it doubts least come first."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from coarse.face_model import load_face_model
from coarse.pose_network import PoseAnswer
from gcnface.io.images import read_photo
from gcnface.photo.detection import make_detector
from gcnface.stages.first_crops import points_crop
from gcnface.stages.looks import crop_distance_px
from gcnface.stages.points_pose import head_points
from gcnface.stages.pose_finder import PoseFinder, load_pose_finder
from render.rotation import rotation_from_euler

EXAMPLES = Path(__file__).parents[3] / "examples"
PHOTO = np.random.default_rng(0).random((400, 400, 3), np.float32)


class Turned(nn.Module):
    """Says of every window that its head stands at a roll and a scale of its own, and doubts the second window."""

    def __init__(self, roll, scale):
        super().__init__()
        self.roll, self.scale = roll, scale

    def forward(self, windows):
        count = len(windows)
        zero = torch.zeros(count)
        turn = rotation_from_euler(zero, zero, zero + self.roll)
        error = torch.tensor([2.0, 20.0, 2.0])[:count]
        middle = torch.full((count, 2), 128.0)
        return PoseAnswer(turn, zero + self.scale, middle, error, zero + 3.0)


@pytest.fixture(scope="module")
def head():
    model = load_face_model()
    return head_points(model.landmarks468(model.mean))


def crops(*shifts):
    return [(f"at {x}", np.array([[1.0, 0, x], [0, 1, 0], [0, 0, 1]])) for x in shifts]


def test_a_head_that_leans_is_set_upright(head):
    (found,) = PoseFinder(Turned(0.5, 1.0), head)(PHOTO, crops(-80.0))
    matrix = found.start[1]
    rolled = np.arctan2(matrix[1, 0], matrix[0, 0])
    assert rolled == pytest.approx(2 * 0.5, abs=1e-3)  # counter-clockwise in each round, so the crop turns clockwise
    assert np.linalg.det(matrix[:2, :2]) > 0


def test_a_head_that_is_small_is_enlarged(head):
    (found,) = PoseFinder(Turned(0.0, 0.5), head)(PHOTO, crops(0.0))
    (even,) = PoseFinder(Turned(0.0, 1.0), head)(PHOTO, crops(0.0))
    ratio = np.linalg.det(found.start[1][:2, :2]) / np.linalg.det(even.start[1][:2, :2])
    assert ratio == pytest.approx(16.0, rel=1e-3)  # twice as large in each of two rounds


def test_the_least_doubtful_comes_first_and_none_comes_twice(head):
    found = PoseFinder(Turned(0.0, 1.0), head)(PHOTO, crops(0.0, -60.0, -1.0))
    assert [one.start[0] for one in found] == ["at 0.0", "at -60.0"]
    assert found[0].doubt < found[1].doubt


def test_the_shipped_network_finds_a_portrait_from_a_crop_that_lies_on_its_side(head):
    photo = read_photo(EXAMPLES / "portrait.jpg")
    face = make_detector().detect(photo)[0]
    right = points_crop(face)
    quarter = np.array([[0.0, -1, 224], [1, 0, 0], [0, 0, 1]])
    (found, *_) = load_pose_finder(load_face_model(), head)(photo, [("side", quarter @ right)])
    assert crop_distance_px(found.start[1], right) < 12
    assert crop_distance_px(quarter @ right, right) > 40
