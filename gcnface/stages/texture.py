"""The UV stage: a texture that carries the photo's own resolution where the photo shows the face.

The refined vertex colours already agree with the photo at the resolution of the mesh, seams and hidden parts included.
What a texel adds is the difference between the photo and those colours, which is fine detail only; it is added where it
was seen, and, mirrored, where only the other half of the face was seen. So nothing has to be blended across a seam.
Several photos of one person add theirs by weights that sum to the confidence of the best (`gcnface.stages.blending`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from coarse.face_model import FaceModel, kept_with_model
from gcnface.photo.crop import part_around, shrunk
from gcnface.result.reconstruction import TEXEL_SOURCES
from render.baking import TexelMap, padding_index, texel_map
from render.color import linear_from_srgb, srgb_from_linear
from render.lighting import MINIMUM_SHADING

_GUTTER_PX = 8


@dataclass(frozen=True)
class Texture:
    """A baked texture; row 0 is v = 1.

    Attributes:
        rgb: (T, T, 3) float32 albedo, sRGB encoded, in [0, 1].
        source: (T, T) uint8, index into `TEXEL_SOURCES`.
        photo: (T, T) uint8, 1 for the first photo, 2 for the second, ...: from which one a texel was taken, there or
            mirrored; 0 where `source` is neither "seen" nor "mirrored".
        confidence: (T, T) float32 in [0, 1]: how far a texel comes from the photos themselves.
    """

    rgb: NDArray[np.float32]
    source: NDArray[np.uint8]
    photo: NDArray[np.uint8]
    confidence: NDArray[np.float32]


@dataclass(frozen=True)
class TexturePhoto:
    """What one photo shows of the surface.

    Attributes:
        photo: (H, W, 3) float32 sRGB in [0, 1].
        screen: (V, 3) photo px x, y and depth mm.
        shading: (V, 3) linear; the photo's colours are divided by it.
        weight: (V,) in [0, 1], how far a vertex takes its colour from this photo.
    """

    photo: NDArray[np.float32]
    screen: Tensor
    shading: Tensor
    weight: Tensor


@dataclass(frozen=True)
class _Atlas:
    """Constant tables of a model's atlas at one texture size."""

    filled: NDArray[np.bool_]
    """(T, T) where there is surface."""
    rows: NDArray[np.int64]
    """(N,) flat index of the texels that carry surface."""
    weights: csr_matrix
    """(N, V) barycentric: times values at the vertices, it gives those at the texels."""
    padding: NDArray[np.int64]
    """(T * T,) which texel each takes its colour from, so that the gutters are filled."""
    mirror_map: NDArray[np.float32]
    """(T, T, 2) where the mirrored texel lies, px for cv2.remap; -1 outside the face chart."""


@kept_with_model
def _atlas(model: FaceModel, size: int) -> _Atlas:
    texels = texel_map(torch.from_numpy(model.uv), torch.from_numpy(model.uv_faces.astype(np.int64)), size)
    flat = texels.face.reshape(-1).numpy()
    rows = np.flatnonzero(flat >= 0)
    corners = model.faces[flat[rows]].astype(np.int32)
    bary = texels.bary.reshape(-1, 3).numpy()[rows].astype(np.float32)
    start = np.arange(0, 3 * len(rows) + 1, 3, dtype=np.int32)
    weights = csr_matrix((bary.ravel(), corners.ravel(), start), shape=(len(rows), len(model.mean)))
    padding = padding_index(texels.mask, _GUTTER_PX).numpy()
    return _Atlas(texels.mask.numpy(), rows, weights, padding, _mirror_map(model, texels, size))


def _mirror_map(model: FaceModel, texels: TexelMap, size: int) -> NDArray[np.float32]:
    """Mirroring is u -> 1 - u in the chart; the atlas holds the chart through an affine map, found here."""
    if not len(model.chart_faces):
        return np.full((size, size, 2), -10, np.float32)
    chart_corners = model.faces[model.chart_faces].ravel()
    chart = np.column_stack([model.chart_uv[chart_corners], np.ones(len(chart_corners))])
    atlas = model.uv[model.uv_faces[model.chart_faces].ravel()]
    atlas_from_chart = np.linalg.lstsq(chart, atlas, rcond=None)[0]
    square = np.vstack([atlas_from_chart.T, [0, 0, 1]])
    flip = np.array([[-1, 0, 1], [0, 1, 0], [0, 0, 1.0]])
    mirror = square @ flip @ np.linalg.inv(square)
    ys, xs = np.mgrid[:size, :size]
    u, v = (xs + 0.5) / size, 1 - (ys + 0.5) / size
    mu, mv = (mirror[i, 0] * u + mirror[i, 1] * v + mirror[i, 2] for i in (0, 1))
    where = np.stack([mu * size - 0.5, (1 - mv) * size - 0.5], axis=2).astype(np.float32)
    in_chart = np.isin(texels.face.numpy(), model.chart_faces)
    where[~in_chart] = -10
    return where


