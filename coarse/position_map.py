"""UV position maps: an image whose pixels are the places of the face's surface points in the photograph.

Feng, Wu, Shao, Wang and Zhou, "Joint 3D face reconstruction and dense alignment with position map regression network",
ECCV 2018. The map lives in the face chart (a symmetric Tutte embedding), so that mirroring a face mirrors its map.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn

from coarse.coefficients import Coefficients
from coarse.face_model import REGIONS, FaceModel
from coarse.morphable import CROP_PX, MorphableModel, crop_camera, layout_of
from render.baking import texel_map
from render.camera import Camera
from render.sampling import sample_image
from render.shapes import check_shape

WINDOW_PX = 256
WINDOW_MARGIN_PX = (WINDOW_PX - CROP_PX) // 2
"""The network's window is the 224 px crop with this much more on every side, at the same scale."""

WEIGHTS = {"landmarks": 16.0, "eyes_nose_mouth": 4.0, "face": 3.0, "other": 0.0}
"""Weights of texels in the loss: the published 16:4:3:0; "other" is the neck, and here the ears."""


class PositionMapLayout(nn.Module):
    """Which surface point every texel of a position map stands for, and back.

    Args:
        model: the face model.
        side: texels a side, S.

    Attributes:
        texel_corners: (S, S, 3) int64 model vertices around the texel's surface point.
        texel_bary: (S, S, 3) their weights.
        mask: (S, S) bool, false inside the openings of eyes and mouth and outside the chart.
        weight: (S, S) of the loss, see `WEIGHTS`.
        vertex_index: (Nc,) int64 model vertices inside the chart.
        faces: (Fc, 3) int64 triangles between them.
        vertex_uv: (Nc, 2), u right, v up.
        landmark_uv: (468, 2).
        landmark68_uv: (68, 2).
        template: (3, S, S) map of the mean face at the crop's neutral pose.
    """

    texel_corners: Tensor
    texel_bary: Tensor
    mask: Tensor
    weight: Tensor
    vertex_index: Tensor
    faces: Tensor
    vertex_uv: Tensor
    landmark_uv: Tensor
    landmark68_uv: Tensor
    template: Tensor

    def __init__(self, model: FaceModel, side: int = WINDOW_PX) -> None:
        super().__init__()
        self.side = side
        chart = model.faces[model.chart_faces].astype(np.int64)
        uv = torch.from_numpy(np.nan_to_num(model.chart_uv).astype(np.float32))
        texels = texel_map(uv, torch.from_numpy(chart), side)
        mask = texels.mask.numpy()
        nearest = distance_transform_edt(~mask, return_distances=False, return_indices=True)
        corners = torch.from_numpy(chart)[texels.face.clamp(min=0)][tuple(nearest)]
        index = np.unique(chart)
        chart_uv = np.nan_to_num(model.chart_uv)
        landmark_uv, landmark68_uv = model.landmarks468(chart_uv), model.landmarks68(chart_uv)
        self._constant("texel_corners", corners)
        self._constant("texel_bary", texels.bary[tuple(nearest)])
        self._constant("mask", texels.mask)
        self._constant("vertex_index", torch.from_numpy(index))
        self._constant("faces", torch.from_numpy(np.searchsorted(index, chart)))
        self._constant("vertex_uv", uv[index])
        self._constant("landmark_uv", torch.from_numpy(landmark_uv.astype(np.float32)))
        self._constant("landmark68_uv", torch.from_numpy(landmark68_uv.astype(np.float32)))
        self._constant("weight", self._weights(model))
        self._constant("template", self._template(model))

    def _constant(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value.contiguous(), persistent=False)

    def encode(self, points: Tensor) -> Tensor:
        """Position maps of posed faces; texels without a surface point take the nearest one's.

        Args:
            points: (B, V, 3) of all vertices of the model, see `window_points`.

        Returns:
            (B, 3, S, S).
        """
        check_shape("points", points, "B V 3")
        corners = points[:, self.texel_corners.reshape(-1)].view(len(points), self.side, self.side, 3, 3)
        return torch.einsum("bhwkc,hwk->bchw", corners, self.texel_bary.to(points))

    def vertices(self, maps: Tensor) -> Tensor:
        """(B, Nc, 3) places of the chart's vertices, read bilinearly from (B, 3, S, S)."""
        return self._read(maps, self.vertex_uv)

    def landmarks468(self, maps: Tensor) -> Tensor:
        """(B, 468, 3) places of the landmarks, read bilinearly from (B, 3, S, S)."""
        return self._read(maps, self.landmark_uv)

    def landmarks68(self, maps: Tensor) -> Tensor:
        """(B, 68, 3) places of the 68 points of 300W-LP, read likewise; those before the ears lie at the map's edge."""
        return self._read(maps, self.landmark68_uv)

    def _read(self, maps: Tensor, uv: Tensor) -> Tensor:
        bound = check_shape("maps", maps, "B 3 S S", S=self.side)
        xy = self._texels(uv).to(maps)
        return sample_image(maps, xy.expand(bound["B"], -1, -1))

    def _texels(self, uv: Tensor) -> Tensor:
        """Places in the map, (0, 0) its top-left corner, of chart coordinates (N, 2)."""
        return torch.stack([uv[:, 0], 1 - uv[:, 1]], dim=1) * self.side

    def _weights(self, model: FaceModel) -> Tensor:
        region = torch.from_numpy(model.region.astype(np.int64))
        lookup = torch.tensor([WEIGHTS.get(name, WEIGHTS["other"]) for name in REGIONS])
        weight = lookup[region[self.texel_corners]].amax(dim=2)
        texel = self._texels(self.landmark68_uv).long().clamp(0, self.side - 1)
        weight[texel[:, 1], texel[:, 0]] = WEIGHTS["landmarks"]
        return weight

    def _template(self, model: FaceModel) -> Tensor:
        layout = layout_of(model)
        neutral = layout.decode(torch.zeros(1, layout.total))
        verts = torch.from_numpy(model.mean.astype(np.float32))[None]
        return self.encode(window_points(verts, neutral, window_camera()))[0]


