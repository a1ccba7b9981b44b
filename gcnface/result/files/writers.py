"""What the registry's rows name: each writes its files of one face."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gcnface.errors import OutputError
from gcnface.result.files.gltf import write_glb
from gcnface.result.files.html import write_html
from gcnface.result.files.maps import write_maps
from gcnface.result.files.npz import write_npz
from gcnface.result.files.obj import write_obj
from gcnface.result.files.overlay import write_overlay
from gcnface.result.files.ply import write_ply
from gcnface.result.files.summary import write_summary
from gcnface.result.mesh import TexturedMesh
from gcnface.result.morph_targets import MorphTarget
from gcnface.result.reconstruction import Reconstruction


@dataclass(frozen=True)
class Content:
    """What is written.

    Attributes:
        mesh: the mesh.
        name: of the face.
        folder: where the files will lie; they are written elsewhere first.
        face: the mesh's face; None where the mesh alone is saved.
        files: names of all files that are written.
        begin: when writing began, as `time.perf_counter` counts.
    """

    mesh: TexturedMesh
    name: str
    folder: Path
    face: Reconstruction | None = None
    files: Sequence[str] = ()
    begin: float = 0.0

    @property
    def known_face(self) -> Reconstruction:
        """The face, of formats that no mesh is saved in."""
        assert self.face is not None
        return self.face

    @property
    def provenance(self) -> dict[str, Any] | None:
        """What is told of the face's making."""
        return dict(self.face.provenance) if self.face else None

    @property
    def lighting(self) -> np.ndarray | None:
        """(9, 3) of the photo."""
        return self.face.lighting if self.face else None

    @property
    def targets(self) -> tuple[MorphTarget, ...]:
        """The mesh's morph targets.

        Raises:
            ValueError: they move vertices that it does not have.
        """
        targets, count = tuple(self.mesh.morph_targets or ()), len(self.mesh.vertices)
        beyond = [t.name for t in targets if max(t.moved.max(initial=0), t.bent.max(initial=0)) >= count]
        if beyond:
            what = f"morph_targets ({beyond[0]}) move vertices beyond the {count} of the mesh"
            raise ValueError(f"{what}; give those that belong to it, or () for none")
        return targets


def glb(content: Content, path: Path) -> None:
    """Write the mesh with its morph targets; the provenance goes along."""
    write_glb(content.mesh, path, name=content.name, provenance=content.provenance, targets=content.targets)


def obj(content: Content, path: Path, material: Path, texture: Path) -> None:
    """Write the mesh, its material and its texture, unless that would replace a picture that is not its own.

    Raises:
        OutputError: NAME.png is there without the NAME.mtl of an earlier NAME.obj; it may be the user's photo.
    """
    there = content.folder / texture.name
    if there.exists() and not there.with_suffix(".mtl").exists():
        raise OutputError(there, "is in the way of the texture of an .obj", "choose another folder or name")
    write_obj(content.mesh, path, name=content.name)


def ply(content: Content, path: Path) -> None:
    """Write the mesh with its vertex colors."""
    write_ply(content.mesh, path)


def html(content: Content, path: Path) -> None:
    """Write a page that turns the mesh."""
    mesh, name, light = content.mesh, content.name, content.lighting
    write_html(mesh, path, name=name, lighting=light, provenance=content.provenance, targets=content.targets)


def overlay(content: Content, path: Path) -> None:
    """Write drawings of the face over its photo."""
    write_overlay(content.known_face, path)


def npz(content: Content, path: Path) -> None:
    """Write every array of the face."""
    write_npz(content.known_face, path)


def json(content: Content, path: Path) -> None:
    """Write the summary; it tells how long the other files took."""
    timings = {**content.known_face.timings, "write": time.perf_counter() - content.begin}
    write_summary(replace(content.known_face, timings=timings), path, name=content.name, files=list(content.files))


def maps(content: Content, source: Path, confidence: Path) -> None:
    """Write where texels come from."""
    write_maps(content.known_face, source, confidence)
