"""Hard photos made from held-out faces: what they show is known, so that every method's failure can be counted.

Glasses are found by the label maps, beards by their list, light from one side by the brightness of the two halves;
hands are drawn over the lower face in the person's own skin colour, and small faces are shrunk to 40 px and enlarged.
Profiles come from rendered heads (see `benchmarks.coarse`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gcnface.data.faces import CANVAS_MARGIN_PX, PreparedFaces
from gcnface.photo.parsing import PARSING_CLASSES

KINDS = ("glasses", "beard", "light from one side", "hand", "face of 40 px")
SMALL_FACE_PX = 40
BEARDED = (
    "congress_B001314_0",
    "congress_T000480_0",
    "congress_M000687_0",
    "voteview_022158",
    "voteview_029354",
    "voteview_042105",
)
"""File stems of held-out people with beards, picked by eye."""


@dataclass(frozen=True)
class HardPhoto:
    """One of them.

    Attributes:
        kind: of `KINDS`.
        name: of the photo it comes from.
        canvas: (288, 288, 3) uint8.
        landmarks: (468, 2) canvas px.
    """

    kind: str
    name: str
    canvas: NDArray[np.uint8]
    landmarks: NDArray[np.float32]


def hard_photos(faces: PreparedFaces, count: int) -> Iterator[HardPhoto]:
    """At most `count` of each kind, from held-out people only."""
    rows = np.nonzero(faces.validation)[0]
    real = rows[~faces.drawn[rows]]
    glasses = np.array([_share(faces, row, "glasses") for row in rows])
    halves = np.array([_imbalance(faces, row) for row in rows])
    chosen = {
        "glasses": rows[np.argsort(-glasses)][: min(count, int((glasses > 0.004).sum()))],
        "beard": [row for row in rows if faces.names[row].rsplit("/")[-1].rsplit(".")[0] in BEARDED][:count],
        "light from one side": rows[np.argsort(-halves)][:count],
        "hand": real[:count],
        "face of 40 px": real[:count],
    }
    for kind, members in chosen.items():
        for row in members:
            canvas, points = np.array(faces.canvases[row]), faces.landmarks[row, :, :2]
            if kind == "hand":
                canvas = with_hand(canvas, points, np.random.default_rng(int(row)))
            elif kind == "face of 40 px":
                canvas = shrunk(canvas, points)
            yield HardPhoto(kind, str(faces.names[row]), canvas, points)


def _share(faces: PreparedFaces, row: int, name: str) -> float:
    return float((faces.labels[row] == PARSING_CLASSES.index(name)).mean())


def _imbalance(faces: PreparedFaces, row: int) -> float:
    """How many times brighter one half of the skin is than the other, as a logarithm."""
    skin = np.isin(faces.labels[row], [PARSING_CLASSES.index(name) for name in ("skin", "nose")])
    gray = faces.canvases[row].astype(np.float32).mean(2) + 1
    middle = int(np.clip(faces.landmarks[row, 4, 0], CANVAS_MARGIN_PX, faces.canvases.shape[1] - CANVAS_MARGIN_PX))
    left, right = (gray[:, :middle][skin[:, :middle]], gray[:, middle:][skin[:, middle:]])
    return float(abs(np.log(left.mean() / right.mean()))) if min(len(left), len(right)) > 500 else 0.0


def shrunk(canvas: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The canvas at the size at which the face's box is 40 px wide, and enlarged again."""
    side = canvas.shape[0]
    small = max(8, round(side * SMALL_FACE_PX / float(np.ptp(landmarks[:, 0]))))
    little = cv2.resize(canvas, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(little, (side, side), interpolation=cv2.INTER_CUBIC))


def with_hand(canvas: NDArray[np.uint8], landmarks: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A hand before the lower face: palm, four fingers and a thumb as shaded capsules in the cheeks' colour."""
    height, width = canvas.shape[:2]
    cheeks = landmarks[[50, 280, 205, 425]].astype(int).clip(3, min(height, width) - 4)
    color = np.median([canvas[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).mean(0) for x, y in cheeks], axis=0)
    size = float(np.ptp(landmarks[:, 1]))
    side = rng.choice([-1.0, 1.0])
    palm = landmarks[152] + np.array([side * 0.32 * size, 0.12 * size])
    aim = landmarks[[61, 291][int(side > 0)]] + rng.normal(0, 0.05 * size, 2)
    forward = (aim - palm) / np.linalg.norm(aim - palm)
    across = np.array([-forward[1], forward[0]])
    capsules = [(palm - 0.5 * size * forward, palm, 0.17 * size)]
    for k in range(4):
        base = palm + (k - 1.5) * 0.075 * size * across
        capsules.append((base, base + (0.42 - 0.04 * abs(k - 1)) * size * forward, 0.042 * size))
    capsules.append((palm, palm + 0.3 * size * (0.5 * forward - side * 0.9 * across), 0.05 * size))
    picture = canvas.astype(np.float32)
    y, x = np.mgrid[:height, :width] + 0.5
    for a, b, radius in capsules:
        along = ((x - a[0]) * (b - a)[0] + (y - a[1]) * (b - a)[1]) / ((b - a) ** 2).sum()
        t = along.clip(0, 1)
        distance = np.hypot(x - a[0] - t * (b - a)[0], y - a[1] - t * (b - a)[1]) / radius
        round_off = np.sqrt(np.clip(1 - distance**2, 0, 1))
        cover = np.clip((1 - distance) * radius, 0, 1)[..., None]
        picture = picture * (1 - cover) + cover * (0.45 + 0.55 * round_off[..., None]) * color
    return np.clip(picture, 0, 255).astype(np.uint8)