def window_camera() -> Camera:
    """The camera that sees the network's window of an aligned crop."""
    shift = torch.eye(3)
    shift[:2, 2] = WINDOW_MARGIN_PX
    return crop_camera().transformed(shift, (WINDOW_PX, WINDOW_PX))


def window_points(verts: Tensor, coefficients: Coefficients, camera: Camera) -> Tensor:
    """What a position map stores, for every vertex of a posed face: x, y in px and z in px of the same scale.

    Args:
        verts: (B, V, 3) mm in model space; all of the finest level for `PositionMapLayout.encode`.
        coefficients: their pose is used.
        camera: a perspective camera, `window_camera` or one behind a similarity (a mirrored one too).

    Returns:
        (B, V, 3); z grows away from the camera and is 0 at the model's origin.
    """
    screen = camera.project(MorphableModel.in_camera(verts, coefficients))
    origin_mm = coefficients.translation[:, None, 2:]
    px_per_mm = camera.px_from_cam[:, :2, :2].det().abs().sqrt().to(screen)[:, None, None] / origin_mm
    return torch.cat([screen[..., :2], (screen[..., 2:] - origin_mm) * px_per_mm], dim=2)


def mirrored_maps(maps: Tensor) -> Tensor:
    """Maps (B, 3, S, S), in px of windows, of the mirrored windows."""
    check_shape("maps", maps, "B 3 S S")
    return torch.cat([WINDOW_PX - maps[:, :1], maps[:, 1:]], dim=1).flip(3)


def position_map_loss(predicted: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """sum(W |P - P'|_2) / sum(W), px (Feng et al. 2018, eq. 1, divided by the weights' sum).

    Args:
        predicted: (B, 3, S, S).
        truth: (B, 3, S, S).
        weight: (S, S).
    """
    check_shape("predicted", predicted, "B 3 S S")
    check_shape("truth", truth, "B 3 S S", B=len(predicted))
    distance = ((predicted - truth).square().sum(1) + 1e-6).sqrt()
    return (distance * weight).mean(0).sum() / weight.sum()
