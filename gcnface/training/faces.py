"""Prepared photographs for training: aligned canvases with landmarks and parsing, cached as plain arrays.

A face folder holds photographs, their 468 landmarks and parsing maps (`NAME.jpg`, one `*_landmarks.npz`, `*_parsing/`), and
for real people a table of identities. Preparing draws every face once onto a canvas a little larger than the crop, so that
training can shift, turn and scale it without touching the photo again.
"""

from __future__ import annotations

import csv
import logging
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gcnface.alignment import CROP_SIDE_PX, TEMPLATE_POINTS5_PX, similarity_from_points
from gcnface.alignment import warp_image, warp_labels, warp_points
from gcnface.io.images import read_photo
from gcnface.parsing import PARSING_CLASSES

_log = logging.getLogger(__name__)

CANVAS_MARGIN_PX = 32
CANVAS_PX = CROP_SIDE_PX + 2 * CANVAS_MARGIN_PX

_CLASSES19 = ("rest", "skin", "brows", "brows", "eyes", "eyes", "glasses", "ears", "ears", "rest", "nose") + (
    "mouth_interior", "lips", "lips", "rest", "rest", "rest", "hair", "rest",
)  # fmt: skip
CLASS_FROM_19: NDArray[np.uint8] = np.array([PARSING_CLASSES.index(name) for name in _CLASSES19], np.uint8)
"""Our class of each of the 19 classes of CelebAMask-HQ as the teacher numbers them; left and right are one."""


def is_validation(identity: str) -> bool:
    """Whether a person is held out: CRC-32 of the identity is 0 modulo 10."""
    return zlib.crc32(identity.encode()) % 10 == 0


@dataclass(frozen=True)
class FaceRow:
    """One annotated photograph.

    Attributes:
        path: the photograph.
        parsing: its 19-class map, 8-bit PNG.
        identity: the person; for a drawn face its file stem.
        real: a photograph of a real person.
        points5: (5, 2) photo px.
        landmarks468: (468, 3) photo px.
    """

    path: Path
    parsing: Path
    identity: str
    real: bool
    points5: NDArray[np.float32]
    landmarks468: NDArray[np.float32]


def read_face_folder(folder: Path) -> list[FaceRow]:
    """The annotated photographs of a face folder: `photos` and `synthetic`, each with landmarks and parsing.

    Raises:
        ValueError: the folder lacks the annotations.
    """
    rows: list[FaceRow] = []
    for part in ("photos", "synthetic"):
        table = folder / f"{part}_landmarks.npz"
        if not table.is_file():
            continue
        identities: dict[str, str] = {}
        if (folder / f"{part}.csv").is_file():
            with (folder / f"{part}.csv").open(newline="") as file:
                identities = {row["file"]: row["identity"] for row in csv.DictReader(file)}
        data = np.load(table)
        for name, points5, landmarks in zip(data["name"], data["points5"], data["landmarks468"], strict=True):
            stem = Path(str(name)).stem
            parsing = folder / f"{part}_parsing" / f"{stem}.png"
            identity = identities.get(str(name), stem)
            rows.append(FaceRow(folder / part / str(name), parsing, identity, bool(identities), points5, landmarks))
    if not rows:
        raise ValueError(f"{folder}: no photos_landmarks.npz or synthetic_landmarks.npz; a folder with them is needed")
    return rows


@dataclass(frozen=True)
class PreparedFaces:
    """Aligned faces in memory-mapped arrays.

    Attributes:
        canvases: (N, 288, 288, 3) uint8 sRGB.
        labels: (N, 288, 288) uint8 index of `PARSING_CLASSES`.
        landmarks: (N, 468, 3) float32, canvas px.
        identity: (N,) str.
        real: (N,) bool.
        validation: (N,) bool.
        name: (N,) str, file stem.
    """

    canvases: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    identity: NDArray
    real: NDArray[np.bool_]
    validation: NDArray[np.bool_]
    name: NDArray

    def __len__(self) -> int:
        return len(self.identity)

    def take(self, rows: NDArray) -> PreparedFaces:
        """A selection of rows (the big arrays are copied)."""
        return PreparedFaces(*(getattr(self, field)[rows] for field in self.__dataclass_fields__))

    def crop(self, row: int) -> Tensor:
        """(1, 3, 224, 224) float32 sRGB: the aligned crop."""
        image = self.canvases[row, CANVAS_MARGIN_PX:-CANVAS_MARGIN_PX, CANVAS_MARGIN_PX:-CANVAS_MARGIN_PX]
        return torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32) / 255)

    def parsing(self, row: int) -> Tensor:
        """(1, 10, 224, 224) float32: the label map as certain probabilities."""
        labels = self.labels[row, CANVAS_MARGIN_PX:-CANVAS_MARGIN_PX, CANVAS_MARGIN_PX:-CANVAS_MARGIN_PX]
        one_hot = torch.nn.functional.one_hot(torch.from_numpy(labels.astype(np.int64)), len(PARSING_CLASSES))
        return one_hot.permute(2, 0, 1)[None].float()

    def crop_landmarks(self) -> Tensor:
        """(N, 468, 2) float32 in crop px."""
        return torch.from_numpy(self.landmarks[..., :2] - np.float32(CANVAS_MARGIN_PX))


def prepare_faces(folder: Path, cache: Path) -> PreparedFaces:
    """Draw the canvases of a face folder, once; later calls map the cached arrays.

    Args:
        folder: see `read_face_folder`.
        cache: folder for the arrays, about 1.3 GB for 4,000 faces.
    """
    fields = tuple(PreparedFaces.__dataclass_fields__)
    done = cache / "complete"
    if not done.exists():
        _prepare(read_face_folder(folder), cache)
        done.touch()
    return PreparedFaces(*(np.load(cache / f"{field}.npy", mmap_mode="r") for field in fields))


def _prepare(rows: list[FaceRow], cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    count, side = len(rows), CANVAS_PX
    shape = {"canvases": (count, side, side, 3), "labels": (count, side, side)}
    canvases, labels = (
        np.lib.format.open_memmap(cache / f"{key}.npy", "w+", np.uint8, shape[key]) for key in ("canvases", "labels")
    )
    landmarks = np.zeros((count, 468, 3), np.float32)
    for i, row in enumerate(rows):
        canvas_from_photo = similarity_from_points(row.points5, TEMPLATE_POINTS5_PX + CANVAS_MARGIN_PX)
        image = warp_image(read_photo(row.path), canvas_from_photo, (side, side))
        canvases[i] = np.rint(image * 255)
        classes = cv2.imread(str(row.parsing), cv2.IMREAD_GRAYSCALE)
        if classes is None:
            raise ValueError(f"{row.parsing}: no parsing map; every annotated photo needs one")
        labels[i] = warp_labels(CLASS_FROM_19[classes], canvas_from_photo, (side, side))
        landmarks[i] = warp_points(row.landmarks468, canvas_from_photo)
        if i % 500 == 499:
            _log.info("prepared %d of %d faces", i + 1, count)
    identity = np.array([row.identity for row in rows])
    np.save(cache / "landmarks.npy", landmarks)
    np.save(cache / "identity.npy", identity)
    np.save(cache / "real.npy", np.array([row.real for row in rows]))
    np.save(cache / "validation.npy", np.array([is_validation(name) for name in identity]))
    np.save(cache / "name.npy", np.array([row.path.stem for row in rows]))
