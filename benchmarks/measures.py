"""Measures of one reconstruction against its photograph and its teachers' annotations."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from coarse.face_model import LANDMARKS5_FROM_468
from coarse.morphable import cam_from_model
from gcnface.evaluation.identity_networks import IdentityNetwork, Portrait, load_identity_networks
from gcnface.evaluation.records import RenderedHead
from gcnface.evaluation.rendering import rotated as rotated_points
from gcnface.result.reconstruction import Reconstruction
from refine.facenet import load_facenet
from render.camera import Camera
from render.interpolate import interpolate
from render.rasterize import rasterize

FACE_CLASSES19 = (1, 2, 3, 4, 5, 10, 12, 13)
"""Teacher's classes inside which colours are compared: skin, brows, eyes, nose, lips."""


def draw(
    face: Reconstruction, vertex_rgb: NDArray[np.float32], hw: tuple[int, int], yaw_deg: float = 0.0
) -> RenderedHead:
    """Draw vertex colours through the face's own camera, the head turned about its vertical axis by `yaw_deg`."""
    verts = rotated(face.vertices_cam, face, yaw_deg)
    camera = Camera(torch.from_numpy(face.px_from_cam)[None], hw)
    faces = torch.from_numpy(face.faces.astype(np.int64))
    fragments = rasterize(torch.from_numpy(verts)[None], faces, camera)
    picture = interpolate(torch.from_numpy(np.ascontiguousarray(vertex_rgb)), faces, fragments)[0]
    return RenderedHead(picture.numpy(), fragments.mask[0].numpy())


def landmark_percent(found: NDArray[np.float32], true: NDArray[np.float32]) -> float:
    """Mean 2D distance of points (N, 2 or more) over the root of the area of the true points' box, percent."""
    side = np.sqrt(np.prod(np.ptp(true[:, :2], axis=0)))
    return float(100 * np.linalg.norm(found[:, :2] - true[:, :2], axis=1).mean() / side)


@cache
def _networks(sface: Path | None) -> dict[str, IdentityNetwork]:
    names = ("facenet",) if sface is None else ("facenet", "sface")
    return load_identity_networks(load_facenet(), names, sface)[0]


def features(
    picture: NDArray[np.float32], points5: NDArray, sface_model: Path | None
) -> dict[str, NDArray[np.float32]]:
    """Identity features of unit length by network; SFace is left out when it is not at hand."""
    portrait = [Portrait(picture, np.asarray(points5, np.float64))]
    return {name: network(portrait)[0] for name, network in _networks(sface_model).items()}


def rotated_points5(face: Reconstruction, yaw_deg: float) -> NDArray[np.float64]:
    """Five points of the turned head, px of the photo's frame, from the mesh itself."""
    rotation = cam_from_model(torch.from_numpy(face.rotation)[None])[0].numpy()
    points = rotated(face.mesh.landmarks468 @ rotation.T + face.translation, face, yaw_deg) @ face.px_from_cam.T
    xy = points[:, :2] / points[:, 2:]
    return np.stack([xy[list(index)].mean(0) for index in LANDMARKS5_FROM_468])


def rotated(points_cam: NDArray[np.float32], face: Reconstruction, yaw_deg: float) -> NDArray[np.float32]:
    """Points (N, 3) in camera space after the head has turned about its vertical axis, the nose to the right."""
    points, origin = torch.from_numpy(points_cam).float(), torch.from_numpy(face.translation)
    return rotated_points(points[None], origin[None], yaw_deg)[0].numpy()
