"""Rendered heads with their true geometry, as `gcnface.building.rendered_heads` writes them."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from coarse.coefficients import Coefficients
from coarse.morphable import MorphableModel, crop_camera
from gcnface.data.caches import fingerprint
from gcnface.data.faces import CANVAS_PX, PreparedFaces
from gcnface.errors import FileError
from gcnface.io.atomic import staged
from render.camera import Camera

_TABLE = "heads.npz"
KNOWN = ("identity", "expression", "rotation", "translation")
"""Coefficients that are known of rendered heads."""
_REMEDY = "make them with python -m gcnface.building.rendered_heads, from the same data"


@dataclass(frozen=True)
class HeadRenders:
    """Heads drawn at every yaw, aligned as prepared faces are.

    Attributes:
        canvases: (N, 288, 288, 3) uint8 sRGB: the 224 px crop with 32 px more on every side.
        identity: (N, 100) float32 true coefficients.
        expression: (N, 52) float32.
        rotation: (N, 3) float32 axis-angle, rad.
        translation: (N, 3) float32 mm, in the crop's camera before `canvas_from_crop`.
        canvas_from_crop: (N, 3, 3) float32 similarity behind that camera.
        landmarks: (N, 468, 3) float32 canvas px; z relative to the model's origin, away from the camera.
        person: (N,) int64 row of the prepared face a view was made from; views of one person share identity and skin.
        yaw: (N,) float32 rad.
        photographic: (N,) bool, the photograph itself turned in depth, with its hair and background, instead of the
            bare head over another photograph.
        validation: (N,) bool, whether the person is held out.
        source: (N,) uint64 that `source_of` gives for that prepared face; None in files that do not tell.
    """

    canvases: NDArray[np.uint8]
    identity: NDArray[np.float32]
    expression: NDArray[np.float32]
    rotation: NDArray[np.float32]
    translation: NDArray[np.float32]
    canvas_from_crop: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    person: NDArray[np.int64]
    yaw: NDArray[np.float32]
    photographic: NDArray[np.bool_]
    validation: NDArray[np.bool_]
    source: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self.person)

    def coefficients(self, rows: NDArray[np.int64], model: MorphableModel) -> Coefficients:
        """True shape and pose of some heads; albedo and lighting neutral, since their colours are a photograph's."""
        neutral = model.layout.decode(torch.zeros(len(rows), model.layout.total))
        return replace(neutral, **{name: torch.from_numpy(np.array(getattr(self, name)[rows])) for name in KNOWN})

    def cameras(self, rows: NDArray[np.int64]) -> Camera:
        """The cameras that see the canvases."""
        behind = torch.from_numpy(np.array(self.canvas_from_crop[rows]))
        return crop_camera(len(rows)).transformed(behind, (CANVAS_PX, CANVAS_PX))


def save_heads(heads: HeadRenders, folder: Path) -> None:
    """Write everything but the canvases, which are drawn into ``canvases.npy`` as they come."""
    known = {f.name: getattr(heads, f.name) for f in fields(heads) if f.name != "canvases"}
    with staged(folder) as stage:
        np.savez(stage / _TABLE, **{name: values for name, values in known.items() if values is not None})


def forget_heads(folder: Path) -> None:
    """Remove what `save_heads` wrote, before other canvases are drawn: it would be taken for theirs after a break."""
    (folder / _TABLE).unlink(missing_ok=True)


def load_heads(folder: Path, faces: PreparedFaces | None = None) -> HeadRenders:
    """Open rendered heads, the canvases memory-mapped.

    Args:
        folder: as `gcnface.building.rendered_heads` wrote it.
        faces: in which the rows `person` are to be looked up; None where nobody does.

    Raises:
        FileError: the folder holds none, or damaged ones, or they were made from other faces.
    """
    try:
        canvases = np.load(folder / "canvases.npy", mmap_mode="r")
        with np.load(folder / _TABLE, allow_pickle=False) as table:
            heads = HeadRenders(canvases=canvases, **dict(table))
        if len(canvases) != len(heads):
            raise ValueError(f"{len(canvases)} canvases, {len(heads)} rows")
    except (OSError, EOFError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise FileError(folder, f"holds no rendered heads ({error})", _REMEDY) from error
    if faces is not None and not _made_from(heads, faces):
        raise FileError(folder, "holds heads that were made from other prepared faces", _REMEDY)
    return heads


def source_of(faces: PreparedFaces, row: int) -> np.uint64:
    """A number that tells one prepared face from others: by whom it shows and where the landmarks lie."""
    return np.uint64(int(fingerprint(faces.identities[row], faces.landmarks[row])[:16], 16))


def _made_from(heads: HeadRenders, faces: PreparedFaces) -> bool:
    """Whether the heads' sources lie in the rows they name; as far as the heads tell."""
    rows, first = np.unique(heads.person, return_index=True)
    if rows.max(initial=-1) >= len(faces):
        return False
    sources = heads.source
    return sources is None or all(source_of(faces, row) == sources[k] for row, k in zip(rows, first, strict=True))
