"""From values at vertices to values at pixels, by barycentric weights."""

from __future__ import annotations

import torch
from torch import Tensor

from render.fragments import Fragments
from render.shapes import check_shape

EPSILON = 1e-8
"""PyTorch3D's, added to the area by which barycentric weights are divided."""


def interpolate(attributes: Tensor, faces: Tensor, fragments: Fragments) -> Tensor:
    """Attributes at every pixel, by the barycentric weights of its face; differentiable in attributes and weights.

    Args:
        attributes: (V, C) or (B, V, C).
        faces: (F, 3) integer, those that were rasterised.
        fragments: of a batch of B.

    Returns:
        (B, H, W, C), 0 where no face is seen.

    Raises:
        ShapeError: an argument has another shape.
    """
    batch = len(fragments.pix_to_face)
    if attributes.dim() == 2:
        attributes = attributes[None]
    shape = check_shape("attributes", attributes, "B V C")
    if shape["B"] not in (1, batch):
        check_shape("attributes", attributes, "B V C", B=batch)
    flat = fragments.pix_to_face.flatten()
    pixel = (flat >= 0).nonzero()[:, 0]
    row = faces.long()[flat[pixel]]
    if shape["B"] > 1:
        row = row + (pixel // (flat.numel() // batch) * shape["V"])[:, None]
    corner = attributes.reshape(-1, shape["C"]).index_select(0, row.flatten()).view(-1, 3, shape["C"])
    weight = fragments.bary.reshape(-1, 3).index_select(0, pixel)
    value = (corner * weight.to(corner)[..., None]).sum(1)
    canvas = value.new_zeros(len(flat), shape["C"]).index_copy(0, pixel, value)
    return canvas.view(*fragments.pix_to_face.shape, shape["C"])


def barycentrics(corners: tuple[Tensor, ...], points: Tensor, perspective_correct: bool) -> tuple[Tensor, Tensor]:
    """Weights (3, P) and depth (P,) at `points` (2, P) of triangles with three `corners` (3, P) each."""
    a, b, c = corners
    area = doubled_area(c, a, b) + EPSILON
    weights = torch.stack([doubled_area(points, *side) for side in ((b, c), (c, a), (a, b))]) / area
    if perspective_correct:
        weights = weights * torch.stack([b[2] * c[2], a[2] * c[2], a[2] * b[2]])
        weights = weights / weights.sum(0).clamp(min=EPSILON)
    return weights, weights[0] * a[2] + weights[1] * b[2] + weights[2] * c[2]


def doubled_area(point: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Twice the signed area of (point, start, end), x and y in the first two rows."""
    return (point[0] - start[0]) * (end[1] - start[1]) - (point[1] - start[1]) * (end[0] - start[0])
