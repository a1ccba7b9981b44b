"""Dense alignment from a position map: vertices, landmarks, pose, visibility and depth, without a morphable model.

Feng, Wu, Shao, Wang and Zhou, "Joint 3D Face Reconstruction and Dense Alignment with Position Map Regression Network",
ECCV 2018, section 3: the map holds the place of every point of the face, so that vertices and landmarks are looked up,
and the pose is the similarity between them and a face at rest. Of the face model only the mean shape is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from coarse.face_model import FaceModel
from coarse.hole_filling import close_openings
from coarse.morphable import VIEW_FROM_CAM
from coarse.position_map import WINDOW_PX, PositionMapLayout
from coarse.similarity import similarity_between
from render.baking import TexelMap, bake, texel_map
from render.camera import pixel_camera
from render.normals import vertex_normals
from render.rasterize import rasterize
from render.rotation import axis_angle_from_rotation, euler_from_rotation
from render.shapes import check_shape
from render.visibility import DEFAULT_TOLERANCE, depth_buffer, point_visibility, vertex_visibility

JAW_WEIGHT = 0.05
"""What a point below the lips counts for the pose, beside 1 above them: the jaw moves without the head.

Of a jaw opened in full (`jawOpen` of the face model) equal weights make 5.4 degrees of pitch, these 1.5; of people that
are not the mean (its identity prior) 0.4 degrees instead of none.
"""

FAITHFUL_MM = 0.5
"""Points that the mean face's own map misplaces by more do not count for the pose: the rims of eyes and mouth, which
the chart squeezes into a texel, and its border."""

FRAME_MARGIN_PX = 128
"""Hiding is judged this far beyond the window too: what the frame cuts off still hides and is still hidden."""

_WINDOW = (WINDOW_PX, WINDOW_PX)
_FRAME = (WINDOW_PX + 2 * FRAME_MARGIN_PX, WINDOW_PX + 2 * FRAME_MARGIN_PX)

GRAZING_COSINE = 0.12
"""Cosine between normal and line of sight below which a texel's colour is not to be trusted: misplaced by half a pixel
it is that of what lies behind the outline."""

SUPERSAMPLE = 2
"""Depth samples a pixel, each way: the dense points lie closer than a pixel in the eyes' corners."""

_NEAREST_PX = 10.0
"""Where the nearest point is put before the rasteriser, which takes positive depths only."""


@dataclass(frozen=True)
class DensePose:
    """The head as a rigid body before a scaled orthographic camera.

    window px = scale * (cam_from_model(rotation) @ model mm) + translation, with x right, y down, z away.

    Attributes:
        rotation: (B, 3) axis-angle, rad, as in `coarse.coefficients.Coefficients`.
        euler: (B, 3) yaw, pitch, roll in rad: positive turns the nose to the viewer's right, bends it down, leans the
            head counter-clockwise.
        scale: (B,) px a mm.
        translation: (B, 3) px: where the model's origin (between the ears) lies.
        residual: (B,) px, weighted root mean square distance between the dense points and the posed mean face.
    """

    rotation: Tensor
    euler: Tensor
    scale: Tensor
    translation: Tensor
    residual: Tensor


@dataclass(frozen=True)
class DenseAlignment:
    """What a position map says about a face. S is the map's side, (H, W) the window, Nc the chart's vertices.

    "Window px" are x right, y down, and z in the same px away from the camera, 0 at the model's origin.

    Attributes:
        position_map: (B, 3, S, S) window px.
        vertices: (B, Nc, 3) window px.
        landmarks468: (B, 468, 3) window px.
        landmarks68: (B, 68, 3) window px.
        pose: of the head.
        visible: (B, Nc) bool: turned to the camera and not hidden by the face itself, inside the window or not.
        landmarks468_visible: (B, 468) bool likewise.
        landmarks68_visible: (B, 68) bool likewise.
        depth: (B, H, W) px, the z of the nearest point at every pixel centre, NaN beside the face.
    """

    position_map: Tensor
    vertices: Tensor
    landmarks468: Tensor
    landmarks68: Tensor
    pose: DensePose
    visible: Tensor
    landmarks468_visible: Tensor
    landmarks68_visible: Tensor
    depth: Tensor


