"""The pose network answers rigid heads; untrained the neutral one, trained the one of the picture at any roll."""

import pytest
import torch

from coarse.face_model import load_face_model
from coarse.morphable import MorphableModel
from coarse.pose_network import (
    TYPICAL_ERROR_PERCENT,
    PoseAnswer,
    make_pose_network,
    neutral_landmarks,
    rotation_from_directions,
)
from coarse.position_map import WINDOW_PX
from tests.tolerances import SUMS


@pytest.fixture(scope="module")
def model():
    return MorphableModel(load_face_model(), level=2)


@pytest.fixture
def network(model):
    torch.manual_seed(0)
    return make_pose_network(model).eval()


@pytest.fixture(scope="module")
def windows():
    return torch.rand(2, 3, WINDOW_PX, WINDOW_PX, generator=torch.Generator().manual_seed(0))


def test_an_untrained_network_answers_the_neutral_pose(network, model, windows):
    with torch.no_grad():
        answer = network(windows)
    torch.testing.assert_close(answer.rotation, torch.eye(3).expand(2, 3, 3), **SUMS)
    torch.testing.assert_close(answer.expected_error_percent, torch.full((2,), TYPICAL_ERROR_PERCENT), **SUMS)
    there = answer.points(model.landmark_mean)
    # The neutral camera is a perspective one: nearer points lie a little further out than scaled ones.
    assert (there - neutral_landmarks(model))[..., :2].norm(dim=2).mean() < 2


def test_gradients_reach_every_parameter(network, model, windows):
    torch.nn.init.normal_(network.head.weight, std=0.05)
    answer = network.train()(windows)
    points = answer.points(model.landmark_mean).square().mean()
    (points + answer.expected_error_percent.mean() + answer.face_logit.square().mean()).backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent


def test_directions_become_the_rotation_whose_axes_they_are():
    torch.manual_seed(1)
    rotation = torch.linalg.qr(torch.randn(5, 3, 3))[0]
    rotation = rotation * rotation.det()[:, None, None].sign()
    six = torch.cat([2.0 * rotation[:, :, 0], rotation[:, :, 1] + 0.7 * rotation[:, :, 0]], dim=1)
    torch.testing.assert_close(rotation_from_directions(six), rotation, **SUMS)


def test_points_follow_scale_turn_and_place():
    quarter = torch.tensor([[[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]])  # counter-clockwise as the viewer sees it
    answer = PoseAnswer(quarter, torch.tensor([2.0]), torch.tensor([[10.0, 20.0]]), torch.ones(1), torch.zeros(1))
    there = answer.points(torch.tensor([[1.0, 0, 0], [0, 0, 3]]))[0]
    torch.testing.assert_close(there, torch.tensor([[10.0, 18, 0], [10, 20, -6]]), **SUMS)
