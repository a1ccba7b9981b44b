"""The texture of a densely aligned face: the photo's own colours on the face chart."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from gcnface.photo.crop import warp_image
from render.baking import TexelMap, bake, pad_texture
from render.sampling import sample_image

_GUTTER_PX = 4
_JOIN_SHARE = 1 / 24
"""Share of the texture's side over which the halves' difference is averaged."""
_OUTLINE_SHARE = 1 / 64
"""Share of it along the outline where what lies behind the face shines in."""
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
    rgb = _with_mirrored(rgb, seen)
    padded = pad_texture(torch.from_numpy(rgb), texels.mask, _GUTTER_PX).numpy()
    return np.concatenate([padded, seen[..., None]], 2, dtype=np.float32)


def _with_mirrored(rgb: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Where a texel is not seen but its mirror image is, that one's colour.

    The two halves of a face are lit differently: what is borrowed is shifted by the mean difference between the halves
    around, taken where both are seen and lie off the outline, so that it joins without a seam.
    """
    other = rgb[:, ::-1]
    margin = 1 + 2 * round(_OUTLINE_SHARE * len(rgb))
    sure = np.asarray(cv2.erode(seen.astype(np.uint8), np.ones((margin, margin), np.uint8), borderValue=1)) > 0
    both = (sure & sure[:, ::-1]).astype(np.float32)
    sigma = _JOIN_SHARE * len(rgb)
    blurred = cv2.GaussianBlur(np.dstack([(rgb - other) * both[..., None], both]), (0, 0), sigma)
    shift = blurred[..., :3] / np.maximum(blurred[..., 3:], 1e-6)
    if both.any():
        nearest = distance_transform_edt(both == 0, return_distances=False, return_indices=True)
        shift = shift[tuple(nearest)]
    borrowed = (seen[:, ::-1] & ~seen)[..., None]
    return np.where(borrowed, np.clip(other + shift, 0, 1), rgb).astype(np.float32)


def _sampled(photo: NDArray[np.float32], points: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(T, T, 3) colours at points (T, T, 3) in px, 0 outside the mask; a photo finer than the texels is averaged."""
    xy = points[mask][:, :2]
    low, high = np.floor(xy.min(0)), np.ceil(xy.max(0))
    scale = min(1.0, float(np.sqrt(len(xy) / np.maximum((high - low).prod(), 1))))
    low, high = low - _MARGIN_PX / scale, high + _MARGIN_PX / scale
    matrix = np.array([[scale, 0, -scale * low[0]], [0, scale, -scale * low[1]], [0, 0, 1]])
    hw = (int(np.ceil(scale * (high[1] - low[1]))), int(np.ceil(scale * (high[0] - low[0]))))
    view = torch.from_numpy(warp_image(photo, matrix, hw)).permute(2, 0, 1)[None]
    colors = sample_image(view, torch.from_numpy((scale * (xy - low)).astype(np.float32))[None])[0]
    picture = np.zeros((*mask.shape, 3), np.float32)
    picture[mask] = colors.numpy()
    return picture