class DenseReader(nn.Module):
    """Reads position maps.

    Args:
        model: gives the mean shape, the chart and where the landmarks lie on it.

    Shapes:
        (B, 3, S, S) window px -> `DenseAlignment`. Map, vertices, landmarks, pose and depth are differentiable.
    """

    mean: Tensor
    weight: Tensor
    faces: Tensor
    landmark_corners: Tensor
    landmark_bary: Tensor
    landmark68_corners: Tensor
    landmark68_bary: Tensor

    def __init__(self, model: FaceModel) -> None:
        super().__init__()
        self.layout = PositionMapLayout(model)
        index = self.layout.vertex_index.cpu().numpy()
        local_faces = self.layout.faces.cpu().numpy()
        mean = model.mean[index]
        local = np.full(len(model.mean), -1)
        local[index] = np.arange(len(index))
        self.closed = close_openings(local_faces, model.chart_uv[index])

        def constant(name: str, array: np.ndarray) -> None:
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)), persistent=False)

        constant("mean", mean.astype(np.float32))
        constant("weight", pose_weights(mean, local_faces, model.landmarks468(model.mean)).astype(np.float32))
        read = self.layout.vertices(self.layout.encode(torch.from_numpy(model.mean)[None].to(self.layout.vertex_uv)))[0]
        self.weight *= (read - self.mean.to(read)).norm(dim=1) < FAITHFUL_MM
        for name, points in (("landmark", model.points468), ("landmark68", model.points68)):
            constant(f"{name}_corners", local[model.faces[points.face]].astype(np.int64))
            constant(f"{name}_bary", points.bary.astype(np.float32))
        self.register_buffer("faces", self.closed.faces, persistent=False)

    def forward(self, maps: Tensor) -> DenseAlignment:
        """Read maps (B, 3, S, S) of windows."""
        check_shape("maps", maps, "B 3 S S")
        vertices = self.layout.vertices(maps)
        visible = self.visible(vertices)
        return DenseAlignment(
            position_map=maps,
            vertices=vertices,
            landmarks468=self.layout.landmarks468(maps),
            landmarks68=self.layout.landmarks68(maps),
            pose=self.pose(vertices),
            visible=visible,
            landmarks468_visible=_mostly(visible, self.landmark_corners, self.landmark_bary),
            landmarks68_visible=_mostly(visible, self.landmark68_corners, self.landmark68_bary),
            depth=self.depth(vertices),
        )

    def pose(self, vertices: Tensor) -> DensePose:
        """The similarity from the mean face to dense points (B, Nc, 3), weighted by area and by `JAW_WEIGHT`."""
        flip = vertices.new_tensor(VIEW_FROM_CAM)
        found = similarity_between(self.mean, vertices * flip, self.weight)
        squared = (found.apply(self.mean) - vertices * flip).square().sum(-1)
        return DensePose(
            rotation=axis_angle_from_rotation(found.rotation),
            euler=euler_from_rotation(found.rotation),
            scale=found.scale,
            translation=found.translation * flip,
            residual=((squared * self.weight).sum(1) / self.weight.sum()).sqrt(),
        )

    def visible(self, vertices: Tensor) -> Tensor:
        """(B, Nc) bool: which dense points the camera sees, by a depth buffer of their own closed surface."""
        seen = vertex_visibility(self._framed(vertices), self.faces, pixel_camera(_FRAME), supersample=SUPERSAMPLE)
        return seen[:, : vertices.shape[1]]

    @torch.no_grad()
    def texels_visible(self, vertices: Tensor, texels: TexelMap) -> Tensor:
        """Which texels of a texture the camera sees, and not at a grazing angle (`GRAZING_COSINE`).

        Args:
            vertices: (B, Nc, 3) window px.
            texels: of the closed chart (`texels`), side T.

        Returns:
            (B, T, T) bool, false in the gutters.
        """
        screen = self._framed(vertices)
        depth = depth_buffer(screen, self.faces, pixel_camera(_FRAME), supersample=SUPERSAMPLE)
        tolerance = (screen[..., 2].amax(1) - screen[..., 2].amin(1)) * DEFAULT_TOLERANCE
        points = torch.stack([bake(one, self.faces, texels).flatten(0, 1) for one in screen])
        seen = point_visibility(points, depth, _FRAME, tolerance_mm=tolerance).view(len(screen), *texels.face.shape)
        normals = vertex_normals(screen, self.faces)
        towards = torch.stack([bake(one, self.faces, texels) for one in normals])
        return seen & (normalize(towards, dim=-1)[..., 2] < -GRAZING_COSINE)

    def texels(self, size: int) -> TexelMap:
        """Which point of the closed surface each texel of a square texture of the chart shows."""
        return texel_map(self.closed.close(self.layout.vertex_uv[None])[0], self.faces, size)

    def depth(self, vertices: Tensor) -> Tensor:
        """(B, H, W) px away from the camera at every pixel centre; NaN where the closed face is not."""
        screen, offset = self._before_camera(vertices)
        fragments = rasterize(screen, self.faces, pixel_camera(_WINDOW))
        return torch.where(fragments.mask, fragments.depth - offset[:, None], torch.nan)

    def _framed(self, vertices: Tensor) -> Tensor:
        """The closed surface in a frame that reaches `FRAME_MARGIN_PX` beyond the window."""
        return self._before_camera(vertices + vertices.new_tensor([FRAME_MARGIN_PX, FRAME_MARGIN_PX, 0.0]))[0]

    def _before_camera(self, vertices: Tensor) -> tuple[Tensor, Tensor]:
        """The closed surface (B, N, 3) with depths from `_NEAREST_PX` on, and what was added to them (B, 1)."""
        closed = self.closed.close(vertices)
        offset = _NEAREST_PX - closed[..., 2].detach().amin(1, keepdim=True)
        return torch.cat([closed[..., :2], (closed[..., 2] + offset)[..., None]], -1), offset


