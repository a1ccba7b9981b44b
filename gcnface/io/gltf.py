"""Binary glTF 2.0: the textured mesh, and beside it the same mesh in its vertex colours.

A viewer multiplies vertex colours with the texture, so one mesh must not carry both. The file has two scenes that
share positions, normals and indices: "textured" (shown by default) and "vertex_colours". Lengths are metres, y is up,
the face looks along +z. Specification: Khronos glTF 2.0, sections 3.6 (buffers), 3.7 (meshes), 3.9 (materials), 4 (the
container).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gcnface.mesh import TexturedMesh
from gcnface.version import __version__

METRES_PER_MM = 1e-3
ROUGHNESS = 0.6
"""Skin under a viewer's lamp: a soft highlight, no plastic."""

_MAGIC, _VERSION, _JSON_CHUNK, _BINARY_CHUNK = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_COMPONENT = {np.dtype(np.float32): 5126, np.dtype(np.uint32): 5125, np.dtype(np.uint16): 5123}
_TYPE = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
_LINEAR, _LINEAR_MIPMAP_LINEAR, _CLAMP_TO_EDGE = 9729, 9987, 33071


def write_glb(mesh: TexturedMesh, path: Path, *, name: str, provenance: Mapping[str, Any] | None = None) -> None:
    """Write `glb_bytes` to a file."""
    path.write_bytes(glb_bytes(mesh, name=name, provenance=provenance))


def glb_bytes(mesh: TexturedMesh, *, name: str, provenance: Mapping[str, Any] | None = None) -> bytes:
    """The mesh as one GLB file.

    Args:
        mesh: what to write.
        name: of the nodes and meshes, as a modelling program shows it.
        provenance: anything JSON can hold, kept in ``asset.extras``.
    """
    buffer = _Buffer()
    split = mesh.split
    position = buffer.accessor(mesh.vertices[split.vertex] * np.float32(METRES_PER_MM), _ARRAY_BUFFER, bounds=True)
    normal = buffer.accessor(_unit(mesh.normals)[split.vertex], _ARRAY_BUFFER)
    uv = buffer.accessor(_uv_from_top(mesh.uv)[split.uv], _ARRAY_BUFFER)
    colour = buffer.accessor(_linear_rgba16(mesh.vertex_rgb)[split.vertex], _ARRAY_BUFFER, normalized=True)
    indices = buffer.accessor(split.faces.reshape(-1, 1), _ELEMENT_ARRAY_BUFFER)
    image = buffer.view(mesh.texture_png)
    shared = {"POSITION": position, "NORMAL": normal}
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": f"gcnface {__version__}", "extras": dict(provenance or {})},
        "scene": 0,
        "scenes": [{"name": "textured", "nodes": [0]}, {"name": "vertex_colours", "nodes": [1]}],
        "nodes": [{"name": name, "mesh": 0}, {"name": f"{name}_vertex_colours", "mesh": 1}],
        "meshes": [
            _mesh(name, {**shared, "TEXCOORD_0": uv}, indices, material=0),
            _mesh(f"{name}_vertex_colours", {**shared, "COLOR_0": colour}, indices, material=1),
        ],
        "materials": [_material("face", texture=0), _material("face_vertex_colours", texture=None)],
        "textures": [{"source": 0, "sampler": 0}],
        "images": [{"name": f"{name}_texture", "mimeType": "image/png", "bufferView": image}],
        "samplers": [
            {
                "magFilter": _LINEAR,
                "minFilter": _LINEAR_MIPMAP_LINEAR,
                "wrapS": _CLAMP_TO_EDGE,
                "wrapT": _CLAMP_TO_EDGE,
            }
        ],
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.data)}],
    }
    return _container(json.dumps(document, separators=(",", ":")).encode(), bytes(buffer.data))


class _Buffer:
    """The binary chunk as it grows, with the views and accessors into it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, content: bytes, target: int | None = None) -> int:
        """Append bytes at a multiple of four; the index of their view."""
        self.data.extend(bytes(-len(self.data) % 4))
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content)}
        if target is not None:
            view["target"] = target
        self.data.extend(content)
        self.views.append(view)
        return len(self.views) - 1

    def accessor(self, array: np.ndarray, target: int, *, normalized: bool = False, bounds: bool = False) -> int:
        """Append (N, C) values; the index of their accessor."""
        accessor: dict[str, Any] = {
            "bufferView": self.view(array.tobytes(), target),
            "componentType": _COMPONENT[array.dtype],
            "count": len(array),
            "type": _TYPE[array.shape[1]],
        }
        if normalized:
            accessor["normalized"] = True
        if bounds:
            accessor["min"], accessor["max"] = array.min(0).tolist(), array.max(0).tolist()
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def _mesh(name: str, attributes: dict[str, int], indices: int, material: int) -> dict[str, Any]:
    """A mesh of one primitive."""
    return {"name": name, "primitives": [{"attributes": attributes, "indices": indices, "material": material}]}


def _material(name: str, texture: int | None) -> dict[str, Any]:
    """A dull, non-metallic material, with a base colour texture or without one."""
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": ROUGHNESS}
    if texture is not None:
        surface["baseColorTexture"] = {"index": texture}
    return {"name": name, "pbrMetallicRoughness": surface, "doubleSided": True}


def _unit(normals: np.ndarray) -> np.ndarray:
    """(V, 3) of length one to float32's precision, as validators demand; a zero normal becomes +z."""
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    safe = np.where(length > 0, normals / np.where(length > 0, length, 1), (0.0, 0.0, 1.0))
    return safe.astype(np.float32)


def _uv_from_top(uv: np.ndarray) -> np.ndarray:
    """The format counts v downwards from the image's first row."""
    return np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1).astype(np.float32)


def _linear_rgba16(rgb: np.ndarray) -> np.ndarray:
    """(V, 3) sRGB in [0, 1] to (V, 4) uint16 linear RGB and an opaque alpha, which keeps every row aligned to four."""
    rgb = np.clip(rgb, 0, 1)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    opaque = np.concatenate([linear, np.ones((len(rgb), 1))], axis=1)
    return np.rint(opaque * 65535).astype(np.uint16)


def _container(document: bytes, binary: bytes) -> bytes:
    """Header and the two chunks, each padded to four bytes (JSON by spaces, binary by zeros)."""
    document += b" " * (-len(document) % 4)
    binary += bytes(-len(binary) % 4)
    length = 12 + 8 + len(document) + 8 + len(binary)
    return b"".join(
        [
            struct.pack("<III", _MAGIC, _VERSION, length),
            struct.pack("<II", len(document), _JSON_CHUNK),
            document,
            struct.pack("<II", len(binary), _BINARY_CHUNK),
            binary,
        ]
    )
