"""Reading a picture at points."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from render.shapes import check_shape


def sample_image(image: Tensor, xy_px: Tensor) -> Tensor:
    """Bilinear samples, differentiable in image and points; outside the image its edge repeats.

    Args:
        image: (B, C, H, W).
        xy_px: (B, N, 2) points in pixels, (0, 0) the top-left corner, centres at .5.

    Returns:
        (B, N, C).

    Raises:
        ShapeError: an argument has another shape.
    """
    size = check_shape("image", image, "B C H W")
    check_shape("xy_px", xy_px, "B N 2", B=size["B"])
    extent = torch.tensor([size["W"], size["H"]]).to(xy_px)
    grid = (2 * xy_px / extent - 1)[:, None].to(image.dtype)
    return grid_sample(image, grid, padding_mode="border", align_corners=False)[:, :, 0].mT
