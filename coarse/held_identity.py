"""Pose and expression of a face whose identity is held, from dense points, in a few Gauss-Newton steps: for videos.

    x = rest + B e                       a point, model space; rest = mean + identity basis times the identity
    y = F R x + t                        in camera space, F = diag(1, -1, -1)
    p = f (y_1 / y_3, y_2 / y_3) + c     in the frame; its depth in the same px, (y_3 - t_3) f / t_3

Points q, their weights w and distances d in px of the crop give rows sqrt(w / d') (p - q), d' = sqrt(|p - q|^2 +
softness^2) (iteratively reweighted least squares), each blendshape a row (e - expected) / spread. Blendshapes are held
within [0, 1] by an active set. Rotations are moved from the left, R <- exp([omega]) R.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from coarse.face_model import FaceModel, kept_with_model
from coarse.morphable import VIEW_FROM_CAM
from coarse.similarity import similarity_between
from render.normals import vertex_normals
from render.rotation import rotation_from_axis_angle

Floats = NDArray[np.float64]

MESH468 = slice(468)
"""Those of the P = 468 + 68 points that are the mesh of 468."""
MARKUP68 = slice(468, 536)
"""Those that are the 68 points of 300W-LP and AFLW2000-3D."""
POINTS = 536

HIDDEN = 0.05
"""What a point on the far side counts: networks guess where it is."""

_FLIP = np.array(VIEW_FROM_CAM)


@dataclass(frozen=True)
class PinholeCamera:
    """Of a video: one for all its frames.

    Attributes:
        focal_px: focal length, px of the frame.
        center_px: (2,) principal point x, y.
    """

    focal_px: float
    center_px: Floats

    def project(self, points_cam: Floats) -> Floats:
        """Points (N, 3) mm of camera space in the frame: (N, 2) px."""
        return self.focal_px * points_cam[:, :2] / points_cam[:, 2:] + self.center_px


@dataclass(frozen=True)
class HeadState:
    """A head in one frame.

    Attributes:
        rotation: (3, 3) from model to viewing axes (x right, y up, z to the viewer).
        translation: (3,) mm, where the model's origin lies in camera space.
        expression: (Ne,) blendshapes.
    """

    rotation: Floats
    translation: Floats
    expression: Floats

    def in_camera(self, points: Floats) -> Floats:
        """Points (N, 3) of model space in camera space, mm."""
        return points @ self.rotation.T * _FLIP + self.translation


@dataclass(frozen=True)
class SeenPoints:
    """Where the points of a face were seen.

    Attributes:
        xyz: (P, 3) px of the frame, z away from the camera, 0 at the model's origin.
        weight: (P,) not negative.
        unit_px: px of the frame that are one px of the crop, in which distances count.
    """

    xyz: Floats
    weight: Floats
    unit_px: float


@dataclass(frozen=True)
class HeldFit:
    """Settings of `HeldIdentity.fit`."""

    steps: int = 3
    softness_px: float = 1.0
    """Distances below count squared, px of the crop."""
    points: float = 60.0
    """What all points count for together, in numbers of points that err by `softness_px` independently."""
    depth: float = 0.1
    """What a px of depth counts beside one of x and y."""
    spread: float = 0.12
    """How far blendshapes may be from what is expected."""


class HeldIdentity:
    """The 468 and 68 points of a face of one identity.

    Args:
        model: the face model.
        identity: (Ni,) coefficients.
        settings: of the fit.
    """

    def __init__(self, model: FaceModel, identity: Floats, settings: HeldFit = HeldFit()) -> None:
        bases = landmark_bases(model)
        self.settings, self.basis, self.normals = settings, bases.expression, bases.normals
        self.rest = bases.mean + bases.identity @ identity

    def points(self, expression: Floats) -> Floats:
        """(P, 3) mm, model space."""
        return self.rest + self.basis @ expression

    def facing(self, state: HeadState) -> Floats:
        """(P,) cosine between each point's normal and the line of sight, at least `HIDDEN`."""
        towards = -(state.translation * _FLIP) / np.linalg.norm(state.translation)
        return (self.normals @ (state.rotation.T @ towards)).clip(HIDDEN, 1)

    def pose(self, seen: SeenPoints, camera: PinholeCamera, expression: Floats) -> HeadState:
        """Where the head stands, from nothing: the similarity to the points, taken for a camera far away."""
        target = torch.from_numpy(seen.xyz * _FLIP)[None]
        found = similarity_between(torch.from_numpy(self.points(expression)), target, torch.from_numpy(seen.weight))
        origin = found.translation[0].numpy() * _FLIP
        depth = camera.focal_px / max(float(found.scale[0]), 1e-6)
        place = np.append((origin[:2] - camera.center_px) * depth / camera.focal_px, depth)
        return HeadState(found.rotation[0].numpy(), place, expression)

    def fit(
        self, start: HeadState, seen: SeenPoints, camera: PinholeCamera, expected: Floats, steps: int | None = None
    ) -> HeadState:
        """Move the head and its blendshapes to where its points were seen.

        Args:
            start: where the search begins.
            seen: the points.
            camera: of the frame.
            expected: (Ne,) blendshapes that are expected, for what points do not tell.
            steps: how many; None takes those of the settings.
        """
        state = start
        for _ in range(steps or self.settings.steps):
            state = self._step(state, seen, camera, expected)
        return state

    def distance(self, state: HeadState, seen: SeenPoints, camera: PinholeCamera) -> float:
        """Weighted root mean square distance between the head's points and those seen, px of the crop."""
        away = camera.project(state.in_camera(self.points(state.expression))) - seen.xyz[:, :2]
        squared = (away**2).sum(1) @ seen.weight / max(seen.weight.sum(), 1e-9)
        return float(np.sqrt(squared)) / seen.unit_px

    def _step(self, state: HeadState, seen: SeenPoints, camera: PinholeCamera, expected: Floats) -> HeadState:
        s = self.settings
        rows, residual = self._rows(state, seen, camera)
        weight = seen.weight * (s.points / s.softness_px**2 / max(seen.weight.sum(), 1e-9))
        weight = weight / np.sqrt(1 + (residual[:, :2] ** 2).sum(1) / s.softness_px**2)
        each = (weight[:, None] * (1.0, 1.0, s.depth)).ravel()
        flat = rows.reshape(-1, rows.shape[2])
        normal, gradient = flat.T @ (flat * each[:, None]), flat.T @ (each * residual.ravel())
        stiff = 1 / s.spread**2
        shape = np.arange(6, len(gradient))
        normal[shape, shape] += stiff
        gradient[shape] += stiff * (state.expression - expected)
        normal[range(6), range(6)] *= 1 + 1e-6
        step = _bounded_step(normal, gradient, state.expression)
        turn = rotation_from_axis_angle(torch.from_numpy(step[None, :3]))[0].numpy()
        return HeadState(turn @ state.rotation, state.translation + step[3:6], state.expression + step[6:])

    def _rows(self, state: HeadState, seen: SeenPoints, camera: PinholeCamera) -> tuple[Floats, Floats]:
        """Derivatives (P, 3, 6 + Ne) by turn, place and blendshapes, and residuals (P, 3), px of the crop."""
        turned = self.points(state.expression) @ state.rotation.T
        cam = turned * _FLIP + state.translation
        focal, (x, y, z) = camera.focal_px / seen.unit_px, cam.T
        by_cam = np.zeros((len(cam), 3, 3))
        by_cam[:, 0, 0] = by_cam[:, 1, 1] = focal / z
        by_cam[:, 0, 2], by_cam[:, 1, 2] = -focal * x / z**2, -focal * y / z**2
        by_cam[:, 2, 2] = focal / state.translation[2]
        by_view = by_cam * _FLIP
        by_turn = np.cross(turned[:, None], by_view)
        by_place = by_cam * (np.arange(3) < 2)[:, None]
        by_shape = np.matmul(by_view @ state.rotation, self.basis)
        at = np.column_stack([camera.project(cam), (z - state.translation[2]) * camera.focal_px / state.translation[2]])
        return np.concatenate([by_turn, by_place, by_shape], 2), (at - seen.xyz) / seen.unit_px


