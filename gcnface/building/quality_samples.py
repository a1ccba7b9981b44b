"""Pictures that tell what a face's quality is worth: faces of known landmarks, spoilt in known ways, and no faces."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gcnface.data.faces import PreparedFaces
from gcnface.data.heads import HeadRenders
from gcnface.errors import FileError, GcnfaceError
from gcnface.io.images import read_photo
from gcnface.photo.crop import TEMPLATE_POINTS5_PX
from gcnface.photo.detection import Detection
from gcnface.photo.yunet_network import YunetNetwork
from gcnface.training.disturbances import fingers, hair_strands, in_the_dark, lit_from_one_side, with_noise, worn

SPOILT = ("blurred", "noisy", "covered", "rolled", "small", "dark", "lit from one side", "cut", "packed")
"""Ways to spoil a picture."""
PLAIN = "plain"

_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
_TWICE = 0.3
_FACE_PX = 170
_BORDER_PX = 48
_LOOKED_AT_PX, _LEAST_SCORE, _SEEN_SCORE = 320, 0.15, 0.7
"""What is taken for a face is looked for in small pictures and with a score that no detector would be content with; it
gets one that a detector would."""


@dataclass(frozen=True)
class QualitySample:
    """A picture.

    Attributes:
        kind: what was done to it; of one without a face its folder's name.
        group: "photo", "drawn", "head" or "none".
        picture: (H, W, 3) float32 sRGB in [0, 1].
        truth: (468, 2) landmarks in its px; None where there is no face.
        held_out: whether it is kept for measuring.
    """

    kind: str
    group: str
    picture: NDArray[np.float32]
    truth: NDArray[np.float32] | None
    held_out: bool


def face_samples(faces: PreparedFaces, count: int, *, held_out: bool) -> Iterator[QualitySample]:
    """Prepared faces, a tenth of them as they are, the others spoilt in all ways in turn."""
    rows = np.random.default_rng(0).permutation(np.nonzero(faces.validation == held_out)[0])
    for number, row in enumerate(rows[:count]):
        group = "drawn" if faces.drawn[row] else "photo"
        yield _spoilt(group, faces.canvases[row], faces.landmarks[row, :, :2], number, held_out)


def plain_samples(faces: PreparedFaces, count: int) -> Iterator[QualitySample]:
    """Held-out photographs as they are."""
    for row in np.nonzero(faces.validation & ~faces.drawn)[0][:count]:
        yield QualitySample(PLAIN, "photo", _floats(faces.canvases[row]), np.array(faces.landmarks[row, :, :2]), True)


def head_samples(heads: HeadRenders, count: int, *, held_out: bool) -> Iterator[QualitySample]:
    """Rendered heads at all their yaws, likewise."""
    rows = np.random.default_rng(1).permutation(np.nonzero(heads.validation == held_out)[0])
    for number, row in enumerate(rows[:count]):
        yield _spoilt("head", heads.canvases[row], heads.landmarks[row, :, :2], 2 * number, held_out)


def faceless_samples(folder: Path, count: int, *, held_out: bool) -> Iterator[QualitySample]:
    """Pictures without faces, the kinds in turn; a kind is a subfolder.

    Raises:
        FileError: the folder holds no pictures.
    """
    kinds: dict[str, list[Path]] = {}
    for file in sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS):
        kinds.setdefault(file.parent.name, []).append(file)
    if not kinds:
        raise FileError(folder, "holds no pictures", "name a folder of pictures that show no face")
    rng = np.random.default_rng(2)
    chosen = {kind: rng.permutation(len(files)).tolist() for kind, files in kinds.items()}
    for number in range(max(map(len, kinds.values()))):
        for kind, files in kinds.items():
            if count > 0 and number < len(files):
                try:
                    picture = read_photo(files[chosen[kind][number]])
                except GcnfaceError:
                    continue
                count -= 1
                yield QualitySample(kind, "none", picture, None, held_out)


def mistaken_detection(picture: NDArray[np.float32]) -> Detection:
    """What YuNet finds most like a face in a picture (H, W, 3) without any; somewhere in it where it finds nothing."""
    factor = min(1.0, _LOOKED_AT_PX / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    found = _yunet()(np.ascontiguousarray(np.rint(255 * np.clip(small, 0, 1)).astype(np.uint8)), _LEAST_SCORE)
    if not found:
        return _made_up_detection(picture)
    best = max(found, key=lambda candidate: candidate.score)
    box, points = (np.asarray(found / factor, np.float32) for found in (best.box, best.points5))
    return Detection(box, max(best.score, _SEEN_SCORE), points)


@lru_cache(maxsize=1)
def _yunet() -> YunetNetwork:
    return YunetNetwork()


def _made_up_detection(picture: NDArray[np.float32]) -> Detection:
    rng = np.random.default_rng(zlib.crc32(picture[:: max(1, len(picture) // 16)].tobytes()))
    height, width = picture.shape[:2]
    side = min(height, width) * rng.uniform(0.4, 0.95)
    corner = np.array([rng.uniform(0, width - side), rng.uniform(0, height - side)])
    template = (TEMPLATE_POINTS5_PX - TEMPLATE_POINTS5_PX.mean(0)) / 130 * side
    points = template * rng.uniform(0.8, 1.1) + corner + side / 2 + rng.normal(0, 0.04 * side, (5, 2))
    box = np.concatenate([corner, corner + side]).astype(np.float32)
    return Detection(box, float(1 - rng.uniform(0, 0.3) ** 2), points.astype(np.float32))


def _floats(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """8 bits as sRGB in [0, 1]."""
    return np.asarray(picture, np.float32) / np.float32(255)


def _spoilt(group: str, canvas: NDArray[np.uint8], points: NDArray, number: int, held_out: bool) -> QualitySample:
    rng = np.random.default_rng([number, held_out, *map(ord, group)])
    picture, points = np.array(canvas), np.array(points, np.float32)
    ways = [] if number % (len(SPOILT) + 1) == len(SPOILT) else [SPOILT[number % (len(SPOILT) + 1)]]
    if ways and rng.random() < _TWICE:
        ways.append(str(rng.choice(SPOILT)))
    for way in ways:
        picture, points = spoil(way, picture, points, rng)
    kind = ways[0] if ways else PLAIN
    return QualitySample(kind, group, _floats(picture), points, held_out)


def spoil(
    way: str, picture: NDArray[np.uint8], points: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A square picture (S, S, 3) and its landmarks (468, 2), spoilt in one of the ways `SPOILT`."""
    if way in ("rolled", "small", "cut"):
        return _moved(way, picture, points, rng)
    size = float(np.sqrt(np.prod(np.ptp(points, axis=0)))) / _FACE_PX
    square = picture.shape[0] == picture.shape[1]
    if way == "blurred":
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), max(0.3, size * float(np.exp(rng.uniform(0, 2.5))))))
    elif way == "packed":
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(3, 30))]
        picture = np.asarray(cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_COLOR))
    elif not square:
        pass  # what is drawn fits squares
    elif way == "noisy":
        picture = with_noise(picture, float(rng.uniform(15, 110)), rng)
    elif way == "dark":
        picture = in_the_dark(picture, rng)
    elif way == "lit from one side":
        picture = lit_from_one_side(picture, rng)
    else:
        cover = (fingers, hair_strands, lambda p, r: worn(p, points, r))[rng.integers(3)]
        picture = cover(picture, rng)[0]
        if rng.random() < 0.3:
            picture = fingers(picture, rng)[0]
    return picture, points


