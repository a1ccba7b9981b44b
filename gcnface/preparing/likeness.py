"""Held-out people under another name: who looks like one is held out as well, so that no figure has its people in a
training set.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gcnface.data.faces import PreparedFaces, load_prepared, read_csv
from gcnface.errors import FileError
from gcnface.io.atomic import staged
from gcnface.preparing.shards import rows_of, write_table

ALIKE = 0.75
"""Cosine of two photos' FaceNet embeddings from which they are taken for one person. Among 143,592 pairs of differently
named people in public portraits 22 reach it; of those looked at, the first 21 show one person each, the 27 below two.
Of 58 pairs of photos of one sitter 95 % have .86 and more, one has .70."""
FILE = "alike.csv"
_BLOCK = 4096


@dataclass(frozen=True)
class Likeness:
    """A photo that trains nothing because of whom it looks like.

    Attributes:
        name: of the photo.
        like: name of the held-out photo.
        similarity: cosine of their embeddings.
    """

    name: str
    like: str
    similarity: float


def find_alike(faces: PreparedFaces, named: NDArray[np.bool_]) -> list[Likeness]:
    """Photographs of people who look like a held-out one of another name; drawn faces show nobody and have no part.

    Args:
        faces: with embeddings.
        named: (N,) bool, who is held out by name.
    """
    assert faces.embeddings is not None
    held_out, others = (np.nonzero(chosen & ~faces.drawn)[0] for chosen in (named, ~named))
    found: list[Likeness] = []
    if not len(held_out):
        return found
    known = np.asarray(faces.embeddings[held_out])
    for start in range(0, len(others), _BLOCK):
        rows = others[start : start + _BLOCK]
        similarity = np.asarray(faces.embeddings[rows]) @ known.T
        nearest = similarity.argmax(1)
        for row, column, value in zip(rows, nearest, similarity.max(1), strict=True):
            if value >= ALIKE:
                like = str(faces.names[held_out[column]])
                found.append(Likeness(str(faces.names[row]), like, round(float(value), 4)))
    return found


def hold_out_alike(folder: Path) -> list[Likeness]:
    """Hold out, in a data set, all photos of everybody who looks like a held-out person; again when photos were added.

    Returns:
        Whom, also those of earlier calls; empty for a data set without embeddings.

    Raises:
        GcnfaceError: the folder holds no data set, or cannot be written to.
    """
    faces = load_prepared(folder)
    if faces.embeddings is None:
        return []
    before = read_alike(folder)
    named = faces.validation & ~_of_their_people(faces, before)
    alike = find_alike(faces, named)
    validation = named | _of_their_people(faces, alike)
    if alike != before or (validation != faces.validation).any():
        with staged(folder, last="table.csv") as stage:
            _write_alike(stage / FILE, alike)
            write_table(stage / "table.csv", rows_of(replace(faces, validation=validation)))
    return alike


def read_alike(folder: Path) -> list[Likeness]:
    """Who was held out by likeness so far.

    Raises:
        GcnfaceError: the file that says so cannot be read.
    """
    if not (folder / FILE).exists():
        return []
    rows = read_csv(folder, FILE, tuple(field.name for field in fields(Likeness)))
    try:
        return [Likeness(row["name"], row["like"], float(row["similarity"])) for row in rows]
    except ValueError as error:
        raise FileError(
            folder / FILE, f"cannot be read ({error})", "delete it and run `gcnface prepare` again"
        ) from error


def _of_their_people(faces: PreparedFaces, alike: Sequence[Likeness]) -> NDArray[np.bool_]:
    """(N,) bool: all photos of the people on these."""
    there = np.isin(faces.names, [likeness.name for likeness in alike])
    return np.isin(faces.identities, faces.identities[there]) & ~faces.drawn


def _write_alike(path: Path, alike: Sequence[Likeness]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Likeness)])
        table.writeheader()
        table.writerows(asdict(likeness) for likeness in alike)