def bake_texture(model: FaceModel, albedo: Tensor, texture_photos: Sequence[TexturePhoto], size: int = 1024) -> Texture:
    """Bake the texture of one face.

    Args:
        model: gives the atlas.
        albedo: (V, 3) refined albedo, linear.
        texture_photos: one for each photo, whose weights sum to 1 at most; 255 of them at most.
        size: side T of the texture in px.
    """
    atlas = _atlas(model, size)
    base = atlas.weights @ albedo.numpy()
    details = [_detail(atlas, texture_photo, base) for texture_photo in texture_photos]
    detail = np.sum([color * weight for color, weight in details], axis=0)
    weights = np.stack([weight[:, 0] for _, weight in details])

    def image(texel_values: NDArray[np.float32]) -> NDArray[np.float32]:
        full = np.zeros((size * size, texel_values.shape[1]), np.float32)
        full[atlas.rows] = texel_values
        return full.reshape(size, size, -1)

    detail_image = image(detail)
    confidence_image = np.ascontiguousarray(image(weights.sum(0)[:, None])[..., 0])
    mirrored, mirrored_confidence = (
        _remapped(x, atlas.mirror_map, cv2.BORDER_CONSTANT) for x in (detail_image, confidence_image)
    )
    hidden = (1 - confidence_image)[..., None].clip(0)
    linear = torch.from_numpy(image(base) + detail_image + hidden * mirrored)
    rgb = srgb_from_linear(linear.clamp(0, 1)).numpy()
    none, seen, flipped, inferred = range(len(TEXEL_SOURCES))
    source = np.where(confidence_image > 0.5, seen, np.where(mirrored_confidence > 0.5, flipped, inferred))
    source = np.where(atlas.filled, source, none).astype(np.uint8)
    best = image((weights.argmax(0) + np.float32(1))[:, None])[..., 0]
    there = cv2.remap(best, *_planes(atlas.mirror_map), cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    photo = np.select([source == seen, source == flipped], [best, there], 0).astype(np.uint8)
    padded = rgb.reshape(-1, 3)[atlas.padding].reshape(rgb.shape)
    return Texture(padded, source, photo, confidence_image)


def _detail(
    atlas: _Atlas, texture_photo: TexturePhoto, base: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, 3) what one photo adds to the vertices' own albedo `base` (N, 3), and (N, 1) how far it counts."""
    stacked = torch.cat([texture_photo.screen[:, :2], texture_photo.shading, texture_photo.weight[:, None]], dim=1)
    xy, shading, weight = np.split(atlas.weights @ stacked.numpy(), [2, 5], axis=1)
    observed = linear_from_srgb(_sample_photo(texture_photo.photo, xy)).numpy()
    return observed / np.maximum(shading, MINIMUM_SHADING) - base, weight


def _sample_photo(photo: NDArray[np.float32], xy: NDArray[np.float32]) -> Tensor:
    """(N, 3) bilinear colours at photo px; a photo much finer than the texels is averaged down first."""
    whole, low = part_around(photo, np.ascontiguousarray(xy.T).T, 2)
    spacing = np.sqrt(whole.shape[0] * whole.shape[1] / len(xy))
    part = shrunk(whole, 1 / spacing) if spacing > 1.5 else whole
    ratio = np.array(part.shape[1::-1]) / whole.shape[1::-1]
    where = ((xy - low) * ratio - 0.5).astype(np.float32)
    rows = 16384
    height = -(-len(where) // rows)
    padded = np.zeros((height * rows, 2), np.float32)
    padded[: len(where)] = where
    sampled = _remapped(part, padded.reshape(height, rows, 2), cv2.BORDER_REPLICATE)
    return torch.from_numpy(sampled.reshape(-1, 3)[: len(where)])


def _remapped(image: NDArray[np.float32], where: NDArray[np.float32], border: int) -> NDArray[np.float32]:
    """Bilinear samples of an image at OpenCV px (centres at whole numbers) `where` (H, W, 2)."""
    return np.asarray(cv2.remap(image, *_planes(where), cv2.INTER_LINEAR, borderMode=border), np.float32)


def _planes(where: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The x and the y of `where` (H, W, 2), each contiguous."""
    return np.ascontiguousarray(where[..., 0]), np.ascontiguousarray(where[..., 1])
