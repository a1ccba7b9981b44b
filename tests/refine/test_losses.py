import pytest
import torch

from refine.losses import (
    LossSchedule,
    identity_loss,
    pixel_loss,
    safe_norm,
    symmetry_loss,
    vertex_loss,
)
from tests.refine.meshes import random


def test_pixel_loss_is_the_mean_distance_inside_the_mask_of_each_picture():
    drawn, photo = torch.zeros(2, 3, 4, 5), torch.zeros(2, 3, 4, 5)
    drawn[0, :, 0, 0] = torch.tensor([3.0, 4.0, 0.0])
    drawn[0, :, 3, 3] = 100.0
    drawn[1] = 1.0
    mask = torch.zeros(2, 4, 5)
    mask[0, 0, :4] = 1.0
    mask[1, 2, 2] = 0.5
    assert pixel_loss(drawn, photo, mask).item() == pytest.approx((5 / 4 + 3**0.5) / 2)


def test_pixel_loss_of_an_empty_mask_is_zero_with_zero_gradient():
    drawn = random(1, 3, 4, 4).requires_grad_()
    loss = pixel_loss(drawn, random(1, 3, 4, 4, seed=1), torch.zeros(1, 4, 4))
    loss.backward()
    assert loss.item() == 0
    assert not drawn.grad.any()


@pytest.mark.parametrize(("angle", "expected"), [(0.0, 0.0), (60.0, 0.5), (90.0, 1.0), (180.0, 2.0)])
def test_identity_loss_is_one_minus_the_cosine(angle, expected):
    rotated = torch.tensor([[torch.cos(torch.tensor(angle).deg2rad()), torch.sin(torch.tensor(angle).deg2rad())]])
    assert identity_loss(3 * rotated, torch.tensor([[2.0, 0.0]])).item() == pytest.approx(expected, abs=1e-6)


def test_vertex_loss_with_and_without_weights():
    colors, target = torch.zeros(1, 4, 3), torch.zeros(1, 4, 3)
    colors[0, 0] = torch.tensor([0.0, 3.0, 4.0])
    assert vertex_loss(colors, target).item() == pytest.approx(5 / 4)
    weight = torch.tensor([1.0, 1.0, 0.0, 0.0])[None, :, None]
    assert vertex_loss(colors, target, weight).item() == pytest.approx(5 / 2)
    assert vertex_loss(colors, target, 0 * weight).item() == 0


def test_norm_at_zero_has_gradient_zero():
    x = torch.zeros(2, 3, requires_grad=True)
    safe_norm(x, dim=1).sum().backward()
    assert not x.grad.any()


def test_gradcheck():
    x = random(2, 5, 3).double().requires_grad_()
    y, weight = random(2, 5, 3, seed=1).double(), random(2, 5, 1, seed=2).double().abs()
    assert torch.autograd.gradcheck(lambda x: vertex_loss(x, y, weight), x)
    assert torch.autograd.gradcheck(lambda x: identity_loss(x[:, :, 0], y[:, :, 0]), x)
    image = random(1, 3, 3, 4).double().requires_grad_()
    mask = random(1, 3, 4).double().abs()
    assert torch.autograd.gradcheck(lambda i: pixel_loss(i, torch.zeros_like(i), mask), image)


def test_symmetry_vanishes_on_what_it_asks_for():
    mirror = torch.tensor([1, 0, 3, 2])
    same = torch.tensor([0.2, 0.2, 0.7, 0.7])[None, :, None].expand(1, 4, 3)
    assert symmetry_loss(same, mirror).item() == 0
    assert symmetry_loss(random(1, 4, 3), mirror).item() > 0


def test_schedule_is_the_paper_s():
    schedule = LossSchedule(ramp_start=0.0, ramp_end=0.5)
    assert (schedule.at(0.0).drawn, schedule.at(0.0).vertex) == (0.0, 1.0)
    assert (schedule.at(0.25).drawn, schedule.at(0.25).vertex) == (0.5, 0.5)
    assert (schedule.at(1.0).drawn, schedule.at(1.0).vertex) == (1.0, 0.0)
    assert schedule.at(0.3).identity == 0.2


def test_released_schedule_keeps_a_floor():
    schedule = LossSchedule(ramp_end=0.1, vertex_floor=0.2)
    assert schedule.at(0.5).vertex == 0.2


@pytest.mark.parametrize("wrong", [{"ramp_start": 0.6}, {"ramp_end": 1.2}, {"identity": -1.0}, {"vertex_floor": 2.0}])
def test_wrong_schedules_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        LossSchedule(**wrong)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="mask has shape"):
        pixel_loss(random(1, 3, 4, 4), random(1, 3, 4, 4), random(1, 4, 5))
    with pytest.raises(ValueError, match="target has shape"):
        vertex_loss(random(1, 4, 3), random(1, 5, 3))
