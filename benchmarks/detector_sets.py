"""Pictures whose faces are known, to measure detectors on: turned, shrunk, cut, crowded, faceless and in profile."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from coarse.face_model import LANDMARKS5_FROM_468
from gcnface.io.images import read_photo
from gcnface.photo.crop import warp_image, warp_inside, warp_points

ROLLS_DEG = (0, 45, 90, 135, 180, -135, -90, -45)
FACES_PX = (14, 20, 28, 40, 56, 80)
CUT_SHARES = (0.15, 0.3)
POINTS5_FROM_68 = (range(36, 42), range(42, 48), (30,), (48,), (54,))
GRAY = 0.45


@dataclass(frozen=True)
class Sample:
    """A picture and what it shows.

    Attributes:
        name: of the photo that it is made of.
        photo: (H, W, 3) float32 sRGB in [0, 1].
        points5: (N, 5, 2) px of its faces, in the detectors' order.
        sides: (N,) px: root of the area of each face's landmarks' box.
    """

    name: str
    photo: NDArray[np.float32]
    points5: NDArray[np.float64]
    sides: NDArray[np.float64]


Samples = Callable[[], Iterator[Sample]]


def held_out(folder: Path, count: int) -> list[Sample]:
    """At most `count` held-out photographs of an annotated folder, evenly spread."""
    with np.load(folder / "photos_landmarks.npz") as stored:
        rows = {str(name).rsplit(".", 1)[0]: row for row, name in enumerate(stored["name"])}
        landmarks = stored["landmarks468"][:, :, :2].astype(np.float64)
    table = csv.DictReader((folder / "photos.csv").read_text().splitlines())
    names = [line["file"] for line in table if zlib.crc32(line["identity"].encode()) % 10 == 0]
    names = [name for name in names if name.rsplit(".", 1)[0] in rows]
    chosen = [names[k] for k in np.unique(np.linspace(0, len(names) - 1, min(count, len(names))).astype(int))]
    return [_sample(folder / "photos" / name, landmarks[rows[name.rsplit(".", 1)[0]]]) for name in chosen]


def large_poses(folder: Path) -> Iterator[Sample]:
    """Photos with a .mat of 68 points in 3D beside them (AFLW2000-3D)."""
    for path in sorted(folder.rglob("*.mat")):
        stored = loadmat(path, variable_names=["pt3d_68"])
        if "pt3d_68" in stored and path.with_suffix(".jpg").exists():
            points = np.asarray(stored["pt3d_68"], np.float64)[:2].T
            yield _sample(path.with_suffix(".jpg"), points, POINTS5_FROM_68)


def _sample(path: Path, landmarks: NDArray[np.float64], five: Sequence = LANDMARKS5_FROM_468) -> Sample:
    points5 = np.stack([landmarks[list(index)].mean(0) for index in five])
    return Sample(path.name, read_photo(path), points5[None], np.sqrt(np.prod(np.ptp(landmarks, axis=0)))[None])


def turned(samples: Sequence[Sample], roll_deg: float) -> Iterator[Sample]:
    """Leaning counter-clockwise, the whole photo on a larger grey picture."""
    for each in samples:
        height, width = each.photo.shape[:2]
        angle = np.deg2rad(roll_deg)
        matrix = np.eye(3)
        matrix[:2, :2] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
        corners = warp_points(np.array([[0, 0], [width, 0], [0, height], [width, height]]), matrix)
        matrix[:2, 2] = -corners.min(0)
        hw = tuple(np.ceil(np.ptp(corners, axis=0))[::-1].astype(int).tolist())
        yield _warped(each, matrix, np.full((*hw, 3), GRAY, np.float32))


def mirrored(samples: Sequence[Sample]) -> Iterator[Sample]:
    """Flipped, the points in their order again."""
    for each in samples:
        points5 = (each.points5 * [-1, 1] + [each.photo.shape[1], 0])[:, [1, 0, 2, 4, 3]]
        yield Sample(each.name, np.ascontiguousarray(each.photo[:, ::-1]), points5, each.sides)


def shrunk(samples: Sequence[Sample], face_px: float) -> Iterator[Sample]:
    """The whole photo so small that its face has this size, on a noisy picture of 480 x 640 px."""
    for k, each in enumerate(samples):
        rng = np.random.default_rng(k)
        scale = face_px / each.sides[0]
        room = np.array([640, 480]) - scale * np.array(each.photo.shape[1::-1])
        matrix = np.diag([scale, scale, 1.0])
        matrix[:2, 2] = np.where(room > 0, rng.random(2) * room, room / 2)
        yield _warped(each, matrix, _texture(rng, (480, 640)))


def cut(samples: Sequence[Sample], share: float) -> Iterator[Sample]:
    """A share of the face beyond the picture's edge, a side in turn."""
    for k, each in enumerate(samples):
        center, half = each.points5[0].mean(0), each.sides[0] / 2
        inset = 2 * half * share
        box = np.array([0, 0, *each.photo.shape[1::-1]], np.float64)
        side = k % 4
        box[side] = np.concatenate([center - half + inset, center + half - inset])[side]
        x0, y0, x1, y1 = box.round().astype(int).clip(0)
        photo = np.ascontiguousarray(each.photo[y0:y1, x0:x1])
        yield Sample(each.name, photo, each.points5 - [x0, y0], each.sides)


