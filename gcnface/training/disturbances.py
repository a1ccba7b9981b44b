"""What stands between a camera and an even portrait: things worn and held, the picture's edge, hard light, the dark.

Each function takes a picture (S, S, 3) uint8 sRGB and returns another; those that cover something also say where and by
what. They are drawn flat: a network shall learn to do without what is hidden, not to know a scarf.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Covers = NDArray[np.uint8]
"""(S, S) of `Cover`: what lies before each pixel."""


class Cover(IntEnum):
    """What may lie before a picture."""

    NOTHING = 0
    GLASSES = 1
    CLOTH = 2
    FINGERS = 3
    HAIR = 4
    EDGE = 5
    """The photo ends here."""


_LEAST_LEFT = 0.34
"""Share of the window's side that two opposite edges of the photo leave, at the least."""
_JAW = (323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93)
"""Of the 468 landmarks: from ear to ear over the chin."""
_MASK_TOP = (50, 195, 280)
_LIPS_LINE = (58, 186, 0, 410, 288)
_EYES = ((33, 133), (362, 263))
_TEMPLES = ((33, 127), (263, 356))


@dataclass(frozen=True)
class Disturbances:
    """Shares of pictures that suffer each."""

    worn: float = 0.0
    """Sunglasses, a mask or a scarf."""
    strokes: float = 0.0
    """Fingers before the face, or hair across it."""
    cut: float = 0.0
    """The photo's edge runs through the window: beyond it border pixels repeat."""
    one_sided: float = 0.0
    """A shadow with a straight edge, hard or soft."""
    dark: float = 0.0
    """Too little light, and the noise of raising it."""
    noise: float = 0.0


UNDISTURBED = Disturbances()
CUT = Disturbances(cut=0.2)
WILD = Disturbances(worn=0.12, strokes=0.18, cut=0.2, one_sided=0.22, dark=0.1, noise=0.15)


def disturbed(
    picture: Picture, settings: Disturbances, rng: np.random.Generator, points: NDArray | None = None
) -> tuple[Picture, Covers, bool]:
    """A picture with what chance brings.

    Args:
        picture: sRGB.
        settings: shares.
        rng: of every random choice.
        points: (468, 2) landmarks in it, px; without them nothing is worn.

    Returns:
        The picture, what covers it, and whether its colours are still the photo's.
    """
    covers, natural = np.zeros(picture.shape[:2], np.uint8), True
    if rng.random() < settings.worn and points is not None:
        picture, last = worn(picture, points, rng)
        covers = np.where(last, last, covers)
    if rng.random() < settings.strokes:
        picture, last = (fingers if rng.random() < 0.5 else hair_strands)(picture, rng)
        covers = np.where(last, last, covers)
    if rng.random() < settings.cut:
        picture, last = cut_by_edge(picture, rng)
        covers = np.where(last, last, covers)
    if rng.random() < settings.one_sided:
        picture, natural = lit_from_one_side(picture, rng), False
    if rng.random() < settings.dark:
        picture, natural = in_the_dark(picture, rng), False
    if rng.random() < settings.noise:
        picture, natural = with_noise(picture, float(rng.uniform(2, 25)), rng), False
    return picture, covers, natural


def worn(picture: Picture, points: NDArray, rng: np.random.Generator) -> tuple[Picture, Covers]:
    """Sunglasses, a mask over mouth and nose, or a scarf from the lips down."""
    kind = rng.integers(3)
    shape = np.zeros(picture.shape[:2], np.uint8)
    points = points[:, :2]
    if kind == 0:
        _draw_glasses(shape, points, rng)
        color = rng.uniform(0, 70, 3)
    elif kind == 1:
        _fill(shape, points[[*_JAW, *_MASK_TOP]])
        color = rng.uniform(20, 255, 3)
    else:
        line = points[list(_LIPS_LINE)]
        down = points[152] - points[10]
        _fill(shape, np.concatenate([line, line[::-1] + 1.5 * down]))
        color = rng.uniform(0, 255, 3)
    texture = color + 25 * np.sin(_ramp(picture.shape[0], rng) * rng.uniform(0.02, 0.25))[..., None] * rng.random()
    alpha = float(rng.uniform(0.85, 1.0))
    blended = _blend(picture, texture, alpha * cv2.GaussianBlur(shape.astype(np.float32), (0, 0), 0.7))
    return blended, shape * np.uint8(Cover.CLOTH if kind else Cover.GLASSES)


def _draw_glasses(shape: Picture, points: NDArray, rng: np.random.Generator) -> None:
    wide = float(rng.uniform(0.75, 1.15))
    centers = []
    for (inner, outer), (corner, temple) in zip(_EYES, _TEMPLES, strict=True):
        center, half = (points[inner] + points[outer]) / 2, np.linalg.norm(points[inner] - points[outer])
        angle = float(np.degrees(np.arctan2(*(points[263] - points[33])[::-1])))
        axes = (max(2, int(half * wide)), max(3, int(0.16 * np.linalg.norm(points[10] - points[152]))))
        cv2.ellipse(shape, _whole(center), axes, angle, 0, 360, 1, -1)
        cv2.line(shape, _whole(points[corner]), _whole(points[temple]), 1, 3)
        centers.append(center)
    cv2.line(shape, _whole(centers[0]), _whole(centers[1]), 1, 3)


