"""Painted heads drawn into the frame of the aligned crop; one rasterisation serves every method."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from coarse.face_model import FaceModel
from coarse.morphable import crop_camera
from coarse.records import CoarseFace
from gcnface.evaluation.records import FittedPhoto, MethodResult, RenderedHead
from gcnface.photo.crop import CROP_SIDE_PX, warp_image
from render.color import linear_from_srgb, srgb_from_linear
from render.rasterize import rasterize
from render.sampling import sample_image

_OVERSAMPLING = 2
"""Drawn finer and averaged down, as the photo is: a texture has several texels to a pixel of the crop."""


_TEXELS = 1.2
"""Largest side of a texture that is drawn, in sides of the finer picture: what is larger is averaged down first."""


@dataclass(frozen=True)
class RasterizedHead:
    """A posed mesh rasterised once, in a picture finer than the drawing; N of its pixels show the head.

    Attributes:
        pixel: (N,) place of each of these pixels in the finer picture, row by row.
        weights: (N, V) takes values at the vertices to these pixels.
        uv: (N, 2) texture coordinates at these pixels.
        share: (S, S) how much of each pixel of the drawing the head covers.
        rotated: the head is not in the pose of its photo.
    """

    pixel: NDArray[np.int64]
    weights: csr_matrix
    uv: Tensor
    share: NDArray[np.float32]
    rotated: bool = False

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(S, S): the drawing's pixels that the head covers by half or more."""
        return self.share >= 0.5


class HeadRenderer:
    """Draws the heads of one face model through the crop's camera.

    The frame is that of the aligned crop: every face has the same size in it, so that metrics of a large photo and of
    a small one may be averaged, and it is the resolution of the published ones.

    Args:
        model: gives faces and atlas.
        side_px: of the drawings.
    """

    def __init__(self, model: FaceModel, side_px: int = CROP_SIDE_PX) -> None:
        self.side_px = side_px
        self._fine_px = side_px * _OVERSAMPLING
        self._faces = torch.from_numpy(model.faces.astype(np.int64))
        self._uv = torch.from_numpy(np.asarray(model.uv, np.float32))
        self._uv_faces = torch.from_numpy(model.uv_faces.astype(np.int64))

    @torch.no_grad()
    def frame(self, face: CoarseFace, yaw_deg: float = 0.0) -> RasterizedHead:
        """Rasterise a posed face.

        Args:
            face: of one photo, at the finest level.
            yaw_deg: turn of the head about the camera's vertical through the model's origin; positive turns the nose
                to the viewer's right.
        """
        verts = rotated(face.verts_cam.cpu(), face.coefficients.translation.cpu(), yaw_deg)
        fragments = rasterize(verts, self._faces, crop_camera(1, self._fine_px))
        face_at = fragments.pix_to_face.flatten()
        pixel = (face_at >= 0).nonzero()[:, 0]
        face_row, bary = face_at[pixel], fragments.bary.reshape(-1, 3)[pixel]
        uv = (self._uv[self._uv_faces[face_row]] * bary[..., None]).sum(1)
        ends = np.arange(0, 3 * len(pixel) + 1, 3)
        corners = self._faces[face_row].flatten().numpy()
        weights = csr_matrix((bary.flatten().numpy(), corners, ends), shape=(len(pixel), verts.shape[1]))
        share = self._averaged(pixel.numpy(), np.ones((len(pixel), 1)))[..., 0]
        return RasterizedHead(pixel.numpy(), weights, uv, share, yaw_deg != 0)

    @torch.no_grad()
    def shade(self, frame: RasterizedHead, result: MethodResult) -> RenderedHead:
        """Draw a method's answer into a frame."""
        light = result.light if frame.rotated and result.light is not None else result.shading
        if result.texture is None:
            lit = torch.from_numpy(frame.weights @ (result.albedo * light).numpy())
        else:
            shading = torch.from_numpy(frame.weights @ light.numpy())
            lit = linear_from_srgb(self._texture(result.texture, frame.uv)) * shading
        colors = self._averaged(frame.pixel, srgb_from_linear(lit.clamp(0, 1)).numpy())
        mask = frame.mask
        picture = np.where(mask[..., None], colors / np.maximum(frame.share, 0.5)[..., None], 0)
        return RenderedHead(picture.clip(0, 1).astype(np.float32), mask)

    def render(self, fitted: FittedPhoto, result: MethodResult, yaw_deg: float = 0.0) -> RenderedHead:
        """`frame` and `shade` in one, for a single method."""
        return self.shade(self.frame(fitted.view.coarse, yaw_deg), result)

    def photo(self, fitted: FittedPhoto) -> NDArray[np.float32]:
        """(S, S, 3) sRGB: the photo in the frame of the drawings; outside the photo its border pixels repeat."""
        return warp_image(fitted.view.photo, self.drawing_from_photo(fitted), (self.side_px, self.side_px))

    def drawing_from_photo(self, fitted: FittedPhoto) -> NDArray[np.float64]:
        """(3, 3): pixels of the photo to pixels of the drawings."""
        return np.diag([self.side_px / CROP_SIDE_PX] * 2 + [1.0]) @ fitted.view.crop.crop_from_photo

    def _texture(self, texture: NDArray[np.float32], uv: Tensor) -> Tensor:
        """(N, 3) colours of a texture at `uv` (N, 2)."""
        while len(texture) > _TEXELS * self._fine_px:
            half = len(texture) // 2
            texture = np.asarray(cv2.resize(texture, (half, half), interpolation=cv2.INTER_AREA), np.float32)
        image = torch.from_numpy(np.ascontiguousarray(texture.transpose(2, 0, 1), np.float32))[None]
        xy = torch.stack([uv[:, 0], 1 - uv[:, 1]], dim=1) * len(texture)
        return sample_image(image, xy[None])[0]

    def _averaged(self, pixel: NDArray[np.int64], values: NDArray) -> NDArray[np.float32]:
        """(S, S, C) means over blocks of the finer picture, which has values (N, C) at some pixels and 0 elsewhere."""
        fine = np.zeros((self._fine_px**2, values.shape[1]), np.float32)
        fine[pixel] = values
        blocks = fine.reshape(self.side_px, _OVERSAMPLING, self.side_px, _OVERSAMPLING, -1)
        return blocks.mean((1, 3), dtype=np.float32)


def all_turns(turns_deg: Iterable[float]) -> list[float]:
    """Signed turns, each to both sides, 0 once."""
    return [sign * turn for turn in turns_deg for sign in ((1.0,) if turn == 0 else (-1.0, 1.0))]


def rotated(points_cam: Tensor, origin_cam: Tensor, yaw_deg: float) -> Tensor:
    """Points (B, N, 3) in camera space after the head has turned about the vertical through `origin_cam` (B, 3).

    A positive yaw turns the nose to the viewer's right.
    """
    angle = np.radians(yaw_deg)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    turn = points_cam.new_tensor([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    origin = origin_cam[:, None]
    return (points_cam - origin) @ turn.T + origin
