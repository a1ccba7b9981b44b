"""A photograph turned in depth: the picture becomes a sheet over the fitted head and is turned with it.

Face profiling of Zhu, Lei, Liu, Shi and Li, "Face alignment across large poses: a 3D solution", CVPR 2016: the head's
depth is known from the fit; beyond its outline the sheet falls back from the nearest point of the head.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, gaussian_filter, grey_opening
from torch import Tensor

from coarse.coefficients import Coefficients
from coarse.morphable import VIEW_FROM_CAM, MorphableModel, crop_camera
from gcnface.data.faces import CANVAS_MARGIN_PX
from render.camera import Camera
from render.interpolate import interpolate
from render.rasterize import rasterize
from render.sampling import sample_image
from render.visibility import depth_buffer

_STEP_PX, _OFFSET_PX = 2, 0.3
"""The sheet's grid; its lines avoid pixel centres, which on an edge would belong to no triangle."""
_FALL_MM_PER_PX = 0.6
_PIT_PX = (21, 21)
"""Pits smaller than this (an open mouth, the corner of an eye) are closed: the photo shows no sheet inside them."""

_DEEPEST_MM = 130.0
"""How far behind the model's origin the sheet ends."""


def photo_camera(side_px: int) -> Camera:
    """The camera that sees the canvas of an aligned photograph."""
    shift = torch.eye(3)
    shift[:2, 2] = CANVAS_MARGIN_PX
    return crop_camera().transformed(shift, (side_px, side_px))


def sheet(network: MorphableModel, fit: Coefficients, side_px: int) -> tuple[Tensor, Tensor, Tensor]:
    """A photograph's canvas as a surface in space.

    Args:
        network: the face model.
        fit: coefficients of the face in its photo (a batch of one).
        side_px: side of the canvas.

    Returns:
        Its points (1, N, 3) in camera space, mm; where in the canvas they lie (N, 2) px; faces (F, 3).
    """
    camera = photo_camera(side_px)
    verts_cam = network.in_camera(network.vertices(fit.identity, fit.expression), fit)
    depth = depth_buffer(verts_cam, network.faces, camera)[0].numpy()
    outside = ~np.isfinite(depth)
    depth = np.where(outside, depth, grey_opening(depth, _PIT_PX))
    distance, nearest = distance_transform_edt(outside, return_indices=True)
    filled = depth[tuple(nearest)] + _FALL_MM_PER_PX * distance
    filled = np.minimum(filled, float(fit.translation[0, 2]) + _DEEPEST_MM)
    filled = np.where(outside, gaussian_filter(filled, 3.0), depth)
    ticks = torch.arange(_OFFSET_PX, side_px, _STEP_PX)
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    xy = torch.stack([x.flatten(), y.flatten()], dim=1)
    z = sample_image(torch.from_numpy(filled)[None, None].float(), xy[None])[0]
    inverse = torch.linalg.inv(camera.px_from_cam[0])
    rays = torch.cat([xy, torch.ones(len(xy), 1)], dim=1) @ inverse.T
    return (rays * z)[None], xy, _grid_faces(len(ticks))


def rotated_photo(
    network: MorphableModel, fit: Coefficients, photo: Tensor, turn: Tensor, behind: Tensor, camera: Camera
) -> Tensor:
    """Turn a photograph about the head's origin.

    Args:
        network: the face model.
        fit: coefficients of the face in its photo (a batch of one).
        photo: (S, S, 3) sRGB canvas.
        turn: (1, 3, 3) rotation in viewing axes, put before the head's own.
        behind: (S, S, 3) what fills the places that nothing covers.
        camera: what sees the turned head.

    Returns:
        (S, S, 3) sRGB.
    """
    points, xy, faces = sheet(network, fit, photo.shape[0])
    axes = turn.new_tensor(VIEW_FROM_CAM)
    in_camera = axes[:, None] * turn * axes
    origin = fit.translation[:, None]
    rotated = (points - origin) @ in_camera.transpose(1, 2) + origin
    fragments = rasterize(rotated, faces, camera)
    source = interpolate(xy, faces, fragments)[0]
    colors = sample_image(photo.permute(2, 0, 1)[None], source.reshape(1, -1, 2))[0].view(*camera.hw, 3)
    return torch.where(fragments.mask[0, ..., None], colors, behind).clamp(0, 1)


def _grid_faces(side: int) -> Tensor:
    """Two triangles a cell of a side x side grid."""
    index = torch.arange(side * side).view(side, side)
    a, b, c, d = (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:])
    first, second = torch.stack([a, c, b], dim=-1), torch.stack([b, c, d], dim=-1)
    return torch.cat([first.reshape(-1, 3), second.reshape(-1, 3)])
