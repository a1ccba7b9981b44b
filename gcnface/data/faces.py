"""Prepared faces: what every training reads, as ``gcnface prepare`` writes it.

A data set is a folder of flat arrays, mapped rather than read, and a table with a row a face:

    table.csv              name, identity, drawn, validation, file
    canvases.npy           (N, 288, 288, 3) uint8 sRGB
    labels.npy             (N, 288, 288) uint8
    landmarks.npy          (N, 468, 3) float32 canvas px
    canvas_from_photo.npy  (N, 3, 3) float64
    embeddings.npy         (N, 512) float32, where they were computed
    landmarks68.npy        (N, 68, 2) float32 canvas px, where the source gives them (NaN for faces without)
    settings.json, report.json
"""

from __future__ import annotations

import csv
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gcnface.errors import FileError, GcnfaceError
from gcnface.io import plain_json
from gcnface.io.arrays import Header, read_header
from gcnface.io.files import open_input
from gcnface.photo.crop import CROP_SIDE_PX
from gcnface.photo.parsing import PARSING_CLASSES

CANVAS_PX = 288
"""Side of a canvas: the 224 px crop with 32 px more on every side, so that it can be moved, turned and scaled."""
CANVAS_MARGIN_PX = (CANVAS_PX - CROP_SIDE_PX) // 2
INSIDE = slice(CANVAS_MARGIN_PX, CANVAS_MARGIN_PX + CROP_SIDE_PX)
"""Rows, and columns, of a canvas that are the crop."""

UNKNOWN = 255
"""Label of pixels that no teacher saw (outside the photo); they carry no loss."""

ROWS = {
    "canvases": (np.uint8, (CANVAS_PX, CANVAS_PX, 3)),
    "labels": (np.uint8, (CANVAS_PX, CANVAS_PX)),
    "landmarks": (np.float32, (468, 3)),
    "canvas_from_photo": (np.float64, (3, 3)),
    "embeddings": (np.float32, (512,)),
    "landmarks68": (np.float32, (68, 2)),
}
"""Type and shape of a face's row in each array."""
OPTIONAL_ARRAYS = ("embeddings", "landmarks68")
COLUMNS = ("name", "identity", "drawn", "validation", "file")


def is_validation(identity: str) -> bool:
    """Whether a person is held out: one in ten, by the CRC-32 of the name, so that nobody is on both sides."""
    return zlib.crc32(identity.encode()) % 10 == 0


@dataclass(frozen=True)
class PreparedFaces:
    """Aligned faces in memory-mapped arrays.

    Attributes:
        canvases: (N, 288, 288, 3) uint8 sRGB: the 224 px crop with 32 px more on every side.
        labels: (N, 288, 288) uint8 index of `PARSING_CLASSES`, or `UNKNOWN`.
        landmarks: (N, 468, 3) float32, canvas px, z in the same px and negative towards the camera.
        names: (N,) str, what the table calls the photos.
        drawn: (N,) bool, whether the face is a drawn one.
        validation: (N,) bool, whether its person is held out.
        identities: (N,) str, whom it shows.
        embeddings: (N, 512) float32 of FaceNet, unit length; None where they were not computed.
        landmarks68: (N, 68, 2) float32 canvas px, the source's own; NaN for faces without, None when none has them.
        files: (N,) str, paths of the photos; None for faces that come from no file.
        canvas_from_photo: (N, 3, 3) float64, takes homogenous photo px to canvas px; None likewise.
    """

    canvases: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    names: NDArray[np.str_]
    drawn: NDArray[np.bool_]
    validation: NDArray[np.bool_]
    identities: NDArray[np.str_]
    embeddings: NDArray[np.float32] | None = None
    landmarks68: NDArray[np.float32] | None = None
    files: NDArray[np.str_] | None = None
    canvas_from_photo: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def crop(self, row: int) -> Tensor:
        """(1, 3, 224, 224) float32 sRGB: the aligned crop."""
        return crop_of(self.canvases[row])

    def parsing(self, row: int) -> Tensor:
        """(1, 10, 224, 224) float32: the label map as certain probabilities; all zero where unknown."""
        labels = self.labels[row, INSIDE, INSIDE]
        one_hot = labels[..., None] == np.arange(len(PARSING_CLASSES))
        return torch.from_numpy(one_hot.astype(np.float32)).permute(2, 0, 1)[None]

    def crop_landmarks(self) -> Tensor:
        """(N, 468, 2) float32, crop px."""
        return torch.from_numpy(self.landmarks[..., :2] - CANVAS_MARGIN_PX)


