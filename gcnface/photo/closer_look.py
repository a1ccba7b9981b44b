"""A closer look at one face by YuNet: cut out of the photo at the size it knows best, turned until it stands upright.

Measured over 124 held-out portraits in such windows, YuNet scores upright faces .92 and more, those that lean by 45
degrees or stand on their heads .91 at most, and reads half of the lean it meets into its points: so the turn of the
highest score is taken, and the face righted by its points until they no longer change it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gcnface.photo.crop import warp_image, warp_inside, warp_points
from gcnface.photo.detection import Detection
from gcnface.photo.search import BORDER_GRAY
from gcnface.photo.yunet_network import Found, YunetNetwork

WINDOW_PX, FACE_PX = 160, 64
"""Side of the window, and of the face in it: between 50 and 100 px the scores tell turns apart best at 50 to 64, and
its points are the better the larger the face."""

NEAR_TURNS, FAR_TURNS = (0, 1, -1), (2, -2, 4, 3, -3)
"""Eighths of a full turn that are tried, the second row when the first shows no sure face."""
SURE_SCORE = 0.92
"""What hardly a face scores that is not upright."""
TURN_MARGIN = 0.02
"""By how much a turned face must be more credible than one as it was seen."""
SEEN_SCORE = 0.15
"""Below this nothing is read from the network at all."""
RIGHTED_RAD, MOST_RIGHTINGS = np.deg2rad(3), 4
"""A face is righted until its points lean by less, or so many times."""
WORSE = 0.05
"""A righting that lowers the score by more is undone."""


@dataclass(frozen=True)
class Candidate:
    """A face as one look saw it.

    Attributes:
        face: in px of the photo.
        center: (2,) float64 of its box, px of the photo.
        size: root of the box's area, px of the photo.
        seen_px: root of the box's area in the picture that was looked at.
    """

    face: Detection
    center: NDArray[np.float64]
    size: float
    seen_px: float


def in_photo(found: Found, photo_from_image: NDArray[np.float64]) -> Candidate:
    """What was found in a picture that is a similarity of the photo; its box bounds the ellipse in the found one."""
    center = warp_points(found.center[None], photo_from_image)[0].astype(np.float64)
    half_axes = photo_from_image[:2, :2] @ np.diag((found.box[2:] - found.box[:2]) / 2)
    half = np.sqrt((half_axes**2).sum(1))
    box = np.concatenate([center - half, center + half]).astype(np.float32)
    scale = float(np.sqrt(abs(np.linalg.det(photo_from_image[:2, :2]))))
    face = Detection(box, min(found.score, 1.0), warp_points(found.points5, photo_from_image))
    return Candidate(face, center, found.size * scale, found.size)


def upright_window(center: NDArray[np.float64], roll_rad: float, scale: float, side_px: int) -> NDArray[np.float64]:
    """(3, 3) window_from_photo: a square window around a point, in which what leans by `roll_rad` stands upright."""
    cosine, sine = scale * np.cos(roll_rad), scale * np.sin(roll_rad)
    matrix = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])
    matrix[:2, 2] = side_px / 2 - matrix[:2, :2] @ center
    return matrix


def cut_window(photo: NDArray[np.float32], window_from_photo: NDArray[np.float64], side_px: int) -> NDArray[np.float32]:
    """(S, S, 3) float32 of 0..255, grey beyond the photo."""
    hw = (side_px, side_px)
    window = warp_image(photo, window_from_photo, hw) * 255
    window[~warp_inside(photo.shape, window_from_photo, hw)] = BORDER_GRAY
    return window


class CloserLook:
    """Looks at faces one by one.

    Args:
        network: used for nothing else, since it is fastest on pictures of one size.
    """

    def __init__(self, network: YunetNetwork) -> None:
        self._network = network

    def __call__(self, photo: NDArray[np.float32], seen: Candidate) -> Candidate | None:
        """The face upright at its turn, wherever it leans; None when the closer look shows none.

        Args:
            photo: (H, W, 3) float32 sRGB in [0, 1].
            seen: what a look at the photo found.
        """
        looks = self._turned(photo, seen, NEAR_TURNS)
        if max((look.face.score for _, look in looks), default=0.0) < SURE_SCORE:
            looks += self._turned(photo, seen, FAR_TURNS)
        if not looks:
            return None
        return self._righted(photo, max(looks, key=lambda look: look[1].face.score - TURN_MARGIN * (look[0] != 0))[1])

    def _turned(
        self, photo: NDArray[np.float32], seen: Candidate, eighths: Iterable[int]
    ) -> list[tuple[int, Candidate]]:
        looks = [(turn, self._look(photo, seen, turn * np.pi / 4)) for turn in eighths]
        return [(turn, look) for turn, look in looks if look is not None]

    def _righted(self, photo: NDArray[np.float32], best: Candidate) -> Candidate:
        """Turned by what its points lean, again and again."""
        for _ in range(MOST_RIGHTINGS):
            again = self._look(photo, best, best.face.roll_rad)
            if again is None or again.face.score < best.face.score - WORSE:
                break
            turned = (again.face.roll_rad - best.face.roll_rad + np.pi) % (2 * np.pi) - np.pi
            best = again
            if abs(turned) <= RIGHTED_RAD:
                break
        return best

    def _look(self, photo: NDArray[np.float32], seen: Candidate, roll_rad: float) -> Candidate | None:
        window_from_photo = upright_window(seen.center, roll_rad, FACE_PX / seen.size, WINDOW_PX)
        window = cut_window(photo, window_from_photo, WINDOW_PX)
        for found in self._network(np.rint(window).astype(np.uint8), SEEN_SCORE):
            near = np.abs(found.center - WINDOW_PX / 2).max() < FACE_PX / 2
            if near and FACE_PX / 2 < found.size < FACE_PX * 2:
                return in_photo(found, np.asarray(np.linalg.inv(window_from_photo), np.float64))
        return None
