import pytest
import torch

from render.interpolate import interpolate
from render.rasterize import rasterize_screen
from render.shapes import ShapeError
from tests.render.meshes import random_triangles
from tests.tolerances import CHAINS

HW = (20, 28)


@pytest.fixture
def drawn():
    screen, faces = random_triangles(30, HW, 0)
    return screen, faces, rasterize_screen(screen.repeat(2, 1, 1), faces, HW, perspective_correct=False)


def test_screen_positions_come_back_as_pixel_centres(drawn):
    screen, faces, fragments = drawn
    image = interpolate(screen[0, :, :2], faces, fragments)
    y, x = torch.meshgrid(torch.arange(HW[0]) + 0.5, torch.arange(HW[1]) + 0.5, indexing="ij")
    center = torch.stack([x, y], -1).expand(2, *HW, 2)
    torch.testing.assert_close(image[fragments.mask], center[fragments.mask], atol=1e-3, rtol=1e-4)


def test_constant_and_background(drawn):
    _, faces, fragments = drawn
    image = interpolate(torch.full((90, 3), 0.25), faces, fragments)
    expected = torch.where(fragments.mask[..., None], 0.25, torch.zeros(2, *HW, 3))
    torch.testing.assert_close(image, expected, **CHAINS)
    assert (image[~fragments.mask] == 0).all()


def test_shared_and_batched_attributes(drawn):
    _, faces, fragments = drawn
    values = torch.rand(2, 90, 4)
    together = interpolate(values, faces, fragments)
    for row in range(2):
        assert torch.equal(together[row], interpolate(values[row], faces, fragments)[row])


def test_gradcheck(drawn):
    screen, faces, _ = drawn
    fragments = rasterize_screen(screen.double(), faces, HW, perspective_correct=False)
    values = torch.rand(90, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: interpolate(v, faces, fragments), values)


def test_wrong_batch_is_named(drawn):
    _, faces, fragments = drawn
    with pytest.raises(ShapeError, match="attributes"):
        interpolate(torch.rand(3, 90, 2), faces, fragments)
