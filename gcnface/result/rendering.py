"""The textured head into a picture: texture sampled at every pixel, shading interpolated, several samples a pixel."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from coarse.morphable import cam_from_model
from gcnface.io.atomic import staged
from gcnface.io.images import save_picture
from gcnface.names import LARGEST_PX, PICTURE_SUFFIXES, VIEWS
from gcnface.result.editing import drawn_shading
from gcnface.result.mesh import TexturedMesh
from gcnface.system.isolation import plain_torch
from render.camera import Camera, perspective_camera
from render.color import linear_from_srgb, srgb_from_linear
from render.fragments import Fragments
from render.interpolate import interpolate
from render.rasterize import rasterize
from render.sampling import sample_image

if TYPE_CHECKING:
    from gcnface.result.reconstruction import Reconstruction

PORTRAIT_DISTANCE_MM = 1300.0
"""From the camera to the middle of the head: as for a portrait; nearer ones make noses large."""

BACKGROUND = (0.93, 0.925, 0.915)
"""Behind heads in pictures that cannot be transparent, sRGB."""

_SUPERSAMPLE = 2
_MARGIN = 0.03
_INSIDE = 0.35
"""Of the light that reaches the inside of the surface, which shows through the opening of the neck."""
_TEXELS_A_SAMPLE = 1.5
"""Where a sample steps over more texels, the texture is averaged down first."""


@dataclass(frozen=True)
class RenderedImage:
    """A drawn head, without a background.

    Attributes:
        rgb: (H, W, 3) float32 sRGB in [0, 1]; meaningless where `alpha` is 0.
        alpha: (H, W) float32, the share of the pixel that the head covers.
        extras: (H, W, 3) float32 by name: other vertex colours drawn in its place, sRGB.
    """

    rgb: NDArray[np.float32]
    alpha: NDArray[np.float32]
    extras: Mapping[str, NDArray[np.float32]]

    def over(self, background: NDArray[np.float32] | tuple[float, float, float]) -> NDArray[np.float32]:
        """(H, W, 3): the head before a colour, or before a picture (H, W, 3), sRGB in [0, 1]."""
        behind = np.broadcast_to(np.asarray(background, np.float32), self.rgb.shape)
        return self.alpha[..., None] * self.rgb + (1 - self.alpha[..., None]) * behind

    @property
    def rgba(self) -> NDArray[np.float32]:
        """(H, W, 4) sRGB and alpha, not premultiplied."""
        return np.concatenate([self.rgb * (self.alpha[..., None] > 0), self.alpha[..., None]], -1)

    def save(
        self, path: str | Path, background: NDArray[np.float32] | tuple[float, float, float] | None = None
    ) -> Path:
        """Write the picture; the suffix names the format, .png, .webp or .jpg.

        Args:
            path: of the picture, which appears whole or not at all.
            background: a colour, or a picture (H, W, 3), sRGB in [0, 1]; None is transparent, in a JPEG `BACKGROUND`.

        Returns:
            The path written.

        Raises:
            ValueError: another suffix.
            OutputError: the folder cannot be written to.
        """
        path = Path(path)
        if path.suffix.lower() not in PICTURE_SUFFIXES:
            what = f"a picture cannot be saved as {path.suffix or 'a file without suffix'}"
            raise ValueError(f"{path}: {what}; use {', '.join(PICTURE_SUFFIXES)}")
        if background is None and path.suffix.lower() in (".jpg", ".jpeg"):
            background = BACKGROUND
        pixels = self.rgba if background is None else self.over(background)
        picture = Image.fromarray(np.rint(pixels.clip(0, 1) * 255).astype(np.uint8))
        with staged(path.parent) as stage:
            save_picture(picture, stage / path.name, quality=95)
        return path


class TextureRenderer:
    """Draws one mesh in its texture, from wherever.

    Args:
        mesh: gives triangles, uv and texture; its vertices are given anew with each drawing.
    """

    @plain_torch()
    def __init__(self, mesh: TexturedMesh) -> None:
        uv = torch.from_numpy(mesh.uv)[mesh.split.uv]
        self._xy_px = torch.stack([uv[:, 0], 1 - uv[:, 1]], 1) * len(mesh.texture)
        self._vertex = torch.from_numpy(mesh.split.vertex).long()
        self._faces = torch.from_numpy(mesh.split.faces.astype(np.int64))
        texture = linear_from_srgb(torch.from_numpy(mesh.texture)).permute(2, 0, 1)[None]
        self._textures = [texture]
        while self._textures[-1].shape[-1] >= 128:
            self._textures.append(avg_pool2d(self._textures[-1], 2))

    @plain_torch()
    @torch.no_grad()
    def render(
        self, verts_cam: Tensor, camera: Camera, shading: Tensor, extras: Mapping[str, Tensor] | None = None
    ) -> RenderedImage:
        """Draw the mesh; albedo times shading in linear light, then sRGB.

        Args:
            verts_cam: (V, 3) mm, camera space.
            camera: its `hw` is the size of the picture.
            shading: (V, 3) linear.
            extras: other vertex colours (V, 3), linear, by name, drawn as they are.
        """
        extras = extras or {}
        hw = (camera.hw[0] * _SUPERSAMPLE, camera.hw[1] * _SUPERSAMPLE)
        fine = camera.transformed(torch.diag(torch.tensor([_SUPERSAMPLE, _SUPERSAMPLE, 1.0])), hw)
        verts = verts_cam[None, self._vertex]
        fragments = rasterize(verts, self._faces, fine)
        values = torch.cat([self._xy_px, *(part[self._vertex] for part in (shading, *extras.values()))], 1)
        drawn = interpolate(values, self._faces, fragments)
        xy_px, shaded, *others = drawn.split([2] + [3] * (1 + len(extras)), -1)
        light = shaded * self._from_inside(fine.project(verts)[0], fragments)
        colors = [self._albedo(xy_px, fragments.mask) * light, *others, fragments.mask[..., None].to(light)]
        mean = avg_pool2d(torch.cat(colors, -1).permute(0, 3, 1, 2), _SUPERSAMPLE)[0].permute(1, 2, 0)
        cover = mean[..., -1:]
        full = mean[..., :-1] / cover.clamp(min=1 / _SUPERSAMPLE**2)
        rgb, *rest = srgb_from_linear(full.clamp(0, 1)).split([3] * (1 + len(extras)), -1)
        named = {name: part.numpy() for name, part in zip(extras, rest, strict=True)}
        return RenderedImage(rgb.numpy(), cover[..., 0].numpy(), named)

    def _albedo(self, xy_px: Tensor, mask: Tensor) -> Tensor:
        """(1, H, W, 3) linear, bilinear in the texture whose texels are about as large as the samples."""
        steps = (xy_px[:, :, 1:] - xy_px[:, :, :-1]).norm(dim=-1)[mask[:, :, 1:] & mask[:, :, :-1]]
        step = float(steps.median()) if len(steps) else 1.0
        level = min(max(round(math.log2(max(step, 1e-6) / _TEXELS_A_SAMPLE) + 0.5), 0), len(self._textures) - 1)
        texture = self._textures[level]
        points = xy_px.reshape(1, -1, 2) * (texture.shape[-1] / self._textures[0].shape[-1])
        return sample_image(texture, points).view(*xy_px.shape[:3], 3)

    def _from_inside(self, screen: Tensor, fragments: Fragments) -> Tensor:
        """(1, H, W, 1): 1 where the outside of the surface is seen, `_INSIDE` where its inside is."""
        a, b, c = screen[:, :2][self._faces].unbind(1)
        one, two = b - a, c - a
        outside = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0] < 0  # y runs down
        seen = outside[fragments.pix_to_face.clamp(min=0)] | ~fragments.mask
        return torch.where(seen, 1.0, _INSIDE)[..., None]


@plain_torch()
def draw(face: Reconstruction, size: int | tuple[int, int] = 1024, view: str = "portrait") -> RenderedImage:
    """Draw a face in its pose, expression and light, by its texture and `gcnface.result.editing.drawn_shading`.

    Args:
        face: what to draw.
        size: height and width in px; one number is the side of a square, or with the view "photo" the longer side.
        view: one of `VIEWS`. "portrait" needs nothing but the mesh; "photo" needs the photo's size.

    Raises:
        ValueError: an unknown view, a size out of 16 to `LARGEST_PX`, or "photo" for a face whose photo's size is not
            known.
    """
    if view not in VIEWS:
        raise ValueError(f"view is {view!r}; expected one of {', '.join(VIEWS)}")
    viewpoint = portrait(face, _checked(size)) if view == "portrait" else as_photographed(face, size)
    shading = torch.from_numpy(drawn_shading(face))
    return TextureRenderer(face.mesh).render(viewpoint.verts_cam, viewpoint.camera, shading)


@dataclass(frozen=True)
class Viewpoint:
    """A head before a camera.

    Attributes:
        verts_cam: (V, 3) mm.
        camera: with the size of the picture.
    """

    verts_cam: Tensor
    camera: Camera


@plain_torch()
def portrait(face: Reconstruction, hw: tuple[int, int]) -> Viewpoint:
    """The whole head in the middle of the picture, whichever way it is turned; turning never changes its size."""
    low, high = face.mesh.vertices.min(0), face.mesh.vertices.max(0)
    middle = (low + high) / 2
    radius = float(np.linalg.norm(face.mesh.vertices - middle, axis=1).max()) * (1 + _MARGIN)
    focal_px = min(hw) / 2 / math.tan(math.asin(min(radius / PORTRAIT_DISTANCE_MM, 0.9)))
    camera = perspective_camera(focal_px, (hw[1] / 2, hw[0] / 2), hw)
    turn = cam_from_model(torch.from_numpy(face.rotation)[None])[0].numpy()
    verts = (face.mesh.vertices - middle) @ turn.T + np.array([0, 0, PORTRAIT_DISTANCE_MM], np.float32)
    return Viewpoint(torch.from_numpy(verts.astype(np.float32)), camera)


@plain_torch()
def as_photographed(face: Reconstruction, size: int | tuple[int, int]) -> Viewpoint:
    """The head where it stands in the photo, the whole photo scaled to a longer side or to a height and width."""
    height, width = photo_hw(face)
    if isinstance(size, int):
        scale = size / max(height, width)
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
    hw = _checked(size)
    scaled = torch.diag(torch.tensor([hw[1] / width, hw[0] / height, 1.0]))
    camera = Camera(torch.from_numpy(face.px_from_cam)[None], (height, width)).transformed(scaled, hw)
    return Viewpoint(torch.from_numpy(face.vertices_cam), camera)


def photo_hw(face: Reconstruction) -> tuple[int, int]:
    """Height and width of the photo in px.

    Raises:
        ValueError: the record does not tell.
    """
    if face.photo_hw is None:
        raise ValueError('the size of this face\'s photo is not known; draw it with view="portrait"')
    return face.photo_hw


def _checked(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width within bounds."""
    hw = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    if not (min(hw) >= 16 and max(hw) <= LARGEST_PX):
        raise ValueError(f"size is {hw[1]} x {hw[0]} px; expected 16 to {LARGEST_PX} a side")
    return hw


