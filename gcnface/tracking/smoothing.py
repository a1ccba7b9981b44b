"""A head's measurements over time to a head that moves smoothly, and its landmarks with it.

Landmarks are those of the posed model and what the model does not tell of them, the detail: pose, place and blendshapes
are smoothed as what they are, and the detail, which changes slowly, by a low cutoff.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coarse.held_identity import HeadState, HeldIdentity, PinholeCamera
from gcnface.tracking.filters import OneEuroFilter, RotationFilter, Smoothing, matrix_of, of_matrix

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HeadSmoothing:
    """Settings of a `HeadSmoother`."""

    rotation: Smoothing = field(default_factory=lambda: Smoothing(1.0, 12.0))
    """rad"""
    place: Smoothing = field(default_factory=lambda: Smoothing(3.0, 0.3))
    """x and y, in px of the frame a mm at first"""
    depth: Smoothing = field(default_factory=lambda: Smoothing(0.6, 8.0))
    """logarithm"""
    expression: Smoothing = field(default_factory=lambda: Smoothing(2.0, 4.0))
    """blendshapes"""
    detail: Smoothing = field(default_factory=lambda: Smoothing(0.5, 0.02))
    """mm at the head"""


class StateSmoother:
    """Smooths the state of one head.

    Args:
        camera: of the frames.
        settings: cutoffs.
    """

    def __init__(self, camera: PinholeCamera, settings: HeadSmoothing = HeadSmoothing()) -> None:
        self.camera = camera
        self._unit_px = 0.0
        self._rotation = RotationFilter(settings.rotation)
        self._place = OneEuroFilter(settings.place, together=True)
        self._depth = OneEuroFilter(settings.depth)
        self._expression = OneEuroFilter(settings.expression)

    def __call__(self, state: HeadState, seconds: float) -> HeadState:
        """The smoothed state of a measured one at a time."""
        depth, focal = state.translation[2], self.camera.focal_px
        self._unit_px = self._unit_px or focal / depth
        across = self._place(state.translation[:2] / depth * (focal / self._unit_px), seconds)
        smooth_depth = float(np.exp(self._depth(np.log(state.translation[2:]), seconds)[0]))
        return HeadState(
            rotation=matrix_of(self._rotation(of_matrix(state.rotation), seconds)),
            translation=np.append(across * (smooth_depth * self._unit_px / focal), smooth_depth),
            expression=self._expression(state.expression, seconds),
        )


class HeadSmoother:
    """Smooths the state of one head and its landmarks.

    Args:
        camera: of the frames.
        settings: cutoffs.
    """

    def __init__(self, camera: PinholeCamera, settings: HeadSmoothing = HeadSmoothing()) -> None:
        self.state, self.detail = StateSmoother(camera, settings), DetailSmoother(camera, settings)

    def __call__(self, held: HeldIdentity, state: HeadState, points: Floats, seconds: float) -> SmoothHead:
        """The smoothed head.

        Args:
            held: the face.
            state: as it was measured.
            points: (P, 3) px where its points were seen; z away from the camera, 0 at the model's origin.
            seconds: time of the frame.
        """
        smooth = self.state(state, seconds)
        return SmoothHead(smooth, self.detail(held, state, smooth, points, seconds))


class DetailSmoother:
    """Landmarks of a smoothed head: those of the model, and slowly what it does not tell.

    Args:
        camera: of the frames.
        settings: cutoffs.
    """

    def __init__(self, camera: PinholeCamera, settings: HeadSmoothing = HeadSmoothing()) -> None:
        self.camera, self._detail = camera, OneEuroFilter(settings.detail)

    def __call__(
        self, held: HeldIdentity, state: HeadState, smooth: HeadState, points: Floats, seconds: float
    ) -> Floats:
        """(P, 3) px; arguments as for `HeadSmoother`, `smooth` is the state smoothed."""
        focal = self.camera.focal_px
        apart = (points - landmarks_px(held, state, self.camera)) * (state.translation[2] / focal)
        detail = self._detail(apart.ravel(), seconds).reshape(-1, 3) * (focal / smooth.translation[2])
        return landmarks_px(held, smooth, self.camera) + detail


def smoothed_both_ways(
    states: Sequence[HeadState], seconds: Sequence[float], camera: PinholeCamera, settings: HeadSmoothing
) -> list[HeadState]:
    """States smoothed forwards and backwards in time: the mean of the two does not lag."""
    onward, back = StateSmoother(camera, settings), StateSmoother(camera, settings)
    first = [onward(state, at) for state, at in zip(states, seconds, strict=True)]
    second = [back(state, -at) for state, at in zip(reversed(states), reversed(seconds), strict=True)]
    return [_between(a, b) for a, b in zip(first, reversed(second), strict=True)]


def _between(a: HeadState, b: HeadState) -> HeadState:
    one, other = of_matrix(a.rotation), of_matrix(b.rotation)
    middle = one + (other if one @ other >= 0 else -other)
    return HeadState(
        matrix_of(middle / np.linalg.norm(middle)),
        (a.translation + b.translation) / 2,
        (a.expression + b.expression) / 2,
    )


@dataclass(frozen=True)
class SmoothHead:
    """A head, and its 468 landmarks (P, 3) in px of the frame."""

    state: HeadState
    landmarks: Floats


def landmarks_px(held: HeldIdentity, state: HeadState, camera: PinholeCamera) -> Floats:
    """(P, 3) px of the posed model's points: x, y; z away from the camera, 0 at the model's origin."""
    cam = state.in_camera(held.points(state.expression))
    depth = state.translation[2]
    return np.column_stack([camera.project(cam), (cam[:, 2] - depth) * camera.focal_px / depth])
