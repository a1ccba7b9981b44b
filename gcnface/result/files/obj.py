"""Wavefront OBJ in millimetres with its material (.mtl) and texture (.png)."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from gcnface.errors import OutputError
from gcnface.result.files.content import Content
from gcnface.result.mesh import TexturedMesh
from gcnface.version import __version__

_MATERIAL = """\
# gcnface {version}
newmtl face
Ka 0 0 0
Kd 1 1 1
Ks 0.04 0.04 0.04
Ns 20
Pr 0.6
Pm 0
d 1
illum 2
map_Kd {texture}
"""


_MISREAD = frozenset(" \"#$%&'*/:;<>?\\`|")
"""What readers of OBJ files take for the end of a name, a comment, a continued line, a folder, or a part of a URL."""


def companion_stem(name: str) -> str:
    """What the .mtl and the .png of NAME.obj are called: NAME, or where readers would stumble over it, one like it.

    The format has no way to quote a name: many readers end it at a blank. A name that was changed carries a checksum,
    so that two never become the same.
    """
    plain = "".join("_" if letter in _MISREAD or not letter.isprintable() else letter for letter in name)
    plain = f"_{plain}" if plain.startswith("-") else plain  # which would begin an option
    return plain if plain == name else f"{plain}-{zlib.crc32(name.encode(errors='surrogatepass')):08x}"


def write_obj(content: Content, path: Path, material: Path, texture: Path) -> None:
    """Write the mesh, its material and its texture, unless that would replace a picture that is not its own.

    Raises:
        OutputError: NAME.png is there without the NAME.mtl of an earlier NAME.obj; it may be the user's photo.
    """
    there, mesh = content.folder / texture.name, content.mesh
    if there.exists() and not there.with_suffix(".mtl").exists():
        raise OutputError(there, "is in the way of the texture of an .obj", "choose another folder or name")
    texture.write_bytes(mesh.texture_png)
    material.write_text(_MATERIAL.format(version=__version__, texture=texture.name), encoding="utf-8")
    parts = [
        f"# gcnface {__version__}; millimetres, y up, the face looks along +z\n",
        f"mtllib {material.name}\no {companion_stem(content.name)}\n",
        _rows("v %.4f %.4f %.4f\n", mesh.vertices),
        _rows("vt %.6f %.6f\n", mesh.uv),
        _rows("vn %.4f %.4f %.4f\n", mesh.normals),
        "usemtl face\ns 1\n",
        _rows("f %d/%d/%d %d/%d/%d %d/%d/%d\n", _corners(mesh)),
    ]
    path.write_text("".join(parts), encoding="utf-8")


def _corners(mesh: TexturedMesh) -> np.ndarray:
    """(F, 9) v/vt/vn of the three corners, counted from one; a vertex has one normal."""
    vertex, uv = mesh.faces + 1, mesh.uv_faces + 1
    return np.stack([vertex, uv, vertex], axis=2).reshape(-1, 9)


def _rows(template: str, values: np.ndarray) -> str:
    """The template filled with each row; one formatting call, since a call a row would take a second."""
    return (template * len(values)) % tuple(values.ravel().tolist())