def turntable_angles(count: int) -> list[float]:
    """`count` angles in degrees from 0 to 360, both among them: the last picture is the first again.

    Raises:
        ValueError: fewer than 2.
    """
    if count < 2:
        raise ValueError(f"count is {count}; a turn needs at least 2 frames")
    return np.linspace(0.0, 360.0, count).tolist()


def turntable(
    face: Reconstruction,
    count: int = 120,
    size: int | tuple[int, int] = 512,
    *,
    light_follows: bool = False,
    on_frame: Callable[[int], None] | None = None,
) -> Iterator[RenderedImage]:
    """Draw a full turn about the head's vertical axis, from the pose it has, to the viewer's right first.

    Args:
        face: what turns.
        count: of drawings; the last shows what the first does.
        size: as in `draw`.
        light_follows: the light turns with the head, as if the camera walked around; else the head turns in its light.
        on_frame: called with 1, 2, ... as each drawing begins.

    Example:
        >>> import gcnface
        >>> face = gcnface.reconstruct("examples/portrait.jpg", texture_size=512)
        >>> [picture.rgba.shape for picture in gcnface.turntable(face, count=3, size=64)]
        [(64, 64, 4), (64, 64, 4), (64, 64, 4)]
    """
    hw = (size, size) if isinstance(size, int) else size
    renderer = TextureRenderer(face.mesh)
    for number, angle in enumerate(turntable_angles(count), 1):
        if on_frame is not None:
            on_frame(number)
        rotated = face.rotated(yaw=angle % 360.0, light_follows=light_follows)
        viewpoint = portrait(rotated, hw)
        yield renderer.render(viewpoint.verts_cam, viewpoint.camera, torch.from_numpy(drawn_shading(rotated)))
