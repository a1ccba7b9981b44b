"""A folder of OBJ files of one topology: a neutral head, heads of one identity component each, and expressions.

ICT-FaceKit (https://github.com/USC-ICT/ICT-FaceKit) comes so, in its folder FaceXModel; blendshape rigs can be exported
so from any modelling program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coarse.face_model import FaceModel
from coarse.model_from_arrays import face_model_from_arrays
from render.errors import FileError

NEUTRAL = "generic_neutral_mesh.obj"
_REMEDY = "export all heads from one mesh"
_SIDES = {"_L": "Left", "_R": "Right"}


@dataclass(frozen=True)
class ObjMesh:
    """What a head needs of an OBJ file.

    Attributes:
        vertices: (V, 3).
        faces: (F, 3) triangles; larger polygons are cut into fans.
        uv: (N, 2), or None.
        uv_faces: (F, 3) indices into uv.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    uv: NDArray[np.float32] | None
    uv_faces: NDArray[np.int32]


def read_obj_folder(
    folder: str | Path,
    *,
    landmarks68: Sequence[int],
    name: str | None = None,
    neutral: str = NEUTRAL,
    identity: str = "identity",
    licence: str = "unknown",
) -> FaceModel:
    """Read a face model.

    Args:
        folder: of the files.
        landmarks68: vertices of the neutral head that are the 68 points of iBUG 300-W, from 0; they also say where the
            head is, how it is turned and its unit.
        name: of the model; None takes the folder's.
        neutral: the file of the neutral head.
        identity: how names of identity components begin; each is the neutral head plus one standard deviation. All
            other heads are expressions, called by their files, "_L" and "_R" becoming "Left" and "Right".
        licence: one line.

    Raises:
        FileError: a file is missing, holds no mesh or one of another topology.
        FaceModelError: landmarks do not fit.
        ValueError: a vertex belongs to no face, or the mesh cannot be reduced.
    """
    place = Path(folder)
    base = read_obj(place / neutral)
    others = sorted(path for path in place.glob("*.obj") if path.name != neutral)
    offsets = {path.stem: _offset(path, base) for path in others}
    people = [offset for stem, offset in offsets.items() if stem.startswith(identity)]
    units = {_arkit(stem): offset for stem, offset in offsets.items() if not stem.startswith(identity)}
    nothing = np.zeros((len(base.vertices), 3, 0), np.float32)
    return face_model_from_arrays(
        name or place.name,
        base.vertices,
        base.faces,
        np.stack(people, 2) if people else nothing,
        landmarks=landmarks68,
        expression_basis=np.stack(list(units.values()), 2) if units else nothing,
        expression_names=tuple(units),
        uv=None if base.uv is None else (base.uv, base.uv_faces),
        licence=licence,
    )


def read_obj(path: Path, remedy: str = _REMEDY) -> ObjMesh:
    """Read vertices, texture coordinates and polygons.

    Args:
        path: of the file.
        remedy: what its errors say is to be done.

    Raises:
        FileError: the file is missing or holds no mesh.
    """
    vertices, uv, faces, uv_faces = [], [], [], []
    try:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            kind, *words = line.split() or [""]
            if kind == "v":
                vertices.append([float(word) for word in words[:3]])
            elif kind == "vt":
                uv.append([float(word) for word in words[:2]])
            elif kind == "f":
                corners = [
                    [_index(part, len(rows)) for part, rows in zip(f"{word}/".split("/"), (vertices, uv), strict=False)]
                    for word in words
                ]
                fans = [(corners[0], corners[k], corners[k + 1]) for k in range(1, len(corners) - 1)]
                faces += [[corner[0] for corner in fan] for fan in fans]
                uv_faces += [[corner[1] for corner in fan] for fan in fans]
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror or error})", remedy) from error
    except (ValueError, IndexError) as error:
        raise FileError(path, f"is no OBJ file ({error})", remedy) from error
    if not faces:
        raise FileError(path, "holds no faces", remedy)
    charted = bool(uv) and min(map(min, uv_faces)) >= 0
    return ObjMesh(
        np.array(vertices, np.float32).reshape(-1, 3),
        np.array(faces, np.int32),
        np.array(uv, np.float32) if charted else None,
        np.array(uv_faces, np.int32),
    )


def _index(written: str, count: int) -> int:
    """A corner's index from 0, of `count` entries so far; negative ones count from the end, -1 stands for none."""
    number = int(written or 0)
    return number + count if number < 0 else number - 1


def _offset(path: Path, base: ObjMesh) -> NDArray[np.float32]:
    """(V, 3) from the neutral head to another."""
    other = read_obj(path)
    if other.vertices.shape != base.vertices.shape:
        what = f"has {len(other.vertices)} vertices, the neutral head {len(base.vertices)}"
        raise FileError(path, what, _REMEDY)
    return other.vertices - base.vertices


def _arkit(stem: str) -> str:
    side = _SIDES.get(stem[-2:])
    return stem[:-2] + side if side else stem
