import pytest
import torch

from render.color import linear_from_srgb, srgb_from_linear, srgb_slope
from tests.tolerances import ROUNDING, SUMS


def test_round_trip():
    values = torch.linspace(-0.1, 1.2, 1001)
    torch.testing.assert_close(srgb_from_linear(linear_from_srgb(values)), values, **SUMS)
    torch.testing.assert_close(linear_from_srgb(srgb_from_linear(values)), values, **SUMS)


def test_known_values():
    encoded = torch.tensor([0.0, 0.04045, 0.5, 1.0])
    expected = torch.tensor([0.0, 0.0031308, 0.2140411, 1.0])
    torch.testing.assert_close(linear_from_srgb(encoded), expected, **ROUNDING)


@pytest.mark.parametrize("convert", [srgb_from_linear, linear_from_srgb])
def test_gradients(convert):
    values = torch.tensor([-0.5, 0.0, 0.001, 0.2, 1.0, 1.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(convert, values)
    convert(values).sum().backward()
    assert torch.isfinite(values.grad).all()
    assert (values.grad > 0).all()


def test_slope_is_the_derivative():
    values = torch.tensor([-0.1, 0.001, 0.0033, 0.2, 1.0], requires_grad=True)
    (found,) = torch.autograd.grad(srgb_from_linear(values).sum(), values)
    torch.testing.assert_close(srgb_slope(values.detach()), found)
