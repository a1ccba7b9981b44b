"""A mesh into the format that its file's suffix names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gcnface.errors import OutputError
from gcnface.io.atomic import staged
from gcnface.result.files.gltf import write_glb
from gcnface.result.files.html import write_html
from gcnface.result.files.obj import companion_stem, write_obj
from gcnface.result.files.ply import write_ply
from gcnface.result.mesh import MESH_FORMATS, TexturedMesh
from gcnface.result.morph_targets import MorphTarget


def save_mesh(mesh: TexturedMesh, path: Path) -> Path:
    """Write the mesh; see `TexturedMesh.save`."""
    kind = path.suffix.lower().lstrip(".")
    if kind not in MESH_FORMATS:
        known = ", ".join(f".{name}" for name in MESH_FORMATS)
        raise ValueError(f"{path}: a mesh cannot be saved as {path.suffix or 'a file without suffix'}; use {known}")
    with staged(path.parent) as stage:
        if kind == "obj":
            refuse_foreign_texture(path.parent, path.stem)
        write_mesh(mesh, stage / path.name, kind, name=path.stem)
    return path


def write_mesh(
    mesh: TexturedMesh,
    path: Path,
    kind: str,
    *,
    name: str,
    lighting: np.ndarray | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write one of `MESH_FORMATS`; light, provenance and morph targets go where the format has a place for them."""
    targets = _fitting_targets(mesh) if kind in ("glb", "html") else ()
    if kind == "glb":
        write_glb(mesh, path, name=name, provenance=provenance, targets=targets)
    elif kind == "obj":
        write_obj(mesh, path, name=name)
    elif kind == "ply":
        write_ply(mesh, path)
    else:
        write_html(mesh, path, name=name, lighting=lighting, provenance=provenance, targets=targets)


def _fitting_targets(mesh: TexturedMesh) -> tuple[MorphTarget, ...]:
    """The mesh's morph targets.

    Raises:
        ValueError: they move vertices that it does not have.
    """
    targets, count = tuple(mesh.morph_targets or ()), len(mesh.vertices)
    beyond = [t.name for t in targets if max(t.moved.max(initial=0), t.bent.max(initial=0)) >= count]
    if beyond:
        what = f"morph_targets ({beyond[0]}) move vertices beyond the {count} of the mesh"
        raise ValueError(f"{what}; give those that belong to it, or () for none")
    return targets


def refuse_foreign_texture(folder: Path, name: str) -> None:
    """Keep NAME.obj's texture from replacing a picture that is not its own: the user's photo may be NAME.png.

    Raises:
        OutputError: NAME.png is there without the NAME.mtl of an earlier NAME.obj.
    """
    texture = folder / f"{companion_stem(name)}.png"
    if texture.exists() and not texture.with_suffix(".mtl").exists():
        raise OutputError(texture, "is in the way of the texture of an .obj", "choose another folder or name")