def crowds(samples: Sequence[Sample], count: int, *, rolled: bool) -> Iterator[Sample]:
    """Grids of 6 x 8 portraits of 24 to 110 px on 1200 x 1600 px, upright or at any roll."""
    for k in range(count):
        rng = np.random.default_rng(k)
        photo = _texture(rng, (1200, 1600))
        points, sides = [], []
        for cell in range(48):
            each = samples[int(rng.integers(len(samples)))]
            scale = rng.uniform(24, 80) * np.exp(rng.uniform(0, 0.3)) / each.sides[0]
            angle = rng.uniform(-np.pi, np.pi) if rolled else rng.normal(0, 0.15)
            matrix = np.eye(3)
            matrix[:2, :2] = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            middle = np.array([cell % 8, cell // 8]) * 200 + 100 + rng.uniform(-25, 25, 2)
            matrix[:2, 2] = middle - matrix[:2, :2] @ each.points5[0].mean(0)
            placed = _warped(each, matrix, photo, within=(middle, 95.0))
            photo = placed.photo
            points.append(placed.points5[0])
            sides.append(placed.sides[0])
        yield Sample(f"crowd {k}", photo, np.stack(points), np.array(sides))


def faceless(samples: Sequence[Sample], count: int) -> Iterator[Sample]:
    """Noise of many scales, stripes, circles, and what portraits show below the chin."""
    nothing = np.zeros((0, 5, 2)), np.zeros(0)
    for k in range(count):
        rng = np.random.default_rng(k)
        yield Sample(f"noise {k}", _texture(rng, (480, 640), float(rng.uniform(0.5, 1.5))), *nothing)
        picture = _texture(rng, (480, 640)).copy()
        for _ in range(40):
            color, middle = rng.random(3).tolist(), rng.integers(0, 640, 2).tolist()
            cv2.ellipse(picture, (middle, rng.uniform(10, 150, 2).tolist(), rng.uniform(0, 180)), color, -1)
        yield Sample(f"ellipses {k}", picture, *nothing)
    for each in samples:
        below = round(float(each.points5[0, 3:, 1].mean() + 0.75 * each.sides[0]))
        if each.photo.shape[0] - below > 64:
            yield Sample(each.name, np.ascontiguousarray(each.photo[below:]), *nothing)


def _warped(each: Sample, matrix: NDArray, under: NDArray[np.float32], within: tuple | None = None) -> Sample:
    """The photo drawn over a picture, all of it or within (center, radius)."""
    hw = (under.shape[0], under.shape[1])
    seen = warp_inside(each.photo.shape, matrix, hw)
    if within is not None:
        ys, xs = np.mgrid[: hw[0], : hw[1]] + 0.5
        seen &= np.hypot(xs - within[0][0], ys - within[0][1]) < within[1]
    photo = np.where(seen[..., None], warp_image(each.photo, matrix, hw), under)
    points5 = warp_points(each.points5.reshape(-1, 2), matrix).reshape(-1, 5, 2).astype(np.float64)
    return Sample(each.name, photo, points5, each.sides * np.sqrt(np.linalg.det(matrix[:2, :2])))


def _texture(rng: np.random.Generator, hw: tuple[int, int], power: float = 1.0) -> NDArray[np.float32]:
    """Smooth colored noise."""
    picture = np.full((*hw, 3), 0.5, np.float32)
    for cell in (4, 16, 64):
        small = rng.normal(0, 0.06 * power, (hw[0] // cell + 2, hw[1] // cell + 2, 3)).astype(np.float32)
        picture += cv2.resize(small, hw[::-1], interpolation=cv2.INTER_CUBIC)
    return picture.clip(0, 1)