def _bounded_step(normal: Floats, gradient: Floats, expression: Floats) -> Floats:
    """The step (6 + Ne,) that solves the normal equations with blendshapes held within [0, 1]."""
    low, high = -expression, 1 - expression
    step, free = np.zeros(len(gradient)), np.ones(len(gradient), bool)
    for _ in range(4):
        right = -gradient[free] - normal[np.ix_(free, ~free)] @ step[~free]
        step[free] = np.linalg.solve(normal[np.ix_(free, free)], right)
        beyond = (step[6:] < low) | (step[6:] > high)
        step[6:] = step[6:].clip(low, high)
        if not (beyond & free[6:]).any():
            break
        free[6:] &= ~beyond
    return step


@dataclass(frozen=True)
class LandmarkBases:
    """The 468 and behind them the 68 points of a face model.

    Attributes:
        mean: (P, 3) mm.
        identity: (P, 3, Ni) mm a coefficient.
        expression: (P, 3, Ne) mm a blendshape.
        normals: (P, 3) unit, of the mean face.
    """

    mean: Floats
    identity: Floats
    expression: Floats
    normals: Floats


@kept_with_model
def landmark_bases(model: FaceModel) -> LandmarkBases:
    """The part of a model's mean and bases that its points see."""
    face = np.concatenate([model.landmarks468_face, model.landmarks68_face])
    corners = model.faces[face]
    weight = np.concatenate([model.landmarks468_bary, model.landmarks68_bary]).astype(np.float64)
    bases = (model.identity_basis, model.expression_basis)
    identity, expression = (np.einsum("lk,lkcn->lcn", weight, basis[corners].astype(np.float64)) for basis in bases)
    mean, faces = torch.from_numpy(model.mean)[None], torch.from_numpy(model.faces.astype(np.int64))
    normals = np.einsum("lk,lkc->lc", weight, vertex_normals(mean, faces)[0].numpy()[corners])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    points = np.einsum("lk,lkc->lc", weight, model.mean[corners].astype(np.float64))
    return LandmarkBases(points, identity, expression, normals)
