import pytest
import torch

from refine.encoding import decode_albedo, encode_albedo, returning_clamp
from tests.refine.meshes import random


def test_round_trip_and_known_values():
    linear = torch.linspace(0, 4, 101)
    assert torch.allclose(decode_albedo(encode_albedo(linear, 4.0), 4.0), linear, atol=1e-5)
    assert encode_albedo(torch.tensor([-1.0, 0.0, 1.0, 7.0])).tolist() == pytest.approx([-1, -1, 1, 1])
    assert decode_albedo(torch.tensor([-3.0, 3.0])).tolist() == pytest.approx([0, 1])


def test_gradients_are_finite_at_and_beyond_the_ends():
    for function in (lambda x: encode_albedo(x, 2.0), lambda x: decode_albedo(x, 2.0)):
        x = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0, 9.0], requires_grad=True)
        function(x).sum().backward()
        assert x.grad.isfinite().all()


def test_what_left_the_range_can_come_back_but_not_go_further():
    x = torch.tensor([-1.0, -1.0, 0.5, 2.0, 2.0], requires_grad=True)
    y = returning_clamp(x, 0.0, 1.0)
    y.backward(torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0]))
    assert y.tolist() == [0, 0, 0.5, 1, 1]
    assert x.grad.tolist() == [0, -1, 1, 1, 0]


def test_inside_the_range_it_is_the_identity():
    x = (random(20) * 0.1 + 0.5).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: returning_clamp(x, 0.0, 1.0), x)