def _moved(
    way: str, picture: NDArray[np.uint8], points: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    height, width = picture.shape[:2]
    if way == "cut":
        side = rng.integers(4)
        low, high = points.min(0), points.max(0)
        depth = rng.uniform(0.1, 0.75)
        at = int((low if side < 2 else high)[side % 2] + (1 if side < 2 else -1) * depth * (high - low)[side % 2])
        first = [0, 0, width, height]
        first[side] = int(np.clip(at, 0, (width, height)[side % 2] - 40) if side < 2 else max(at, 40))
        x0, y0, x1, y1 = first
        return np.ascontiguousarray(picture[y0:y1, x0:x1]), points - np.array([x0, y0], np.float32)
    if way == "small":
        factor = float(np.exp(rng.uniform(np.log(12), np.log(70)))) / _FACE_PX
        small = np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))
        around = np.pad(small, ((_BORDER_PX, _BORDER_PX), (_BORDER_PX, _BORDER_PX), (0, 0)), mode="edge")
        scale = np.array([small.shape[1] / width, small.shape[0] / height], np.float32)
        return np.asarray(around, np.uint8), (points * scale + _BORDER_PX).astype(np.float32)
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), float(rng.uniform(-180, 180)), 1.0)
    turned = cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, np.uint8), ((points - 0.5) @ matrix[:, :2].T + matrix[:, 2] + 0.5).astype(np.float32)
