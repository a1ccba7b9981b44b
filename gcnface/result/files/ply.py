"""Binary PLY in millimetres with a normal and a colour for every vertex."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gcnface.result.files.content import Content
from gcnface.version import __version__

_VERTEX = np.dtype([("position", "<f4", 3), ("normal", "<f4", 3), ("rgb", "u1", 3)])
_FACE = np.dtype([("count", "u1"), ("indices", "<i4", 3)])
_HEADER = """\
ply
format binary_little_endian 1.0
comment gcnface {version}; millimetres, y up, the face looks along +z; colours are sRGB albedo
element vertex {vertices}
property float x
property float y
property float z
property float nx
property float ny
property float nz
property uchar red
property uchar green
property uchar blue
element face {faces}
property list uchar int vertex_indices
end_header
"""


def write_ply(content: Content, path: Path) -> None:
    """Write the mesh with its vertex colours; the texture stays behind."""
    mesh = content.mesh
    vertices = np.zeros(len(mesh.vertices), _VERTEX)
    vertices["position"], vertices["normal"] = mesh.vertices, mesh.normals
    vertices["rgb"] = np.rint(np.clip(mesh.vertex_rgb, 0, 1) * 255)
    faces = np.zeros(len(mesh.faces), _FACE)
    faces["count"], faces["indices"] = 3, mesh.faces
    header = _HEADER.format(version=__version__, vertices=len(vertices), faces=len(faces))
    path.write_bytes(header.encode("ascii") + vertices.tobytes() + faces.tobytes())
