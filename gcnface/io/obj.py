"""Wavefront OBJ in millimetres with its material (.mtl) and texture (.png)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gcnface.mesh import TexturedMesh
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


def write_obj(mesh: TexturedMesh, path: Path, *, name: str) -> None:
    """Write NAME.obj, and beside it NAME.mtl and NAME.png.

    Args:
        mesh: what to write; positions go out in millimetres.
        path: of the .obj; the two others take its stem.
        name: of the object in the file.
    """
    material, texture = path.with_suffix(".mtl"), path.with_suffix(".png")
    texture.write_bytes(mesh.texture_png)
    material.write_text(_MATERIAL.format(version=__version__, texture=texture.name), encoding="utf-8")
    parts = [
        f"# gcnface {__version__}; millimetres, y up, the face looks along +z\n",
        f"mtllib {material.name}\no {name}\n",
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
