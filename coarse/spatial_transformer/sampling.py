"""Sampler, visibility, masking and landmark selection."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from render.camera import pixel_camera
from render.sampling import sample_image
from render.shapes import check_shape
from render.visibility import DEFAULT_TOLERANCE, depth_buffer, point_visibility

LANDMARKS21_FROM_468 = (
    70, 105, 107, 336, 334, 300, 33, 159, 133, 362, 386, 263, 234, 129, 4, 358, 454, 61, 13, 291, 152,
)  # fmt: skip
"""The 21 AFLW points of the paper among the 468: brows (6) and eyes (6) from image-left to image-right, ear, nose wing,
nose tip, nose wing, ear, mouth corner, mouth, mouth corner, chin. The upper lid stands for the pupil, which the
468-point mesh lacks, its rim for the ear."""

POINT_SELECTIONS: dict[str, tuple[int, ...]] = {"468": tuple(range(468)), "21": LANDMARKS21_FROM_468}

DEPTH_OFFSET_MM = 1000.0
"""Puts the head before the camera for the depth buffer; an orthographic picture does not depend on it."""


class BilinearSampler(nn.Module):
    """Colours of an image at the points of a grid (Jaderberg et al. 2015); outside the image its border repeats.

    Shapes:
        image (B, C, H, W), grid_px (B, S, S, 2) -> (B, C, S, S).
    """

    def forward(self, image: Tensor, grid_px: Tensor) -> Tensor:
        """Sampled colours, differentiable in image and grid."""
        size = check_shape("grid_px", grid_px, "B h w 2")
        colors = sample_image(image, grid_px.flatten(1, 2))
        return colors.mT.reshape(size["B"], -1, size["h"], size["w"])


class NormalVisibility(nn.Module):
    """Grid points whose surface is turned to the camera, the paper's test: normal_z >= 0.

    The normal's z is the signed area that the two directions of the grid span on the screen. No gradient flows.

    Shapes:
        rotated points (B, S * S, 3), viewing axes -> (B, S, S) bool.
    """

    @torch.no_grad()
    def forward(self, rotated: Tensor, side: int) -> Tensor:
        """Visibility of the grid's points."""
        plane = rotated[..., :2].view(len(rotated), side, side, 2)
        up, right = torch.gradient(plane, dim=(1, 2))
        return right[..., 0] * -up[..., 1] - right[..., 1] * -up[..., 0] >= 0


class DepthVisibility(nn.Module):
    """Grid points that lie behind nothing: a depth buffer of a mesh, where normals alone miss the nose's shadow.

    Args:
        faces: (F, 3) of the occluding mesh.
        buffer_px: side of the square depth buffer.

    Shapes:
        points and occluder (B, N, 3), (B, V, 3): x_px, y_px of the crop, depth_mm away from the camera -> (B, N) bool.
    """

    faces: Tensor

    def __init__(self, faces: Tensor, buffer_px: int = 112) -> None:
        super().__init__()
        check_shape("faces", faces, "F 3")
        self.buffer_px = buffer_px
        self.register_buffer("faces", faces, persistent=False)

    @torch.no_grad()
    def forward(self, points: Tensor, occluder: Tensor) -> Tensor:
        """Visibility of the points; the buffer is laid over what the occluder covers, not over the crop."""
        low, high = occluder.amin(1, keepdim=True), occluder.amax(1, keepdim=True)
        reach = (high - low)[..., :2].amax(2, keepdim=True) * (1 + 4 / self.buffer_px)
        corner = torch.cat([(low + high)[..., :2] / 2 - reach / 2, low[..., 2:] - DEPTH_OFFSET_MM], 2)
        scale = torch.cat([(self.buffer_px / reach).expand(-1, -1, 2), torch.ones_like(reach)], 2)
        hw = (self.buffer_px, self.buffer_px)
        depth = depth_buffer((occluder - corner) * scale, self.faces, pixel_camera(hw))
        tolerance = (high - low)[:, 0, 2] * DEFAULT_TOLERANCE
        return point_visibility((points - corner) * scale, depth, hw, tolerance_mm=tolerance)


class Masking(nn.Module):
    """The texture where it is visible, 0 elsewhere: (B, C, S, S) times (B, S, S); no gradient flows to the mask."""

    def forward(self, texture: Tensor, mask: Tensor) -> Tensor:
        """Masked texture."""
        size = check_shape("texture", texture, "B C h w")
        check_shape("mask", mask, "B h w", B=size["B"], h=size["h"], w=size["w"])
        return texture * mask[:, None].detach().to(texture)


class LandmarkSelection(nn.Module):
    """Some of the points: (B, N, D) -> (B, len(index), D)."""

    index: Tensor

    def __init__(self, index: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("index", torch.tensor(index), persistent=False)

    def forward(self, points: Tensor) -> Tensor:
        """The selected points."""
        return points.index_select(1, self.index)


def grid_faces(side: int) -> Tensor:
    """(2 (S - 1)^2, 3) triangles over the grid's points, counter-clockwise seen from outside."""
    index = torch.arange(side * side).view(side, side)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    return torch.stack([torch.stack([a, c, b], -1), torch.stack([b, c, d], -1)]).reshape(-1, 3)
