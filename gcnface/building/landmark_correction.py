"""Put the 468 landmarks where photographs show them on the model, not where two mean shapes happened to meet.

Each round fits the model to all photographs, averages what is left between projected and annotated landmarks, turns
that into a shift on the model's surface, and projects the shifted points back onto it; left and right are kept mirror
images.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.face_model import REGIONS, FaceModel
from coarse.fitting import LandmarkFitting, fit_landmarks
from coarse.morphable import MorphableModel, cam_from_model, crop_camera
from coarse.upsampling import SurfacePoints, closest_points

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LandmarkCorrection:
    """Settings of `correct_landmarks`."""

    rounds: int = 4
    damping: float = 0.8
    """Share of the mean residual that a round takes away."""
    largest_mm: float = 3.0
    """A landmark moves no further than this in a round."""


def correct_landmarks(
    model: FaceModel, landmarks_px: Tensor, settings: LandmarkCorrection = LandmarkCorrection()
) -> FaceModel:
    """A copy of `model` whose 468 landmarks lie where those of photographs do, in the mean over them.

    Args:
        model: the face model.
        landmarks_px: (N, 468, 2) of aligned crops.
        settings: rounds and limits.
    """
    for index in range(settings.rounds):
        network = MorphableModel(model)
        shift, residual_px = _mean_shift_mm(network, landmarks_px)
        _log.info("round %d: mean residual of a landmark %.2f px", index + 1, residual_px)
        length = np.linalg.norm(shift, axis=1, keepdims=True)
        shift = settings.damping * shift * np.minimum(1, settings.largest_mm / np.maximum(length, 1e-9))
        points = network.landmark_mean.numpy() + _symmetric(network, shift)
        place = project_to_skin(model, points)
        face, bary = place.face.astype(np.int32), place.bary.astype(np.float32)
        model = replace(model, landmarks468_face=face, landmarks468_bary=bary)
    return model


def project_to_skin(model: FaceModel, points: NDArray[np.float64]) -> SurfacePoints:
    """Nearest places on the mean face's skin (not eyeballs, not mouth cavity) of points (N, 3) mm."""
    skin = [REGIONS.index(name) for name in ("face", "eyes_nose_mouth")]
    allowed = np.asarray(np.isin(model.region[model.faces], skin).all(axis=1))
    return closest_points(points, model.mean, model.faces, allowed)


def _mean_shift_mm(network: MorphableModel, landmarks_px: Tensor) -> tuple[NDArray[np.float64], float]:
    """(468, 3) mean residual turned back into model space, and its mean length in px."""
    fits = fit_landmarks(network, landmarks_px, LandmarkFitting(steps=200))
    with torch.no_grad():
        points_cam = network.landmarks_cam(fits)
        camera = crop_camera(len(landmarks_px))
        residual_px = landmarks_px - camera.project(points_cam)[..., :2]
        focal = camera.px_from_cam[0, 0, 0]
        residual_cam = torch.cat([residual_px * points_cam[..., 2:] / focal, torch.zeros_like(points_cam[..., 2:])], 2)
        shift = (residual_cam @ cam_from_model(fits.rotation)).mean(0)
    return shift.double().numpy(), float(residual_px.mean(0).norm(dim=1).mean())


def _symmetric(network: MorphableModel, shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average the shifts of mirrored landmarks."""
    points = network.landmark_mean.double()
    flip = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    partner = torch.cdist(points * flip, points).argmin(1).numpy()
    return 0.5 * (shift + shift[partner] * flip.numpy())
