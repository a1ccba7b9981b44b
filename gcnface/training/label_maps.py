"""A teacher's label maps for prepared faces: a file of its own, with a note beside it of the faces they belong to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gcnface.data.caches import fingerprint
from gcnface.data.faces import PreparedFaces
from gcnface.errors import FileError

_REMEDY = "make it with python -m gcnface.building.parsing_teacher, from the same data"


def note_faces(path: Path, faces: PreparedFaces) -> None:
    """Write beside a file of label maps whose they are."""
    _note(path).write_text(_told(faces))


def load_label_maps(path: Path, faces: PreparedFaces) -> NDArray[np.uint8]:
    """(N, 288, 288) uint8 index of `PARSING_CLASSES`, mapped.

    Args:
        path: of the npy file; without a note beside it, it is held to the number of faces alone.
        faces: that the maps are to be of.

    Raises:
        FileError: the file is missing or damaged, or holds the maps of other faces.
    """
    try:
        labels = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise FileError(path, f"holds no label maps ({error})", _REMEDY) from error
    if labels.shape != faces.labels.shape:
        raise FileError(path, f"shape {labels.shape}, expected {faces.labels.shape} as the faces", _REMEDY)
    note = _note(path)
    if note.exists() and note.read_text() != _told(faces):
        raise FileError(path, "holds label maps of other faces", _REMEDY)
    return labels


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.faces")


def _told(faces: PreparedFaces) -> str:
    return fingerprint(faces.identities, faces.landmarks)
