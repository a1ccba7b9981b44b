"""What is pooled of a person over the frames: the identity as a running mean, and a bounded number of key frames."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gcnface.photo.crop import part_around, shrunk
from gcnface.photo.detection import Detection

Floats = NDArray[np.float64]

YAW_BIN_DEG = 20.0
"""Turns nearer than this show the same of a head."""

FRAMES_A_BIN = 30.0
"""Of one turn so many frames count in full; more of them only replace each other: they err alike."""

MOST_KEY_FRAMES = 8
"""That a person's texture is made of."""

_A_BIN = 2
_APART_S = 0.5
"""Key frames of one turn are this far apart in time, unless one is much better."""
_AROUND = 0.75
"""Of a face's size is kept around it."""
_LARGEST_SIDE_PX = 768
_FINEST_PX_PER_MM = 4.0


class IdentityPool:
    """sum_j c_j a_j / sum_j c_j over the frames, as over the photos of a person (`coarse.set_aggregation`).

    Frames of one turn count by `FRAMES_A_BIN` at most, so that ten minutes from the front do not silence a second in
    profile.
    """

    def __init__(self) -> None:
        self._bins: dict[int, tuple[Floats, Floats, int]] = {}
        self.count = 0

    def add(self, identity: Floats, confidence: Floats, yaw_deg: float) -> None:
        """Take a frame in: coefficients (Ni,) and their confidences (Ni,)."""
        key = round(yaw_deg / YAW_BIN_DEG)
        total, weight, count = self._bins.get(key, (np.zeros_like(identity), np.zeros_like(identity), 0))
        self._bins[key] = (total + confidence * identity, weight + confidence, count + 1)
        self.count += 1

    def identity(self) -> Floats:
        """(Ni,) the weighted mean so far."""
        shares = [min(1.0, FRAMES_A_BIN / count) for *_, count in self._bins.values()]
        totals = [share * total for share, (total, *_) in zip(shares, self._bins.values(), strict=True)]
        weights = [share * weight for share, (_, weight, _) in zip(shares, self._bins.values(), strict=True)]
        return np.asarray(np.sum(totals, 0) / np.sum(weights, 0))


@dataclass(frozen=True)
class KeyFrame:
    """A part of a frame that shows a person well.

    Attributes:
        pixels: (h, w, 3) uint8 sRGB.
        face: where the face lies in it.
        yaw_deg: of the head.
        score: how well.
        seconds: time of the frame.
    """

    pixels: NDArray[np.uint8] = field(repr=False)
    face: Detection
    yaw_deg: float
    score: float
    seconds: float


class KeyFrames:
    """The best frames of a person, at most two of each bin of yaw."""

    def __init__(self) -> None:
        self._bins: dict[int, list[KeyFrame]] = {}

    def offer(self, pixels: NDArray[np.uint8], face: Detection, yaw_deg: float, score: float, seconds: float) -> None:
        """Keep a frame if it is better than what is there; only then is it cut."""
        kept = self._bins.setdefault(round(yaw_deg / YAW_BIN_DEG), [])
        near = [i for i, other in enumerate(kept) if abs(other.seconds - seconds) < _APART_S]
        rival = near[0] if near else int(np.argmin([k.score for k in kept])) if len(kept) == _A_BIN else None
        if rival is not None and score <= kept[rival].score:
            return
        frame = _cut(pixels, face, yaw_deg, score, seconds)
        if rival is None:
            kept.append(frame)
        else:
            kept[rival] = frame

    def best(self, most: int = MOST_KEY_FRAMES) -> list[KeyFrame]:
        """At most so many, the most frontal of the good ones first; the best of every bin before any second one."""
        ranked = [sorted(kept, key=lambda k: -k.score) for kept in self._bins.values() if kept]
        firsts = sorted((kept[0] for kept in ranked), key=lambda k: abs(k.yaw_deg))
        seconds = sorted((kept[1] for kept in ranked if len(kept) > 1), key=lambda k: -k.score)
        return sorted((firsts + seconds)[:most], key=lambda k: abs(k.yaw_deg) - 10 * k.score)


def sharpness(pixels: NDArray[np.uint8], box: Floats) -> float:
    """In [0, 1): contrast between neighbors inside a box of a frame, halfway at 6 of 255."""
    x0, y0, x1, y1 = (max(int(side), 0) for side in box)
    gray = pixels[y0:y1:2, x0:x1:2, 1].astype(np.float32)
    if min(gray.shape) < 4:
        return 0.0
    contrast = float(np.abs(np.diff(gray, axis=1)).mean())
    return contrast / (contrast + 6.0)


def key_score(trust: float, unit_px: float, sharp: float, expression: Floats, speed: float) -> float:
    """How well a frame shows a face, in [0, 1].

    Args:
        trust: that it is one, in [0, 1].
        unit_px: px of the frame a mm.
        sharp: of `sharpness`.
        expression: (Ne,) blendshapes; a face at rest shows its skin best.
        speed: px of the crop a frame that the head moves.
    """
    fine = min(unit_px / _FINEST_PX_PER_MM, 1.0)
    return float(trust * fine**0.5 * sharp / (1 + np.abs(expression).sum() / 4) / (1 + speed / 4))


def _cut(pixels: NDArray[np.uint8], face: Detection, yaw_deg: float, score: float, seconds: float) -> KeyFrame:
    size = float(max(face.box[2:] - face.box[:2]))
    part, low = part_around(pixels, face.box, _AROUND * size)
    scale = min(1.0, _LARGEST_SIDE_PX / max(part.shape[:2]))
    small = np.ascontiguousarray(shrunk(part, scale))
    if small is part or np.shares_memory(small, pixels):
        small = small.copy()
    across = np.array([small.shape[1] / part.shape[1], small.shape[0] / part.shape[0]])
    box = ((face.box.reshape(2, 2) - low) * across).astype(np.float32).ravel()
    points5 = ((face.points5 - low) * across).astype(np.float32)
    return KeyFrame(small, Detection(box, face.score, points5), yaw_deg, score, seconds)
