"""Formats that a face is saved in: one row adds one to `save`, the command line and what they say. Nothing is loaded.

The summaries are those of docs/outputs.md.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FileFormat:
    """A row.

    Attributes:
        summary: what the files hold, a sentence.
        source: what writes them, "module:function", called with a `Content` of content.py and a path a file.
        files: their names; ``{name}`` is the face's, ``{companion}`` that of files which readers of OBJ are told of.
        mesh: written by `TexturedMesh.save` too, which knows no face.
        photo: needs the photo.
        last: written after the others, whose names and time it tells.
    """

    summary: str
    source: str
    files: tuple[str, ...]
    mesh: bool = False
    photo: bool = False
    last: bool = False

    @property
    def suffix(self) -> str:
        """By which a path asks for this format, ".glb"; empty where it cannot."""
        ending = self.files[0].removeprefix("{name}")
        return ending if ending.startswith(".") else ""

    def load(self) -> Callable[..., None]:
        """Import what the row names."""
        return pkgutil.resolve_name(self.source)  # type: ignore[no-any-return]


def _row(kind: str, summary: str, *files: str, at: str = "", **how: Any) -> FileFormat:
    source = f"gcnface.result.files.{at or kind}:write_{kind}"
    return FileFormat(summary, source, files or ("{name}." + kind,), **how)


_OBJ = ("{name}.obj", "{companion}.mtl", "{companion}.png")
_MAPS = ("{name}_source.png", "{name}_confidence.png")
_GLB = "glTF 2.0: texture, normals, material, vertex colors, blendshapes as morph targets"
_JSON = "versions, options, seconds a stage, quality, figures, blendshapes, list of files"

FORMATS = {
    "glb": _row("glb", _GLB, at="gltf", mesh=True),
    "obj": _row("obj", "vertices, uv, normals, material, texture", *_OBJ, mesh=True),
    "ply": _row("ply", "binary; vertices, normals, vertex colors", mesh=True),
    "overlay": _row("overlay", "photo, coarse, refined, refined and turned", "{name}_overlay.png", photo=True),
    "npz": _row("npz", "everything as arrays"),
    "json": _row("json", _JSON, at="summary", last=True),
    "html": _row("html", "a page that turns the face, without network or server", mesh=True),
    "maps": _row("maps", "where each texel comes from, and how far from the photo", *_MAPS),
}
"""The formats by name, in the order in which they are offered."""


def by_suffix(suffix: str, *, mesh: bool) -> str:
    """The format that a file's suffix asks for, of the mesh alone or of the face.

    Raises:
        ValueError: there is none; the message goes on from what cannot be saved.
    """
    rows = sorted(FORMATS.items(), key=lambda item: not item[1].mesh)
    known = {row.suffix: name for name, row in rows if row.suffix and (row.mesh or not mesh)}
    if suffix.lower() not in known:
        raise ValueError(f"cannot be saved as {suffix or 'a file without suffix'}; use {', '.join(known)}")
    return known[suffix.lower()]
