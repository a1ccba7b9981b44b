"""NAME.npz: everything as plain arrays; docs/outputs.md describes each, `FILE_LAYOUT` says what each must be."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcnface.errors import ResultError
from gcnface.io import plain_json
from gcnface.io.array_layout import MESH_LAYOUT, NOT_ALWAYS, RECORD_LAYOUT, ArrayLayout
from gcnface.io.arrays import Archive, Header, opened
from gcnface.io.files import open_input
from gcnface.result.files.content import Content
from gcnface.result.mesh import TexturedMesh
from gcnface.result.quality import FaceQuality
from gcnface.result.reconstruction import Reconstruction, check_origin
from render.shapes import check_shape

FORMAT_VERSION = 1

_MESH_KEYS = {
    "vertices": "vertices",
    "faces": "faces",
    "vertex_rgb": "vertex_albedo_srgb",
    "uv": "uv",
    "uv_faces": "uv_faces",
    "normals": "normals",
    "landmarks68": "landmarks68_model",
    "landmarks468": "landmarks468_model",
    "texture": "texture",
}
FILE_LAYOUT: Mapping[str, ArrayLayout] = {
    **RECORD_LAYOUT,
    **{key: MESH_LAYOUT[name] for name, key in _MESH_KEYS.items()},
    "texture": replace(MESH_LAYOUT["texture"], low=0, high=255, dtype=np.uint8),
    "expression_names": ArrayLayout("Ne", 0, 0, np.str_),
    "metadata": ArrayLayout("", 0, 0, np.str_),
}
"""What each array of the file must be, by its key; numbers have no meaning for text."""

_LARGEST = {"V": 2_000_000, "F": 4_000_000, "N": 4_000_000, "T": 8192, "Ni": 10_000, "Ne": 10_000, "Na": 10_000}
"""Sizes beyond these are refused before anything is unpacked."""
_LONGEST = {"expression_names": 100, "metadata": 1_000_000}
"""Characters of a text."""
_ORIGIN = ("photo_hw", "photo_names", "face_model")
"""Fields of the record that older files tell in their provenance alone."""
_REMEDY = "pass the NAME.npz that `gcnface refine` wrote"


def write_npz(content: Content, path: Path) -> None:
    """Write every array of the record, without the photo."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in _arrays(content.known_face).items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            # Floats hardly shrink: packing them costs time and saves a twentieth.
            packing = zipfile.ZIP_STORED if array.dtype.kind == "f" else zipfile.ZIP_DEFLATED
            data = io.BytesIO()
            np.lib.format.write_array(data, array, allow_pickle=False)
            archive.writestr(entry, data.getbuffer(), packing, compresslevel=1)


def read_npz(path: Path) -> Reconstruction:
    """Read what `write_npz` wrote. Nothing is unpacked before its size and type are known to be right.

    Raises:
        ResultError: no such file, not a file of this kind, one of a newer format, or one whose content is no face.
    """
    try:
        if not path.exists():
            raise ResultError(path, "no such file", _REMEDY)
        with open_input(path, ResultError, _REMEDY) as file, opened(file) as archive:
            _check_headers(archive)
            metadata = _metadata(archive, path)
            keys = [key for key in FILE_LAYOUT if key in archive.names and key != "metadata"]
            return _record({key: archive.read(key) for key in keys}, metadata)
    except ResultError:
        raise
    except Exception as error:  # what zipfile, zlib and numpy raise over a hostile file is no closed list
        what = str(error) or type(error).__name__
        raise ResultError(path, f"cannot be read as a reconstruction ({what})", _REMEDY) from error


def _arrays(reconstruction: Reconstruction) -> dict[str, NDArray[Any]]:
    """The file's arrays by key."""
    mesh = reconstruction.mesh
    numbers = {
        name: {key: float(value) for key, value in getattr(reconstruction, name).items()}
        for name in ("timings", "figures")
    }
    origin = {name: getattr(reconstruction, name) for name in _ORIGIN}
    about = {"provenance": dict(reconstruction.provenance)}
    if reconstruction.quality is not None:
        about["quality"] = reconstruction.quality.summary()
    metadata = {"format": FORMAT_VERSION, **numbers, **origin, **about}
    return {
        **{key: value for key in RECORD_LAYOUT if (value := getattr(reconstruction, key)) is not None},
        **{key: getattr(mesh, name) for name, key in _MESH_KEYS.items()},
        "texture": mesh.texture_8bit,
        "expression_names": np.array(reconstruction.expression_names, dtype=np.str_),
        "metadata": np.array(json.dumps(metadata)),
    }


