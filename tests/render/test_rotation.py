import math

import pytest
import torch

from render.rotation import (
    axis_angle_from_rotation,
    euler_from_rotation,
    rotation_derivative,
    rotation_from_axis_angle,
    rotation_from_euler,
)
from tests.tolerances import DOUBLE_SUMS, ROUNDING


def vectors(length: float, dtype=torch.float32) -> torch.Tensor:
    direction = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return direction / direction.norm(dim=1, keepdim=True) * length


@pytest.mark.parametrize("angle", [0.0, 1e-6, 1e-3, 0.0099, 0.0101, 1.0, 3.0])
def test_equals_the_matrix_exponential(angle):
    vector = vectors(angle, torch.float64)
    x, y, z = vector.unbind(1)
    o = torch.zeros_like(x)
    cross = torch.stack([o, -z, y, z, o, -x, -y, x, o], 1).view(-1, 3, 3)
    torch.testing.assert_close(rotation_from_axis_angle(vector), torch.matrix_exp(cross), **DOUBLE_SUMS)


@pytest.mark.parametrize("angle", [0.0, 1e-4, 0.5, 2.0, 3.1, math.pi - 1e-4])
def test_round_trip(angle):
    vector = vectors(angle)
    torch.testing.assert_close(axis_angle_from_rotation(rotation_from_axis_angle(vector)), vector, atol=2e-5, rtol=0)


@pytest.mark.parametrize("angle", [0.0, 1e-7, 1e-2, 1.0])
def test_gradients_are_right_and_finite_at_zero(angle):
    vector = vectors(angle, torch.float64)[:2].requires_grad_()
    assert torch.autograd.gradcheck(rotation_from_axis_angle, vector)
    rotation = rotation_from_axis_angle(vectors(angle)).requires_grad_()
    axis_angle_from_rotation(rotation).sum().backward()
    assert torch.isfinite(rotation.grad).all()


@pytest.mark.parametrize(
    ("turn", "of", "expected"),
    [
        ((math.pi / 2, 0, 0), (0.0, 0, 1), (1.0, 0, 0)),  # yaw: the nose to the viewer's right
        ((0, math.pi / 2, 0), (0.0, 0, 1), (0.0, -1, 0)),  # pitch: the nose down
        ((0, 0, math.pi / 2), (1.0, 0, 0), (0.0, 1, 0)),  # roll: counter-clockwise
    ],
)
def test_euler_directions(turn, of, expected):
    rotation = rotation_from_euler(*(torch.tensor([float(angle)]) for angle in turn))
    torch.testing.assert_close(rotation[0] @ torch.tensor(of), torch.tensor(expected), **ROUNDING)


def test_euler_order():
    yaw, pitch, roll = (torch.tensor([angle]) for angle in (0.3, -0.4, 0.7))
    zero = torch.zeros(1)
    chained = (
        rotation_from_euler(yaw, zero, zero)
        @ rotation_from_euler(zero, pitch, zero)
        @ rotation_from_euler(zero, zero, roll)
    )
    torch.testing.assert_close(rotation_from_euler(yaw, pitch, roll), chained)


def test_euler_angles_there_and_back():
    generator = torch.Generator().manual_seed(4)
    angles = (2 * torch.rand(200, 3, generator=generator, dtype=torch.float64) - 1) * torch.tensor([3.1, 1.5, 3.1])
    torch.testing.assert_close(euler_from_rotation(rotation_from_euler(*angles.unbind(1))), angles)


def test_euler_angles_at_rest_have_gradients():
    rest = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda axis: euler_from_rotation(rotation_from_axis_angle(axis)), (rest,))


@pytest.mark.parametrize("angle", [0.0, 1e-5, 1e-3, 0.5, 3.0])
def test_derivative_by_the_axis_angle(angle):
    vector = vectors(angle, torch.float64)
    for axis, step in enumerate(1e-6 * torch.eye(3, dtype=torch.float64)):
        change = (rotation_from_axis_angle(vector + step) - rotation_from_axis_angle(vector - step)) / 2e-6
        torch.testing.assert_close(rotation_derivative(vector)[:, axis], change, atol=2e-5, rtol=0)