def fingers(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Covers]:
    """Two to five fingers of the picture's own skin, from its border over the face."""
    side = picture.shape[0]
    shape = np.zeros((side, side), np.uint8)
    shaded = np.zeros((side, side), np.float32)
    skin = np.median(picture[2 * side // 5 : 3 * side // 5, 2 * side // 5 : 3 * side // 5].reshape(-1, 3), axis=0)
    angle, width = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.085) * side
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    tip = np.array([side / 2, side / 2]) + rng.normal(0, side / 6, 2)
    for i in range(int(rng.integers(2, 6))):
        end = tip + across * width * 1.05 * i - along * rng.uniform(0, 0.15) * side
        bent = end - along * 0.25 * side + across * rng.normal(0, 4)
        line = np.array([end, bent, bent - along * side], np.int32)
        cv2.polylines(shape, [line], False, 1, int(width))
        cv2.polylines(shaded, [line], False, 0.72, int(width))
        cv2.polylines(shaded, [line], False, 1.0, max(1, int(width * 0.6)))
    soft = cv2.GaussianBlur(shaded, (0, 0), 2.0)
    color = skin * np.exp(rng.normal(0, 0.12)) * soft[..., None]
    return _blend(picture, color, shape.astype(np.float32)), shape * np.uint8(Cover.FINGERS)


def hair_strands(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Covers]:
    """A lock of curved strands from one place above or beside the face."""
    side = picture.shape[0]
    shape = np.zeros((side, side), np.uint8)
    drawn = picture.copy()
    base = rng.uniform(5, 190) * np.exp(rng.normal(0, 0.15, 3))
    root = np.array([rng.uniform(0.1, 0.9) * side, rng.uniform(-0.1, 0.25) * side])
    end = np.array([rng.uniform(0, 1) * side, rng.uniform(0.4, 1.1) * side])
    bend = rng.normal(0, 0.15 * side, 2)
    spread, t = rng.uniform(0.01, 0.1) * side, np.linspace(0, 1, 12)[:, None]
    for _ in range(int(rng.integers(8, 90))):
        a, b = root + rng.normal(0, spread, 2), end + rng.normal(0, 1.5 * spread, 2)
        line = ((1 - t) * a + t * b + 4 * t * (1 - t) * bend).astype(np.int32)
        color = np.clip(base * rng.uniform(0.5, 1.5), 0, 255).tolist()
        thickness = int(rng.integers(1, 4))
        cv2.polylines(drawn, [line], False, color, thickness, cv2.LINE_AA)
        cv2.polylines(shape, [line], False, 1, thickness)
    return drawn, shape * np.uint8(Cover.HAIR)


def cut_by_edge(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Covers]:
    """Sides of the window lie beyond the photo: its border pixels repeat there, or nothing is there.

    Mostly it is one side or two; a fifth of the pictures end close around the face. A third of the window stays.
    """
    picture, covers = picture.copy(), np.zeros(picture.shape[:2], np.uint8)
    side, fill = picture.shape[0], rng.integers(4)
    around = rng.random() < 0.2
    turns = np.arange(4) if around else rng.permutation(4)[: 1 if rng.random() < 0.6 else 2]
    deepest = (1 - _LEAST_LEFT) / 2 if around else 0.45
    for turn in turns:
        depth = int(side * rng.uniform(0.05, deepest))
        turned, hidden = np.rot90(picture, turn), np.rot90(covers, turn)
        turned[:depth] = turned[depth : depth + 1] if fill else np.uint8(rng.integers(256))
        hidden[:depth] = Cover.EDGE
        deepest = min(deepest, 1 - _LEAST_LEFT - depth / side)
    return picture, covers


def lit_from_one_side(picture: Picture, rng: np.random.Generator) -> Picture:
    """A half-plane of the picture in shadow."""
    side = picture.shape[0]
    softness = float(np.exp(rng.uniform(np.log(2), np.log(70))))
    offset = rng.normal(0, side / 7)
    position = _ramp(side, rng) - offset
    light = 1 / (1 + np.exp(-np.clip(position / softness, -30, 30)))
    darkest = rng.uniform(0.03, 0.5)
    gain = (darkest + (1 - darkest) * light) ** (1 / 2.2) * np.exp(abs(rng.normal(0, 0.15)))
    return np.clip(picture * gain[..., None], 0, 255).astype(np.uint8)


def in_the_dark(picture: Picture, rng: np.random.Generator) -> Picture:
    """A tenth of the light or less; sometimes raised again with its noise and its few levels, often tinted."""
    gain = float(np.exp(rng.uniform(np.log(0.08), np.log(0.45))))
    tint = np.exp(rng.normal(0, 0.2, 3))
    dark = with_noise(np.clip(picture * gain * tint, 0, 255).astype(np.uint8), float(rng.uniform(0.5, 4)), rng)
    return np.clip(dark * rng.uniform(1, 0.8 / gain), 0, 255).astype(np.uint8) if rng.random() < 0.6 else dark


def with_noise(picture: Picture, deviation: float, rng: np.random.Generator) -> Picture:
    """Gaussian noise, of every pixel or in blotches of two."""
    side = picture.shape[0]
    size = side if rng.random() < 0.6 else side // 2
    noise: NDArray = rng.standard_normal((size, size, 3 if rng.random() < 0.7 else 1), np.float32) * deviation
    if size != side:
        noise = cv2.resize(noise, (side, side), interpolation=cv2.INTER_LINEAR).reshape(side, side, -1)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def _ramp(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(S, S) signed distance from a line through the middle in a random direction, px."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:side, :side].astype(np.float32) - side / 2
    return np.asarray(np.cos(angle) * x + np.sin(angle) * y)


def _fill(shape: Picture, polygon: NDArray) -> None:
    cv2.fillPoly(shape, [np.round(polygon).astype(np.int32)], 1)


def _whole(point: NDArray) -> tuple[int, int]:
    return int(round(float(point[0]))), int(round(float(point[1])))


def _blend(picture: Picture, over: NDArray, alpha: NDArray) -> Picture:
    mixed = picture * (1 - alpha[..., None]) + over * alpha[..., None]
    return np.clip(mixed, 0, 255).astype(np.uint8)
