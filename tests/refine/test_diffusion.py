import pytest
import torch

from coarse.levels import decimated_levels
from refine.diffusion import extend_values
from refine.pyramid import MeshPyramid
from tests.refine.meshes import icosphere, random, sphere_pyramid


@pytest.fixture(scope="module")
def pyramid():
    return sphere_pyramid(4, (4, 4, 4))


def heights():
    return torch.tensor(icosphere(4)[0], dtype=torch.float32)[None]


def test_known_values_stay(pyramid):
    values, weight = random(1, 2562, 3), (random(1, 2562, 1, seed=1) > 0).float()
    extended = extend_values(values, weight, pyramid)
    assert torch.allclose(extended[weight[..., 0] == 1], values[weight[..., 0] == 1], atol=1e-6)


def test_a_constant_is_continued_as_itself(pyramid):
    weight = (heights()[..., :1] > 0.8).float() * 0.7
    extended = extend_values(torch.full((1, 2562, 2), 0.3), weight, pyramid)
    assert torch.allclose(extended, torch.full_like(extended, 0.3), atol=1e-5)


def test_extension_stays_within_the_known_range_and_meets_its_border(pyramid):
    points = heights()
    values = points[..., 1:2]
    weight = (points[..., :1] > 0).float()
    extended = extend_values(values, weight, pyramid)
    assert extended.abs().max() <= 1.0 + 1e-5
    beyond = (points[..., 0] <= 0) & (points[..., 0] > -0.08)
    assert (extended - values)[beyond].abs().mean() < 0.06


def test_hidden_values_are_not_read(pyramid):
    weight = (heights()[..., :1] > 0).float()
    values = random(1, 2562, 3)
    poisoned = torch.where(weight > 0, values, torch.nan)
    assert torch.equal(extend_values(values, weight, pyramid), extend_values(poisoned, weight, pyramid))


def test_nothing_known_gives_zero_and_gradients_flow(pyramid):
    assert not extend_values(random(1, 2562, 3), torch.zeros(1, 2562, 1), pyramid).any()
    small = MeshPyramid(decimated_levels(*icosphere(1), (4,))).double()
    weight = torch.rand(1, 42, 1, generator=torch.Generator().manual_seed(0)).double()
    assert torch.autograd.gradcheck(
        lambda x: extend_values(x, weight, small), random(1, 42, 2).double().requires_grad_()
    )


def test_wrong_shapes_are_refused(pyramid):
    with pytest.raises(ValueError, match="weight has shape"):
        extend_values(random(1, 2562, 3), random(1, 2562, 3), pyramid)
