"""NAME.html: a turntable that needs no network, no server and no other file."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from gcnface.errors import printable
from gcnface.result.files.gltf import glb_bytes
from gcnface.result.files.page_units import page_units
from gcnface.result.mesh import TexturedMesh
from gcnface.result.morph_targets import MorphTarget
from gcnface.version import __version__


def write_html(
    mesh: TexturedMesh,
    path: Path,
    *,
    name: str,
    lighting: np.ndarray | None = None,
    provenance: Mapping[str, Any] | None = None,
    targets: Sequence[MorphTarget] = (),
) -> None:
    """Write a page that turns the mesh, with its GLB file inside.

    Args:
        mesh: what to show.
        path: of the page.
        name: its title, and what the GLB saved from it is called.
        lighting: (9, 3) spherical harmonics of the photo, offered as one of the lights; None leaves it out.
        provenance: kept in the GLB.
        targets: blendshapes, which the page offers to move; the GLB in it is without them.
    """
    content = {
        "title": html.escape(printable(name)),
        "version": html.escape(__version__),
        "lighting": json.dumps(None if lighting is None else np.asarray(lighting, np.float64).round(5).tolist()),
        "units": json.dumps(page_units(mesh.split, targets), separators=(",", ":")),
        "glb": base64.b64encode(glb_bytes(mesh, name=name, provenance=provenance)).decode("ascii"),
    }
    page = (files("gcnface") / "assets" / "viewer.html").read_text(encoding="utf-8")
    path.write_text(re.sub(r"\{\{(\w+)\}\}", lambda match: content[match[1]], page), encoding="utf-8")
