"""What is written: handed to the functions that the registry's rows name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
