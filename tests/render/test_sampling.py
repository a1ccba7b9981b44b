import pytest
import torch

from render.sampling import sample_image
from render.shapes import ShapeError


def ramp(height: int = 6, width: int = 9) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x, y])[None]


def test_a_ramp_gives_the_coordinates_back():
    points = torch.rand(1, 50, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([8.0, 5.0]) + 0.5
    torch.testing.assert_close(sample_image(ramp(), points), points)


def test_at_centres_it_is_the_pixel():
    image = torch.rand(1, 4, 6, 9)
    torch.testing.assert_close(sample_image(image, torch.tensor([[[3.5, 2.5]]]))[0, 0], image[0, :, 2, 3])


def test_outside_the_edge_repeats():
    far = torch.tensor([[[-10.0, 3.0], [0.0, 3.0]]])
    image = torch.ones(1, 1, 6, 9)
    assert sample_image(image, far).flatten().tolist() == [1.0, 1.0]


def test_gradcheck():
    image = torch.rand(2, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    points = (torch.rand(2, 6, 2, dtype=torch.float64) * 2 + 1).requires_grad_()
    assert torch.autograd.gradcheck(sample_image, (image, points))


def test_batches_must_agree():
    with pytest.raises(ShapeError, match="xy_px"):
        sample_image(torch.rand(2, 1, 4, 4), torch.rand(3, 5, 2))