def crop_of(canvas: NDArray[np.uint8]) -> Tensor:
    """(1, 3, 224, 224) float32 sRGB: the middle of a canvas (288, 288, 3)."""
    image = canvas[INSIDE, INSIDE].transpose(2, 0, 1)
    return torch.from_numpy(image[None].astype(np.float32) / 255)


def load_prepared(folder: Path) -> PreparedFaces:
    """Open a data set; its arrays are mapped, not read.

    Args:
        folder: written by ``gcnface prepare``.

    Raises:
        GcnfaceError: the folder holds no data set, or one whose parts do not belong together.
    """
    rows = read_table(folder)
    arrays = {}
    for name in ROWS:
        path = folder / f"{name}.npy"
        if name in OPTIONAL_ARRAYS and not path.exists():
            continue
        header = _header(path)
        try:
            check_rows(name, header, len(rows))
        except ValueError as error:
            raise _broken(folder, f"{path.name} {error}") from error
        arrays[name] = np.load(path, mmap_mode="r")
    landmarks = np.array(arrays.pop("landmarks"))
    return PreparedFaces(
        landmarks=landmarks,
        names=_column(rows, "name"),
        drawn=_column(rows, "drawn") == "1",
        validation=_column(rows, "validation") == "1",
        identities=_column(rows, "identity"),
        files=_column(rows, "file"),
        **arrays,
    )


def check_rows(name: str, header: Header, count: int) -> None:
    """Hold what a file says of an array to `ROWS` and the number of faces.

    Raises:
        ValueError: it is of another type or shape.
    """
    dtype, shape = ROWS[name]
    if header.dtype != dtype or header.shape[1:] != shape or not header.shape:
        raise ValueError(f"holds {header.dtype} {header.shape}; expected rows of {np.dtype(dtype)} {shape}")
    if header.shape[0] != count:
        raise ValueError(f"has {header.shape[0]} rows, table.csv {count}")


def _header(path: Path) -> Header:
    """What a .npy file says of its array, which is all there."""
    try:
        with open_input(path) as file:
            header = read_header(file)
            size = file.tell() + header.nbytes
        if path.stat().st_size != size:
            raise ValueError(f"it has {path.stat().st_size} bytes instead of {size}")
    except FileError as error:
        raise _broken(path.parent, f"{path.name} {error.what}") from error
    except (OSError, ValueError) as error:
        raise _broken(path.parent, f"{path.name} cannot be read ({error})") from error
    return header


def read_table(folder: Path) -> list[dict[str, str]]:
    """The rows of a data set's table.

    Raises:
        GcnfaceError: there is none, or not one of `COLUMNS`.
    """
    return read_csv(folder, "table.csv", COLUMNS)


def read_csv(folder: Path, name: str, expected: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of one of a data set's CSV files.

    Raises:
        GcnfaceError: there is none, or one of other columns than expected.
    """
    try:
        with (folder / name).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            columns, rows = tuple(reader.fieldnames or ()), list(reader)
    except csv.Error as error:
        raise _broken(folder, f"{name} cannot be read ({error})") from error
    except OSError as error:
        raise GcnfaceError(
            f"{folder}: holds no prepared faces; make them with `gcnface prepare PHOTOS -o {folder}`"
        ) from error
    if columns != expected:
        raise _broken(folder, f"{name} has the columns {list(columns)}, expected {list(expected)}")
    if any(None in row or None in row.values() for row in rows):
        raise _broken(folder, f"{name} has rows of another length than its first")
    return rows


def read_settings(folder: Path) -> dict[str, Any]:
    """What a data set was prepared with; empty when it does not say.

    Raises:
        GcnfaceError: its settings cannot be read.
    """
    path = folder / "settings.json"
    try:
        settings = plain_json.read(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise _broken(folder, f"{path.name} cannot be read ({error})") from error
    if not isinstance(settings, dict):
        raise _broken(folder, f"{path.name} holds no settings")
    return settings


def _column(rows: list[dict[str, str]], name: str) -> NDArray[np.str_]:
    return np.array([row[name] for row in rows], dtype=np.str_)


def _broken(folder: Path, what: str) -> GcnfaceError:
    return GcnfaceError(f"{folder}: {what}; delete the folder and run `gcnface prepare PHOTOS -o {folder}` again")