def _check_headers(archive: Archive) -> None:
    """Hold what the file says of its arrays to `FILE_LAYOUT`; raise ValueError where it does not fit."""
    sizes: dict[str, int] = {}
    for key, layout in FILE_LAYOUT.items():
        if key in NOT_ALWAYS and key not in archive.names:
            continue
        header = archive.header(key)
        if header.dtype.kind != np.dtype(layout.dtype).kind:
            raise ValueError(f"{key} holds {header.dtype}; expected {np.dtype(layout.dtype).name}")
        if header.fortran or header.dtype.byteorder == ">":
            raise ValueError(f"{key} is big-endian or transposed")
        if header.dtype.kind == "U" and header.dtype.itemsize > 4 * _LONGEST[key]:
            raise ValueError(f"{key} is too long")
        sizes = _sizes(key, layout, header, sizes)
    for letter, size in sizes.items():
        if not 1 <= size <= _LARGEST[letter]:
            raise ValueError(f"its arrays have {letter}={size}; expected 1 to {_LARGEST[letter]}")


def _sizes(key: str, layout: ArrayLayout, header: Header, known: dict[str, int]) -> dict[str, int]:
    """The sizes of letters, those of this array among them; names of blendshapes may be missing altogether."""
    if key == "expression_names" and header.shape == (0,):
        return known
    return check_shape(key, header, layout.shape, **known)


def _metadata(archive: Archive, path: Path) -> dict[str, Any]:
    """The fields of the record that are no arrays.

    Raises:
        ResultError: the file's format is newer.
        ValueError: there is something else.
    """
    try:
        content = plain_json.read(archive.read("metadata").item())
    except ValueError as error:
        raise ValueError(f"metadata: {error}") from error
    parts = content if isinstance(content, dict) else {}
    version = parts.get("format")
    if isinstance(version, int) and version > FORMAT_VERSION:
        what = f"is of format {version}, and this gcnface reads up to {FORMAT_VERSION}"
        raise ResultError(path, what, "install a newer gcnface")
    fields = {name: parts.get(name) for name in ("timings", "figures", "provenance")}
    if version != FORMAT_VERSION or not all(isinstance(field, dict) for field in fields.values()):
        raise ValueError("metadata does not hold format, timings, figures and provenance")
    if not (_numbers(parts["timings"], smallest=0) and _numbers(parts["figures"])):
        raise ValueError("metadata holds timings or figures that are no numbers")
    quality = FaceQuality.from_summary(parts["quality"]) if parts.get("quality") is not None else None
    return {**fields, **_origin(parts), "quality": quality}


def _numbers(values: Mapping[str, Any], smallest: float | None = None) -> bool:
    """Whether all are numbers that floats can hold, and finite ones where there is a smallest."""
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values.values()):
        return False
    return smallest is None or all(smallest <= float(value) < math.inf for value in values.values())


def _origin(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The fields `_ORIGIN`; where one is missing or empty, what the provenance tells.

    Raises:
        ValueError: one of either is not of the right kind.
    """
    told = parts["provenance"]
    photo = [told["photo"]] if isinstance(told.get("photo"), str) else []
    older = {"photo_hw": told.get("photo_hw"), "photo_names": told.get("photos", photo)}
    origin: dict[str, Any] = {**older, "face_model": told.get("face_model", "")}
    for found in (origin, {**origin, **{name: parts[name] for name in _ORIGIN if parts.get(name)}}):
        origin = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
        check_origin(**origin)
    return origin


def _record(arrays: dict[str, NDArray[Any]], metadata: Mapping[str, Any]) -> Reconstruction:
    """The inverse of `_arrays`."""
    texture = arrays.pop("texture").astype(np.float32) / 255
    parts: dict[str, Any] = {name: arrays[key] for name, key in _MESH_KEYS.items() if name != "texture"}
    fields: dict[str, Any] = {key: arrays[key] for key in RECORD_LAYOUT if key in arrays}
    names = tuple(arrays["expression_names"].tolist())
    return Reconstruction(mesh=TexturedMesh(texture=texture, **parts), expression_names=names, **fields, **metadata)
