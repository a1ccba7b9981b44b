"""Pictures of textured surfaces whose colours are known: what the protocols with a truth show to the methods."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from coarse.face_model import FaceModel
from coarse.morphable import CROP_PX, crop_camera
from gcnface.evaluation.records import MethodResult
from render.camera import Camera
from render.color import linear_from_srgb, srgb_from_linear
from render.interpolate import interpolate
from render.rasterize import rasterize
from render.sampling import sample_image
from render.shapes import check_shape

SCENE_PX = 448
"""Side of a drawn picture in px."""
SCENE_ZOOM = 1.5
"""Drawn px to one of the crop: the face is then as large as in an ordinary portrait, with room around it."""

_FINER = 2
"""Samples that a pixel is the mean of, along each side."""
_CORNER = 0.15
"""Share of a photo's shorter side whose upper corner becomes the background: it rarely shows a second face."""
_BACKGROUND_BLUR_PX = 6.0


@dataclass(frozen=True)
class Surface:
    """A mesh with a texture; where its vertices are is told when it is drawn.

    Attributes:
        faces: (F, 3) int64.
        uv: (N, 2) in [0, 1], v up.
        uv_faces: (F, 3) int64, in step with `faces`.
        texture: (1, 3, T, T') linear albedo, row 0 is v = 1.
    """

    faces: Tensor
    uv: Tensor
    uv_faces: Tensor
    texture: Tensor

    def __post_init__(self) -> None:
        count = check_shape("faces", self.faces, "F 3")["F"]
        check_shape("uv", self.uv, "N 2")
        check_shape("uv_faces", self.uv_faces, "F 3", F=count)
        check_shape("texture", self.texture, "B C H W", B=1, C=3)

    def colors(self, uv: Tensor) -> Tensor:
        """(N, 3) linear albedo at texture coordinates (N, 2)."""
        hw = self.texture.shape[2:]
        xy_px = torch.stack([uv[:, 0] * hw[1], (1 - uv[:, 1]) * hw[0]], dim=1)
        return sample_image(self.texture, xy_px[None])[0]


def face_region(model: FaceModel) -> Tensor:
    """(V,) bool: the vertices at which colors are compared, without ears, neck, scalp and eyeballs."""
    return torch.from_numpy(model.region_mask("face", "eyes_nose_mouth"))


def surface_of(model: FaceModel, texture_srgb: NDArray[np.float32]) -> Surface:
    """The face model's mesh with a texture (T, T, 3), sRGB."""
    picture = torch.from_numpy(np.ascontiguousarray(texture_srgb, np.float32)).permute(2, 0, 1)[None]
    return Surface(
        torch.from_numpy(model.faces.astype(np.int64)),
        torch.from_numpy(np.asarray(model.uv, np.float32)),
        torch.from_numpy(model.uv_faces.astype(np.int64)),
        linear_from_srgb(picture),
    )


def vertex_albedo(model: FaceModel, result: MethodResult) -> Tensor:
    """(V, 3) linear albedo that a method shows at the vertices: of its texture where it has one."""
    if result.texture is None:
        return result.albedo
    surface = surface_of(model, result.texture)
    corner = torch.zeros(len(model.mean), dtype=torch.int64)
    corner[surface.faces.flatten()] = surface.uv_faces.flatten()
    return surface.colors(surface.uv[corner])


def scene_camera(points_cam: Tensor) -> Camera:
    """The crop's camera before a larger picture, shifted so that points (N, 3) lie around its middle.

    Args:
        points_cam: what should be in the middle, mm, camera space: the vertices of the face.
    """
    plain = crop_camera(1, CROP_PX).project(points_cam[None])[0, :, :2]
    middle = (plain.amin(0) + plain.amax(0)) / 2
    zoomed = torch.diag(torch.tensor([SCENE_ZOOM, SCENE_ZOOM, 1.0]))
    zoomed[:2, 2] = SCENE_PX / 2 - SCENE_ZOOM * middle
    return crop_camera(1, CROP_PX).transformed(zoomed, (SCENE_PX, SCENE_PX))


def backdrop(photo: NDArray[np.float32], side_px: int = SCENE_PX) -> NDArray[np.float32]:
    """(side, side, 3) sRGB: the photo's upper left corner, enlarged and blurred, to stand behind a drawn head.

    The photo itself would show the face a second time beside a head that is turned.
    """
    side = max(2, round(min(photo.shape[:2]) * _CORNER))
    enlarged = cv2.resize(photo[:side, :side], (side_px, side_px), interpolation=cv2.INTER_LINEAR)
    return np.clip(cv2.GaussianBlur(enlarged, (0, 0), _BACKGROUND_BLUR_PX), 0, 1)


@torch.no_grad()
def photograph(
    surface: Surface, verts_cam: Tensor, shading: Tensor, camera: Camera, behind: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Draw a lit surface into a picture.

    Args:
        surface: faces and texture.
        verts_cam: (V, 3) mm, camera space.
        shading: (V, 3) linear, what the albedo is multiplied by.
        camera: its `hw` is the size of the picture.
        behind: (H, W, 3) sRGB.

    Returns:
        (H, W, 3) float32 sRGB in [0, 1].
    """
    check_shape("shading", shading, "V 3", V=len(verts_cam))
    height, width = camera.hw
    hw = (height * _FINER, width * _FINER)
    finer = camera.transformed(torch.diag(torch.tensor([_FINER, _FINER, 1.0])), hw)
    fragments = rasterize(verts_cam[None], surface.faces, finer)
    uv = interpolate(surface.uv, surface.uv_faces, fragments)
    light = interpolate(shading, surface.faces, fragments)
    albedo = surface.colors(uv.reshape(-1, 2)).view_as(light)
    covered = fragments.mask[..., None].to(albedo)
    samples = torch.cat([albedo * light * covered, covered], dim=3).permute(0, 3, 1, 2)
    mean = avg_pool2d(samples, _FINER)[0].permute(1, 2, 0)
    linear = mean[..., :3] + (1 - mean[..., 3:]) * linear_from_srgb(torch.from_numpy(behind).float())
    return srgb_from_linear(linear.clamp(0, 1)).numpy()
