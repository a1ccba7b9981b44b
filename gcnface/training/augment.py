"""Random changes of aligned faces: shift, scale, turn, mirror, occluders cut from other photos, colour, blur, JPEG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from gcnface.training.disturbances import CUT, UNDISTURBED, WILD, Disturbances, disturbed


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes; the geometric ones are Deng's."""

    shift_px: float = 10.0
    scale: float = 0.1
    angle_rad: float = 0.2
    """Two deviations of the turn, and its limit."""
    flip: float = 0.5
    color: float = 0.25
    gray: float = 0.1
    blur: float = 0.2
    jpeg: float = 0.3
    occluder: float = 0.25
    clouds: float = 0.3
    """Share of occluders that are coloured clouds; the others are pieces of photos."""
    small: float = 0.1
    """Share of faces shrunk to 24 to 80 px and enlarged again."""
    disturbances: Disturbances = UNDISTURBED
    astray: float = 0.0
    """Share of windows that lie as a first guess may: half of them turned by any angle, shifted and scaled further."""
    astray_shift_px: float = 30.0
    astray_scale: float = 0.4


PUBLISHED = Augmentation()
EVEN_CROPS = replace(PUBLISHED, disturbances=CUT)
WILD_CROPS = Augmentation(
    shift_px=12.0, scale=0.12, angle_rad=0.3, color=0.4, gray=0.15, small=0.15, disturbances=WILD, astray=0.08
)
WILD_WINDOWS = Augmentation(
    shift_px=12.0, scale=0.15, angle_rad=0.5, color=0.4, gray=0.15, small=0.15, disturbances=WILD, astray=0.35
)
WILD_ANY_ROLL = replace(WILD_WINDOWS, astray=0.85, astray_shift_px=36.0)
AUGMENTATIONS = {"published": (PUBLISHED,), "wild": (WILD_CROPS,), "mixed": (EVEN_CROPS, WILD_CROPS)}
"""Of crops, by name."""


def taken(real: NDArray[np.bool_], times: int) -> NDArray[np.int64]:
    """Indices of what an epoch takes: everything once, and what is `real` (N,) `times` times."""
    return np.concatenate([np.arange(len(real)), np.tile(np.nonzero(real)[0], times - 1)])


@dataclass(frozen=True)
class AugmentedView:
    """A window of a canvas.

    Attributes:
        matrix: (3, 3) takes homogenous canvas px to window px; of negative determinant where it mirrors.
        image: (3, S, S) float32 sRGB.
        covered: (S, S) bool, where an occluder lies.
        natural: whether the colours are still the photo's.
    """

    matrix: NDArray[np.float64]
    image: NDArray[np.float32]
    covered: NDArray[np.bool_]
    natural: bool


def augmented_view(
    canvas: NDArray[np.uint8],
    side_px: int,
    kinds: Sequence[Augmentation],
    rng: np.random.Generator | None,
    occluders: tuple[NDArray[np.uint8], NDArray[np.int64]] | None = None,
    points: NDArray[np.float32] | None = None,
) -> AugmentedView:
    """The middle of a canvas (H, H, 3), changed at random.

    Args:
        canvas: sRGB.
        side_px: of the view.
        kinds: ranges of the changes; of several, each view has those of one, drawn with equal odds.
        rng: None changes nothing.
        occluders: canvases that occluders are cut from, and rows of those that may be; None covers nothing.
        points: (468, 2) landmarks, canvas px, by which things are worn; None wears nothing.
    """
    covered = np.zeros((side_px, side_px), bool)
    if rng is None:
        matrix, natural = middle_window(canvas.shape[0], side_px), True
        colors = np.asarray(draw_window(canvas, matrix, side_px) / 255, np.float32)
    else:
        settings = kinds[int(rng.integers(len(kinds)))] if len(kinds) > 1 else kinds[0]
        matrix = random_window(rng, settings, canvas.shape[0], side_px)
        image = draw_window(canvas, matrix, side_px, border=_border(rng, settings))
        if occluders is not None and rng.random() < settings.occluder:
            canvases, rows = occluders
            if rng.random() < settings.clouds:
                texture = noise_texture(rng, side_px)
            else:
                texture = canvases[rows[rng.integers(len(rows))]][:side_px, :side_px]
            image, covered = occluded(image, texture, rng)
        inside = None if points is None else points[:, :2] @ matrix[:2, :2].T + matrix[:2, 2]
        image, covers, undisturbed = disturbed(image, settings.disturbances, rng, inside)
        covered = covered | (covers > 0)
        colors, natural = recolored(image, rng, settings)
        natural = natural and undisturbed
    return AugmentedView(matrix, np.ascontiguousarray(colors.transpose(2, 0, 1)), covered, natural)


