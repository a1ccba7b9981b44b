"""Binary glTF 2.0: the textured mesh, its vertex colours, its blendshapes as morph targets.

A viewer multiplies the attribute COLOR_0 with the texture, so the vertex colours stand under a name of our own, which
viewers pass over. A second mesh for them would not do: some programs show every mesh of a file at once. Lengths are
metres, y is up, the face looks along +z. Specification: Khronos glTF 2.0, sections 3.6 (buffers, sparse accessors), 3.7
(meshes, morph targets), 3.9 (materials), 4 (the container).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gcnface.io import plain_json
from gcnface.result.files.content import Content
from gcnface.result.files.gltf_animation import HeadAnimation, animated
from gcnface.result.files.gltf_buffer import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, Buffer
from gcnface.result.mesh import TexturedMesh
from gcnface.version import __version__

if TYPE_CHECKING:
    from gcnface.result.morph_targets import MorphTarget

METERS_PER_MM = 1e-3
ROUGHNESS = 0.6
"""Skin under a viewer's lamp: a soft highlight, no plastic."""

_MAGIC, _VERSION, _JSON_CHUNK, _BINARY_CHUNK = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
VERTEX_COLOR = "_VERTEX_ALBEDO"
"""Attribute of the vertex colours: RGBA, 16 bits, linear."""

_LINEAR, _LINEAR_MIPMAP_LINEAR, _CLAMP_TO_EDGE = 9729, 9987, 33071


def write_glb(content: Content, path: Path) -> None:
    """Write the mesh with its morph targets; the provenance goes along."""
    about, targets = content.provenance, content.targets
    path.write_bytes(glb_bytes(content.mesh, name=content.name, provenance=about, targets=targets))


def glb_bytes(
    mesh: TexturedMesh,
    *,
    name: str,
    provenance: Mapping[str, Any] | None = None,
    targets: Sequence[MorphTarget] = (),
    animation: HeadAnimation | None = None,
) -> bytes:
    """The mesh as one GLB file.

    Args:
        mesh: what to write.
        name: of the node and the mesh, as a modelling program shows it.
        provenance: anything JSON can hold, kept in ``asset.extras``.
        targets: morph targets, whose weights are 0 at first; their names stand in ``extras.targetNames``.
        animation: how the head moves, its weights in the order of the targets.
    """
    buffer = Buffer()
    split = mesh.split
    attributes = {
        "POSITION": buffer.accessor(mesh.vertices[split.vertex] * np.float32(METERS_PER_MM), ARRAY_BUFFER, bounds=True),
        "NORMAL": buffer.accessor(_unit(mesh.normals)[split.vertex], ARRAY_BUFFER),
        "TEXCOORD_0": buffer.accessor(_uv_from_top(mesh.uv)[split.uv], ARRAY_BUFFER),
        VERTEX_COLOR: buffer.accessor(_linear_rgba16(mesh.vertex_rgb)[split.vertex], ARRAY_BUFFER, normalized=True),
    }
    indices = buffer.accessor(split.faces.reshape(-1, 1), ELEMENT_ARRAY_BUFFER)
    primitive: dict[str, Any] = {"attributes": attributes, "indices": indices, "material": 0}
    shape: dict[str, Any] = {"name": name, "primitives": [primitive]}
    if targets:
        primitive["targets"] = [_target(buffer, target, split.vertex) for target in targets]
        shape["weights"] = [0.0] * len(targets)
        shape["extras"] = {"targetNames": [target.name for target in targets]}
    image = buffer.view(mesh.texture_png)
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": f"gcnface {__version__}", "extras": dict(provenance or {})},
        "scene": 0,
        "scenes": [{"name": name, "nodes": [0]}],
        "nodes": [{"name": name, "mesh": 0}],
        "meshes": [shape],
        "materials": [_MATERIAL],
        "textures": [{"source": 0, "sampler": 0}],
        "images": [{"name": f"{name}_texture", "mimeType": "image/png", "bufferView": image}],
        "samplers": [_SAMPLER],
    }
    if animation is not None:
        document = animated(document, buffer, animation)
    document |= {
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.data)}],
    }
    return _container(plain_json.written(document, separators=(",", ":")).encode(), bytes(buffer.data))


_MATERIAL = {
    "name": "face",
    "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": ROUGHNESS, "baseColorTexture": {"index": 0}},
    "doubleSided": True,
}
_SAMPLER = {"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP_LINEAR, "wrapS": _CLAMP_TO_EDGE, "wrapT": _CLAMP_TO_EDGE}


def _target(buffer: Buffer, target: MorphTarget, vertex: np.ndarray) -> dict[str, int]:
    """The accessors of a morph target; `vertex` (N,) names each corner's vertex."""
    offset = target.offset_mm * np.float32(METERS_PER_MM)
    return {
        "POSITION": buffer.sparse(*_at_corners(vertex, target.moved, offset), len(vertex), bounds=True),
        "NORMAL": buffer.sparse(*_at_corners(vertex, target.bent, target.normal_change), len(vertex)),
    }


def _at_corners(vertex: np.ndarray, rows: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners whose vertex is among `rows`, ascending, and their values; corner 0 with 0 where there are none."""
    place = np.full(int(vertex.max()) + 1, -1)
    place[rows] = np.arange(len(rows))
    corners = np.flatnonzero(place[vertex] >= 0)
    if not len(corners):
        return np.zeros(1, np.int64), np.zeros((1, 3), np.float32)
    return corners, values[place[vertex[corners]]].astype(np.float32)


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
    """A header of 12 bytes, and before each chunk one of 8; JSON is padded to four bytes by spaces, binary by zeros."""
    document += b" " * (-len(document) % 4)
    binary += bytes(-len(binary) % 4)
    header = struct.pack("<III", _MAGIC, _VERSION, 28 + len(document) + len(binary))
    chunks = ((_JSON_CHUNK, document), (_BINARY_CHUNK, binary))
    return header + b"".join(struct.pack("<II", len(data), kind) + data for kind, data in chunks)
