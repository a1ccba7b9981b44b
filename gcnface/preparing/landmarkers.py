"""468 landmarks of a face: MediaPipe's network run by OpenCV, or the shipped regressor where that is not at hand."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from coarse.face_model import load_face_model
from coarse.morphable import MorphableModel, crop_camera
from coarse.regressor import load_regressor
from coarse.weights import weights_file
from gcnface.errors import WeightsError
from gcnface.photo.crop import CROP_SIDE_PX, TEMPLATE_POINTS5_PX, similarity_from_points, warp_image, warp_points

NETWORK_PX = 192
"""Side of the square that MediaPipe's landmark network sees."""
_TFLITE = "modules/face_landmark/face_landmark.tflite"
_POINTS, _SCORE = "conv2d_21", "conv2d_31"
_IDENTIFIER = b"TFL3"
"""Of a tflite file, from its fifth byte; OpenCV takes other bytes for a network all the same."""
_WHAT, _REMEDY = "landmark network weights", "give face_landmark.tflite or a wheel of mediapipe 0.10.21"


@dataclass(frozen=True)
class Landmarks:
    """points: (468, 3) photo px, z in px and negative towards the camera; score: that it is a face, in [0, 1]."""

    points: NDArray[np.float32]
    score: float


Landmarker = Callable[[NDArray[np.float32], NDArray, NDArray], Landmarks]
"""Finds the landmarks of the face at points (5, 2) and box (4,) px of a photo (H, W, 3) sRGB in [0, 1]: the arguments
are the photo, the points and the box."""


@dataclass(frozen=True)
class LandmarkSource:
    """Where landmarks come from.

    Attributes:
        network: MediaPipe's network or a wheel that holds it; None means the shipped regressor.
        name: for the report; the same name gives the same landmarks.
    """

    network: Path | None
    name: str

    def load(self) -> Landmarker:
        """The landmarker."""
        return RegressorLandmarker() if self.network is None else MediaPipeLandmarker(self.network)


STORED = LandmarkSource(None, "stored")
"""Every photo brings its landmarks; the regressor is never asked."""


def find_landmarks(path: Path | None) -> LandmarkSource:
    """The named network, else that of an installed mediapipe, else the shipped regressor.

    Raises:
        WeightsError: the named file is missing, or is a wheel without the network.
    """
    if path is None:
        spec = find_spec("mediapipe")
        places = spec.submodule_search_locations if spec else None
        path = next((file for place in places or () if (file := Path(place) / _TFLITE).is_file()), None)
    if path is None:
        return LandmarkSource(None, "the shipped regressor")
    return LandmarkSource(path, f"mediapipe {hashlib.sha256(read_network(path)).hexdigest()[:12]}")


def read_network(path: Path) -> bytes:
    """MediaPipe's ``face_landmark.tflite``, from the file or from the wheel of mediapipe that holds it.

    Raises:
        WeightsError: the file is missing, is no tflite, or is a wheel without the network.
    """
    with weights_file(path, _WHAT, _REMEDY):
        if path.suffix != ".whl":
            network = path.read_bytes()
        else:
            try:
                with zipfile.ZipFile(path) as wheel:
                    network = wheel.read(f"mediapipe/{_TFLITE}")
            except (zipfile.BadZipFile, KeyError) as error:
                raise WeightsError(path, "holds no landmark network: it is no wheel of mediapipe", _REMEDY) from error
        if network[4:8] != _IDENTIFIER:
            raise WeightsError(path, "holds no landmark network: it is no tflite", _REMEDY)
        return network


class MediaPipeLandmarker:
    """Face Mesh (Kartynnik et al. 2019, "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs").

    The network sees a square of 1.5 times the face, eyes level; the second look is centred on the first one's answer.

    Args:
        network: ``face_landmark.tflite``, or the wheel that holds it.

    Raises:
        WeightsError: the file is missing, damaged or another network.
    """

    def __init__(self, network: Path) -> None:
        # Only OpenCV's older engine gives both answers of this network, and only to a file; releases before 5 have no
        # other.
        engine = getattr(cv2.dnn, "ENGINE_CLASSIC", None)
        options = {} if engine is None else {"engine": engine}
        content = read_network(network)
        with weights_file(network, _WHAT, _REMEDY), tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "face_landmark.tflite"
            path.write_bytes(content)
            self._network = cv2.dnn.readNetFromTFLite(str(path), **options)
            self._network.setInput(np.zeros((1, 3, NETWORK_PX, NETWORK_PX), np.float32))
            shapes = [found.size for found in self._network.forward([_POINTS, _SCORE])]
            if shapes != [468 * 3, 1]:
                raise WeightsError(network, "is not the landmark network: it gives other numbers", _REMEDY)

    def __call__(self, photo: NDArray[np.float32], points5: NDArray, box: NDArray) -> Landmarks:
        """See `Landmarker`."""
        score = 0.0
        for _ in range(2):
            network_from_photo = _square(points5, box)
            image = warp_image(photo, network_from_photo, (NETWORK_PX, NETWORK_PX))
            self._network.setInput(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
            found, logit = self._network.forward([_POINTS, _SCORE])
            score = float(1 / (1 + np.exp(-np.float64(logit.ravel()[0]))))
            points = warp_points(found.reshape(468, 3), np.linalg.inv(network_from_photo).astype(np.float64))
            box = np.concatenate([points[:, :2].min(0), points[:, :2].max(0)])
        return Landmarks(points, score)


class RegressorLandmarker:
    """The landmarks of the shipped regressor's face; their mean depth is z = 0, as with the teacher."""

    def __init__(self) -> None:
        self._model = MorphableModel(load_face_model())
        self._regressor = load_regressor(self._model.layout)

    def __call__(self, photo: NDArray[np.float32], points5: NDArray, box: NDArray) -> Landmarks:
        """See `Landmarker`."""
        crop_from_photo = similarity_from_points(points5, TEMPLATE_POINTS5_PX)
        crop = warp_image(photo, crop_from_photo, (CROP_SIDE_PX, CROP_SIDE_PX))
        camera = crop_camera()
        with torch.no_grad():
            raw = self._regressor(torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)))[None])
            cam = self._model.landmarks_cam(self._model.layout.decode(raw))
            points = camera.project(cam)[0].numpy().astype(np.float64)
        depth_mm = cam[0, :, 2].numpy().astype(np.float64)
        points[:, 2] = (depth_mm - depth_mm.mean()) * float(camera.px_from_cam[0, 0, 0]) / depth_mm.mean()
        return Landmarks(warp_points(points, np.linalg.inv(crop_from_photo).astype(np.float64)), 1.0)


def _square(points5: NDArray, box: NDArray) -> NDArray[np.float64]:
    """(3, 3) takes photo px to the network's square: eyes level, 1.5 times the box's longer side."""
    across = points5[1] - points5[0]
    angle = np.arctan2(across[1], across[0])
    scale = NETWORK_PX / (1.5 * max(box[2] - box[0], box[3] - box[1]))
    matrix = np.eye(3)
    matrix[:2, :2] = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    matrix[:2, 2] = NETWORK_PX / 2 - matrix[:2, :2] @ ((box[:2] + box[2:]) / 2)
    return matrix
