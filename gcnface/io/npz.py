"""NAME.npz: everything as plain arrays; docs/outputs.md describes each."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from gcnface.errors import GcnfaceError
from gcnface.mesh import TexturedMesh
from gcnface.reconstruction import Reconstruction

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
}
_RECORD_KEYS = (
    "vertices_cam",
    "px_from_cam",
    "vertex_rgb",
    "vertex_rgb_coarse",
    "vertex_albedo",
    "visible",
    "landmarks68",
    "landmarks468",
    "identity",
    "expression",
    "albedo",
    "rotation",
    "translation",
    "lighting",
    "crop_from_photo",
    "texel_source",
    "texel_photo",
    "texel_confidence",
    "vertex_light",
)
_NOT_ALWAYS = ("texel_photo", "texel_confidence", "vertex_light")
"""Keys that older files lack; the record has a default for them."""
_METADATA = ("timings", "figures", "provenance")
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error)


def write_npz(reconstruction: Reconstruction, path: Path) -> None:
    """Write every array of the record, without the photo."""
    arrays = _arrays(reconstruction)
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            # Floats hardly shrink: packing them costs time and saves a twentieth.
            packing = zipfile.ZIP_STORED if array.dtype.kind == "f" else zipfile.ZIP_DEFLATED
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(entry, content.getbuffer(), packing, compresslevel=1)


def read_npz(path: Path) -> Reconstruction:
    """Read what `write_npz` wrote.

    Raises:
        GcnfaceError: no such file, not a file of this kind, or one of a newer format.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return _record({name: archive[name] for name in archive.files})
    except FileNotFoundError as error:
        raise GcnfaceError(f"{path}: no such file; pass the NAME.npz that `gcnface refine` wrote") from error
    except _UNREADABLE as error:
        raise GcnfaceError(
            f"{path}: cannot be read as a reconstruction ({error}); pass the NAME.npz that `gcnface refine` wrote"
        ) from error


def _arrays(reconstruction: Reconstruction) -> dict[str, np.ndarray]:
    """The file's arrays by key."""
    mesh = reconstruction.mesh
    numbers = {
        name: {key: float(value) for key, value in getattr(reconstruction, name).items()}
        for name in ("timings", "figures")
    }
    metadata = {"format": FORMAT_VERSION, **numbers, "provenance": dict(reconstruction.provenance)}
    return {
        **{key: value for key in _RECORD_KEYS if (value := getattr(reconstruction, key)) is not None},
        **{key: getattr(mesh, name) for name, key in _MESH_KEYS.items()},
        "texture": mesh.texture_8bit,
        "expression_names": np.array(reconstruction.expression_names, dtype=np.str_),
        "metadata": np.array(json.dumps(metadata)),
    }


def _record(arrays: dict[str, np.ndarray]) -> Reconstruction:
    """The inverse of `_arrays`."""
    metadata: dict[str, Any] = json.loads(str(arrays["metadata"]))
    if metadata["format"] > FORMAT_VERSION:
        raise ValueError(f"format {metadata['format']}, this gcnface reads up to {FORMAT_VERSION}: install a newer one")
    mesh = TexturedMesh(
        texture=arrays["texture"].astype(np.float32) / 255,
        **{name: arrays[key] for name, key in _MESH_KEYS.items()},
    )
    fields: dict[str, Any] = {
        key: arrays[key] for key in _RECORD_KEYS if key in arrays or key not in _NOT_ALWAYS
    }
    fields.update((name, metadata[name]) for name in _METADATA)
    names = tuple(str(name) for name in arrays["expression_names"])
    return Reconstruction(mesh=mesh, expression_names=names, **fields)
