"""The texture of a densely aligned face: the photo's own colours on the face chart."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gcnface.alignment import warp_image
from render.baking import TexelMap, bake, pad_texture
from render.sampling import sample_image

_GUTTER_PX = 4
_MARGIN_PX = 4


def inside(points: NDArray, photo: NDArray) -> NDArray[np.bool_]:
    """(...,) bool: which points (..., 2 or more) in px lie in the photo (H, W, 3)."""
    x, y = points[..., 0], points[..., 1]
    return (x >= 0) & (y >= 0) & (x < photo.shape[1]) & (y < photo.shape[0])


def chart_texture(
    photo: NDArray[np.float32], vertices: NDArray[np.float32], faces: Tensor, texels: TexelMap, seen: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Colours of a photo on a chart whose mirror plane is u = 1/2.

    Args:
        photo: (H, W, 3) sRGB in [0, 1].
        vertices: (N, 3) photo px.
        faces: (F, 3) into them.
        texels: of those faces, side T.
        seen: (T, T) bool: texels that are turned to the camera and not hidden by the face.

    Returns:
        (T, T, 4) sRGB in [0, 1], and 1 where the texel is seen and lies in the photo, else 0. A texel that is not seen
        has the colour of its mirror image where that is, otherwise what the photo shows in its place.
    """
    points = bake(torch.from_numpy(vertices), faces, texels).numpy()
    seen = seen & inside(points, photo)
    rgb = _sampled(photo, points, texels.mask.numpy())
    mirrored = seen[:, ::-1] & ~seen
    rgb = np.where(mirrored[..., None], rgb[:, ::-1], rgb)
    padded = pad_texture(torch.from_numpy(rgb), texels.mask, _GUTTER_PX).numpy()
    return np.concatenate([padded, seen[..., None]], 2, dtype=np.float32)


def _sampled(photo: NDArray[np.float32], points: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(T, T, 3) colours at points (T, T, 3) in px, 0 outside the mask; a photo finer than the texels is averaged."""
    xy = points[mask][:, :2]
    low, high = xy.min(0) - _MARGIN_PX, xy.max(0) + _MARGIN_PX
    scale = min(1.0, float(np.sqrt(len(xy) / (high - low).prod())))
    matrix = np.array([[scale, 0, -scale * low[0]], [0, scale, -scale * low[1]], [0, 0, 1]])
    hw = (int(np.ceil(scale * (high[1] - low[1]))), int(np.ceil(scale * (high[0] - low[0]))))
    view = torch.from_numpy(warp_image(photo, matrix, hw)).permute(2, 0, 1)[None]
    colours = sample_image(view, torch.from_numpy((scale * (xy - low)).astype(np.float32))[None])[0]
    picture = np.zeros((*mask.shape, 3), np.float32)
    picture[mask] = colours.numpy()
    return picture