def _mostly(visible: Tensor, corners: Tensor, bary: Tensor) -> Tensor:
    """(B, N) bool: points (N, 3) between vertices of which more than half, by weight, are visible (B, Nc)."""
    return (visible[:, corners].to(bary) * bary).sum(-1) > 0.5


def pose_weights(mean: np.ndarray, faces: np.ndarray, landmarks468: np.ndarray) -> np.ndarray:
    """What each dense point counts for the pose: its area of skin, less below the lips, see `JAW_WEIGHT`.

    Args:
        mean: (Nc, 3) mm.
        faces: (F, 3) into them.
        landmarks468: (468, 3) mm, of the same face.

    Returns:
        (Nc,) mm^2: unchanged above the base of the nose, falling smoothly to the contact line of the lips.
    """
    corner = mean[faces].astype(np.float64)
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) / 6
    share = np.bincount(faces.ravel(), np.repeat(area, 3), len(mean))
    return share * jaw_weights(mean, landmarks468)


def jaw_weights(points: np.ndarray, landmarks468: np.ndarray) -> np.ndarray:
    """What points (N, 3) of a face count for its pose, see `JAW_WEIGHT`; the landmarks (468, 3) are of the same face.

    Returns:
        (N,) 1 above the base of the nose, falling smoothly to the contact line of the lips.
    """
    lips, nose_base = landmarks468[13, 1], landmarks468[2, 1]
    t = np.clip((points[:, 1] - lips) / (nose_base - lips), 0, 1)
    return JAW_WEIGHT + (1 - JAW_WEIGHT) * t * t * (3 - 2 * t)
