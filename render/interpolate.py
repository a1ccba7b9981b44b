"""From values at vertices to values at pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from render.fragments import Fragments
from render.shapes import check_shape


def interpolate(attributes: Tensor, faces: Tensor, fragments: Fragments, background: float | Tensor = 0.0) -> Tensor:
    """Attributes at every pixel, by the barycentric weights of its face; differentiable in attributes and weights.

    Args:
        attributes: (V, C) or (B, V, C).
        faces: (F, 3) integer, those that were rasterised.
        fragments: of a batch of B.
        background: value where no face is seen; a tensor must broadcast to (B, H, W, C).

    Returns:
        (B, H, W, C).

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
    size = (*fragments.pix_to_face.shape, shape["C"])
    canvas = torch.as_tensor(background, dtype=value.dtype, device=value.device).expand(size).reshape(-1, shape["C"])
    return canvas.index_copy(0, pixel, value).view(size)
