"""Smoothing over time that holds still what is still and lets go of what moves.

Casiez, Roussel and Vogel, "1 euro filter: a simple speed-based low-pass filter for noisy input in interactive systems",
CHI 2012: exponential smoothing whose cutoff grows with the speed, fc = least + per_speed * |speed|, and the speed is
smoothed itself. Its lag on a steady motion is 1 / (2 pi fc) seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Smoothing:
    """Settings of a `OneEuroFilter`."""

    least_hz: float
    """Cutoff of what does not move."""
    per_speed: float
    """What the cutoff grows by, Hz a unit of the value a second."""
    speed_hz: float = 1.5
    """Cutoff of the speed."""


class OneEuroFilter:
    """Smooths vectors, all components by one cutoff or each by its own.

    Args:
        settings: cutoffs.
        together: the speed is the length of the vector's; else each component has its own.
    """

    def __init__(self, settings: Smoothing, *, together: bool = False) -> None:
        self.settings, self.together = settings, together
        self._value: Floats | None = None
        self._last, self._speed, self._seconds = np.zeros(0), np.zeros(0), 0.0

    def __call__(self, value: Floats, seconds: float) -> Floats:
        """The smoothed value (N,) at a time, which grows from call to call."""
        value = np.asarray(value, np.float64)
        if self._value is None:
            self._value, self._last, self._speed = value, value, np.zeros_like(value)
        else:
            step = max(seconds - self._seconds, 1e-6)
            change = (value - self._last) / step - self._speed
            self._speed = self._speed + share(self.settings.speed_hz, step) * change
            speed = np.atleast_1d(np.linalg.norm(self._speed)) if self.together else np.abs(self._speed)
            cutoff = self.settings.least_hz + self.settings.per_speed * speed
            self._value = self._value + share(cutoff, step) * (value - self._value)
        self._last, self._seconds = value, seconds
        return self._value


class RotationFilter:
    """Smooths rotations (unit quaternions w, x, y, z) on their sphere; the speed is that of the turn, rad a second.

    Args:
        settings: cutoffs.
    """

    def __init__(self, settings: Smoothing) -> None:
        self.settings = settings
        self._value: Floats | None = None
        self._last, self._speed, self._seconds = np.zeros(4), np.zeros(3), 0.0

    def __call__(self, quaternion: Floats, seconds: float) -> Floats:
        """The smoothed quaternion (4,) at a time, on the side of the one before."""
        if self._value is None:
            self._value = self._last = quaternion / np.linalg.norm(quaternion)
        else:
            step = max(seconds - self._seconds, 1e-6)
            turn = rotation_vector(product(quaternion, conjugate(self._last))) / step
            self._speed = self._speed + share(self.settings.speed_hz, step) * (turn - self._speed)
            cutoff = self.settings.least_hz + self.settings.per_speed * float(np.linalg.norm(self._speed))
            away = rotation_vector(product(quaternion, conjugate(self._value)))
            moved = product(of_rotation_vector(share(cutoff, step) * away), self._value)
            self._value, self._last = moved / np.linalg.norm(moved), quaternion
        self._seconds = seconds
        return self._value


def share(cutoff_hz: Floats | float, step_s: float) -> Floats:
    """What of the way to a new value is gone, of exponential smoothing with that cutoff: 1 / (1 + tau / step)."""
    tau = 1 / (2 * np.pi * np.asarray(cutoff_hz, np.float64))
    return np.asarray(1 / (1 + tau / step_s))


def continuous(quaternions: Floats) -> Floats:
    """Quaternions (N, 4), each with the sign that is nearer to the one before, so that none takes the long way."""
    signs = np.ones(len(quaternions))
    turned = (quaternions[1:] * quaternions[:-1]).sum(1) < 0
    signs[1:] = np.where(np.cumsum(turned) % 2, -1.0, 1.0)
    return quaternions * signs[:, None]


def product(a: Floats, b: Floats) -> Floats:
    """The quaternion of the turn b and then a."""
    w = a[0] * b[0] - a[1:] @ b[1:]
    return np.append(w, a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:]))


def conjugate(q: Floats) -> Floats:
    """The turn back."""
    return q * np.array([1.0, -1.0, -1.0, -1.0])


def rotation_vector(q: Floats) -> Floats:
    """(3,) axis times angle, rad, the shorter way round."""
    q = -q if q[0] < 0 else q
    sine = float(np.linalg.norm(q[1:]))
    return q[1:] * (2.0 if sine < 1e-9 else 2 * np.arctan2(sine, q[0]) / sine)


def of_rotation_vector(vector: Floats) -> Floats:
    """The quaternion of axis times angle, rad."""
    angle = float(np.linalg.norm(vector))
    return np.append(np.cos(angle / 2), vector * (0.5 if angle < 1e-9 else np.sin(angle / 2) / angle))


def of_matrix(rotation: Floats) -> Floats:
    """The quaternion w, x, y, z of a rotation (3, 3)."""
    return np.roll(Rotation.from_matrix(rotation).as_quat(), 1)


def matrix_of(quaternion: Floats) -> Floats:
    """The rotation (3, 3) of a quaternion w, x, y, z."""
    return np.asarray(Rotation.from_quat(np.roll(quaternion, -1)).as_matrix())