def sample_rng() -> np.random.Generator:
    """A generator seeded by torch's, which loaders seed for each worker and epoch."""
    return np.random.default_rng(int(torch.randint(1 << 31, ()).item()))


def random_window(
    rng: np.random.Generator, settings: Augmentation, canvas_px: int, side_px: int
) -> NDArray[np.float64]:
    """(3, 3) takes homogenous canvas px to px of a window whose middle lies near the canvas's; may mirror."""
    angle = np.clip(rng.normal(0, settings.angle_rad / 2), -settings.angle_rad, settings.angle_rad)
    scale, shift_px = np.exp(rng.uniform(-settings.scale, settings.scale)), settings.shift_px
    if rng.random() < settings.astray:
        angle = rng.uniform(-np.pi, np.pi) if rng.random() < 0.5 else rng.uniform(-0.8, 0.8)
        scale, shift_px = np.exp(rng.uniform(-settings.astray_scale, settings.astray_scale)), settings.astray_shift_px
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if rng.random() < settings.flip:
        turn = turn @ np.diag([-1.0, 1.0])
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    shift = rng.uniform(-shift_px, shift_px, 2)
    matrix[:2, 2] = side_px / 2 + shift - turn @ np.full(2, canvas_px / 2)
    return matrix


def _border(rng: np.random.Generator, settings: Augmentation) -> int:
    """How a window is filled beyond its canvas. Where windows turn, streaks would tell by how much: mirrors do not."""
    return cv2.BORDER_REFLECT_101 if settings.astray and rng.random() < 0.7 else cv2.BORDER_REPLICATE


def middle_window(canvas_px: int, side_px: int) -> NDArray[np.float64]:
    """(3, 3) of the window in the canvas's middle, unchanged."""
    matrix = np.eye(3)
    matrix[:2, 2] = (side_px - canvas_px) / 2
    return matrix


def draw_window(
    canvas: NDArray[np.uint8],
    window_from_canvas: NDArray[np.float64],
    side_px: int,
    *,
    nearest: bool = False,
    border: int = cv2.BORDER_REPLICATE,
) -> NDArray[np.uint8]:
    """A canvas (H, W[, 3]) through an affine map of px (centres at .5); outside it is 0 for labels, else its border."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    centered = (np.linalg.inv(half) @ window_from_canvas @ half)[:2]
    flags = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    border = cv2.BORDER_CONSTANT if nearest else border
    return np.asarray(cv2.warpAffine(np.asarray(canvas), centered, (side_px, side_px), flags=flags, borderMode=border))


def occluded(
    image: NDArray[np.uint8], texture: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """An ellipse of `texture` over `image`, both (S, S, 3), and where it lies (S, S)."""
    side = image.shape[0]
    shape = np.zeros((side, side), np.uint8)
    center = rng.integers(20, side - 20, 2)
    axes = rng.integers(12, 50, 2)
    cv2.ellipse(shape, center.tolist(), axes.tolist(), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    covered = shape.astype(bool)
    return np.where(covered[..., None], texture, image), covered


def noise_texture(rng: np.random.Generator, side_px: int) -> NDArray[np.uint8]:
    """(S, S, 3) coloured clouds."""
    cells = int(rng.integers(2, 33))
    noise = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (side_px, side_px), interpolation=cv2.INTER_LINEAR))


def recolored(image: NDArray[np.uint8], rng: np.random.Generator, s: Augmentation) -> tuple[NDArray[np.float32], bool]:
    """Colour, blur and compression changes of (S, S, 3); floats in [0, 1], and whether colours are still a photo's."""
    natural = True
    if rng.random() < s.small:
        image, natural = _shrunk(image, rng), False
    if rng.random() < s.blur:
        image, natural = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 3.0))), False  # type: ignore[assignment]
    if rng.random() < s.jpeg:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 80))]
        image = np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR))
    if rng.random() < s.gray:
        image, natural = np.repeat(image.mean(2, keepdims=True).astype(np.uint8), 3, axis=2), False
    gain = np.exp(rng.normal(0, s.color / 2) + rng.normal(0, s.color / 5, 3))
    gamma = float(np.exp(rng.normal(0, s.color / 2)))
    table = np.clip((np.arange(256) / 255)[:, None] ** gamma * gain, 0, 1).astype(np.float32)
    return np.stack([table[image[..., c], c] for c in range(3)], axis=2), natural


def _shrunk(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    side = image.shape[0]
    small = int(rng.integers(24, 81) * side / 130)
    little = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(little, (side, side), interpolation=cv2.INTER_CUBIC))
