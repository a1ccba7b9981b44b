"""The hold on one face: from what a window shows to the head's state, and to the window of the next frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coarse.face_model import LANDMARKS5_FROM_468
from coarse.held_identity import HeadState, HeldIdentity, PinholeCamera, SeenPoints
from gcnface.photo.crop import TEMPLATE_POINTS5_PX, WINDOW_FROM_CROP, similarity_from_points
from gcnface.tracking.looking import Look
from gcnface.tracking.smoothing import HeadSmoother, SmoothHead

Floats = NDArray[np.float64]

LEAST_LOGIT = -1.0
"""Of a face; a network that does not tell answers 0."""
LARGEST_ERROR_PERCENT = 15.0
"""That the network may expect of its points."""
LARGEST_MISFIT_PX = 9.0
"""Root mean square distance between a face and the points of a window, px of the crop; faces have 1 to 4."""
LARGEST_STEP, LARGEST_STRETCH = 0.6, 1.5
"""Between two frames a face moves by less than so much of its size, and its size changes by less than this factor."""
LEAST_INSIDE = 0.5
"""Share of the landmarks that lie in the frame."""
PREDICTED_PX = 2.0
"""What moves by more, px of the crop a frame, is looked for where it goes."""

_FIRST_STEPS = 8


class FaceHold:
    """A face that is followed from frame to frame.

    Attributes:
        state: of the head, as measured last.
        smooth: the same smoothed, and the landmarks.
        points: (P, 3) px of the frame where the network saw it.
        window: (3, 3) window_from_frame where it is looked for next.
        speed: px of the crop that it moved by.

    Args:
        camera: of the video.
        window: where to look first.
    """

    state: HeadState
    smooth: SmoothHead
    points: Floats

    def __init__(self, camera: PinholeCamera, window: Floats) -> None:
        self.camera, self.window, self.speed = camera, window, 0.0
        self._smoother = HeadSmoother(camera)
        self._begun = False

    def take(self, look: Look, held: HeldIdentity, seconds: float, frame_hw: tuple[int, int]) -> bool:
        """Take in what the window shows; false where that is not the face, and then nothing changes.

        Args:
            look: at `window`.
            held: the face's identity.
            seconds: time of the frame.
            frame_hw: its size.
        """
        shift = look.points[:, :2].mean(0) - self.points[:, :2].mean(0) if self._begun else np.zeros(2)
        if not (shows_face(look, frame_hw) and (not self._begun or goes_on(look.points, self.points))):
            return False
        state = self._measured(look, held)
        if state is None:
            return False
        self.state, self.points, self._begun = state, look.points, True
        self.smooth = self._smoother(held, state, look.points, seconds)
        self.speed = float(np.linalg.norm(shift)) / look.unit_px
        ahead = shift if self.speed > PREDICTED_PX else np.zeros(2)
        self.window = window_of(look.points[:, :2] + ahead)
        return True

    def _measured(self, look: Look, held: HeldIdentity) -> HeadState | None:
        """The head's state; None where no head explains the points."""
        even = SeenPoints(look.points, np.ones(len(look.points)), look.unit_px)
        start = self.state if self._begun else held.pose(even, self.camera, look.expression)
        if not self._begun:
            start = held.fit(start, even, self.camera, look.expression, _FIRST_STEPS)
        seen = SeenPoints(look.points, held.facing(start), look.unit_px)
        state = held.fit(start, seen, self.camera, look.expression)
        sound = np.isfinite(state.translation).all() and state.translation[2] > 1.0
        return state if sound and held.distance(state, seen, self.camera) <= LARGEST_MISFIT_PX else None


def shows_face(look: Look, frame_hw: tuple[int, int]) -> bool:
    """Whether the networks take a window for a face, most of which lies in the frame."""
    inside = ((look.points[:, :2] >= 0) & (look.points[:, :2] < frame_hw[::-1])).all(1).mean()
    sure = look.face_logit >= LEAST_LOGIT and look.expected_error_percent <= LARGEST_ERROR_PERCENT
    return bool(sure and inside >= LEAST_INSIDE and np.isfinite(look.points).all())


def goes_on(points: Floats, before: Floats) -> bool:
    """Whether points (P, 3) can be those of the frame before, moved."""
    size, size_before = size_of(points), size_of(before)
    step = float(np.linalg.norm(points[:, :2].mean(0) - before[:, :2].mean(0)))
    stretch = max(size, size_before) / max(min(size, size_before), 1e-9)
    return step <= LARGEST_STEP * size_before and stretch <= LARGEST_STRETCH


def trust_of(look: Look) -> float:
    """In [0, 1]: how far the networks believe their own answer."""
    odds = 1 / (1 + np.exp(-look.face_logit - 2))
    return float(odds * (1 - min(look.expected_error_percent / LARGEST_ERROR_PERCENT, 1.0)))


def size_of(points: Floats) -> float:
    """Root of the area of the box around points (N, 2 or 3)."""
    return float(np.sqrt(max(np.prod(np.ptp(points[:, :2], axis=0)), 1e-9)))


def five_of(landmarks: Floats) -> Floats:
    """(5, 2) of the 468 landmarks, in the order of `Detection.points5`."""
    return np.stack([landmarks[list(index), :2].mean(0) for index in LANDMARKS5_FROM_468])


def window_of(landmarks: Floats) -> Floats:
    """(3, 3) window_from_frame around landmarks (468, 2 or 3) px."""
    return WINDOW_FROM_CROP @ similarity_from_points(five_of(landmarks), TEMPLATE_POINTS5_PX)
