"""NAME_overlay.png: photo | coarse | refined | refined turned to one side | and to the other."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from coarse.morphable import VIEW_FROM_CAM
from gcnface.io.images import save_picture
from gcnface.result.editing import drawn_shading
from gcnface.result.files.content import Content
from gcnface.result.reconstruction import Reconstruction
from gcnface.result.rendering import BACKGROUND, TextureRenderer
from render.camera import Camera
from render.color import linear_from_srgb
from render.rotation import rotation_from_axis_angle

TURN_RAD = math.radians(30)
PANEL_HEIGHT_PX = (256, 400)
"""Smallest and largest height of a panel: small photos are enlarged, large ones reduced."""

_MARGIN = 0.12
_GAP_PX = 4


@dataclass(frozen=True)
class Panel:
    """What part of the photo every picture of the row shows.

    Attributes:
        box: left, top, right, bottom in photo px.
        hw: size of one picture.
    """

    box: tuple[float, float, float, float]
    hw: tuple[int, int]

    @property
    def panel_from_photo(self) -> Tensor:
        """(3, 3) from photo px to the picture's px."""
        left, top, right, bottom = self.box
        sx, sy = self.hw[1] / (right - left), self.hw[0] / (bottom - top)
        return torch.tensor([[sx, 0, -left * sx], [0, sy, -top * sy], [0, 0, 1]], dtype=torch.float32)


def write_overlay(content: Content, path: Path) -> None:
    """Write `overlay_image` as a PNG."""
    image = overlay_image(content.known_face)
    save_picture(Image.fromarray(np.rint(image * 255).astype(np.uint8)), path, "PNG", compress_level=3)


@torch.no_grad()
def overlay_image(reconstruction: Reconstruction) -> np.ndarray:
    """(H, W, 3) sRGB in [0, 1], the five pictures in a row.

    Coarse and refined are drawn over the photo under its own light. The turned heads keep the shading they have in the
    photo, as if the camera had walked around.

    Raises:
        ValueError: the record has no photo.
    """
    if reconstruction.photo is None:
        raise ValueError(
            "the overlay needs the photo, which a loaded .npz does not hold: "
            "use dataclasses.replace(reconstruction, photo=gcnface.read_photo(path))"
        )
    panel = choose_panel(reconstruction)
    photo = _photo_crop(reconstruction.photo, panel)
    verts = torch.from_numpy(reconstruction.vertices_cam)[None]
    camera = Camera(torch.from_numpy(reconstruction.px_from_cam)[None], panel.hw)
    in_place = camera.transformed(panel.panel_from_photo, panel.hw)
    renderer, shading = TextureRenderer(reconstruction.mesh), torch.from_numpy(drawn_shading(reconstruction))
    coarse = {"coarse": linear_from_srgb(torch.from_numpy(reconstruction.vertex_rgb_coarse))}
    head = renderer.render(verts[0], in_place, shading, coarse)
    pictures = [photo, replace(head, rgb=head.extras["coarse"]).over(photo), head.over(photo)]
    for angle_rad in (TURN_RAD, -TURN_RAD):
        rotated = _turn(verts, torch.from_numpy(reconstruction.rotation), angle_rad)
        centered = in_place.transformed(_centring(in_place, rotated, panel.hw), panel.hw)
        pictures.append(renderer.render(rotated[0], centered, shading).over(BACKGROUND))
    gap = np.ones((panel.hw[0], _GAP_PX, 3), np.float32)
    row = [part for picture in pictures for part in (picture, gap)][:-1]
    return np.concatenate(row, axis=1).clip(0, 1)


def choose_panel(reconstruction: Reconstruction) -> Panel:
    """The head with a margin, within the photo, at a height between the two of `PANEL_HEIGHT_PX`."""
    assert reconstruction.photo is not None
    height, width = reconstruction.photo.shape[:2]
    screen = reconstruction.vertices_cam @ reconstruction.px_from_cam.T
    xy = screen[:, :2] / screen[:, 2:]
    low, high = xy.min(0), xy.max(0)
    margin = _MARGIN * float((high - low).max())
    left, top = (max(0.0, math.floor(edge - margin)) for edge in low)
    right, bottom = (min(side, math.ceil(edge + margin)) for edge, side in zip(high, (width, height), strict=True))
    if right - left < 1 or bottom - top < 1:
        left, top, right, bottom = 0, 0, width, height
    panel_height = min(max(round(bottom - top), PANEL_HEIGHT_PX[0]), PANEL_HEIGHT_PX[1])
    panel_width = max(1, round(panel_height * (right - left) / (bottom - top)))
    return Panel((left, top, right, bottom), (panel_height, panel_width))


def _photo_crop(photo: np.ndarray, panel: Panel) -> np.ndarray:
    """(h, w, 3) the panel's part of the photo, averaged down or interpolated up."""
    left, top, right, bottom = (int(edge) for edge in panel.box)
    part = Image.fromarray(cv2.convertScaleAbs(photo[top:bottom, left:right], alpha=255))
    resized = part.resize((panel.hw[1], panel.hw[0]), Image.Resampling.LANCZOS)
    return np.asarray(resized, dtype=np.float32) / 255


def _turn(verts: Tensor, rotation: Tensor, angle_rad: float) -> Tensor:
    """The head turned about the vertical axis through its middle; a positive angle turns it to the viewer's right."""
    up = (rotation_from_axis_angle(rotation[None])[0, :, 1] * torch.tensor(VIEW_FROM_CAM))[None]
    middle = (verts.amin(1, keepdim=True) + verts.amax(1, keepdim=True)) / 2
    turn = rotation_from_axis_angle(up * angle_rad)
    return (verts - middle) @ turn.mT + middle


def _centring(camera: Camera, verts: Tensor, hw: tuple[int, int]) -> Tensor:
    """(3, 3) shift, and reduction where need be, that brings the whole head into the picture's middle."""
    xy = camera.project(verts)[0, :, :2]
    low, high = xy.amin(0), xy.amax(0)
    size = torch.tensor([hw[1], hw[0]], dtype=torch.float32)
    scale = min(1.0, float((size / (high - low) / (1 + _MARGIN)).min()))
    shift = size / 2 - scale * (low + high) / 2
    return torch.tensor([[scale, 0, float(shift[0])], [0, scale, float(shift[1])], [0, 0, 1]])
