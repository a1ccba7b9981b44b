"""Dots in the pictures of a training run."""

import torch

from gcnface.training.pictures import dotted


def test_dots_lie_where_they_are_said_and_nowhere_else():
    images = torch.full((2, 3, 8, 10), 0.5)
    points = torch.tensor([[[3.7, 2.2], [30.0, -4.0]], [[0.0, 7.9], [5.5, 5.5]]])
    drawn = dotted(images, points, 1)
    expected = images.clone()
    for picture, x, y in ((0, 3, 2), (0, 9, 0), (1, 0, 7), (1, 5, 5)):
        expected[picture, :, y, x] = torch.tensor([0.0, 1.0, 0.0])
    assert torch.equal(drawn, expected)
    assert torch.equal(images, torch.full_like(images, 0.5))
