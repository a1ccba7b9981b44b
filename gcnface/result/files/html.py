"""NAME.html: a turntable that needs no network, no server and no other file."""

from __future__ import annotations

import base64
import html
import json
import re
from importlib.resources import files
from pathlib import Path

import numpy as np

from gcnface.errors import printable
from gcnface.result.files.content import Content
from gcnface.result.files.gltf import glb_bytes
from gcnface.result.files.page_units import page_units
from gcnface.version import __version__


def write_html(content: Content, path: Path) -> None:
    """Write a page that turns the mesh and offers to move its blendshapes; the GLB in it is without these."""
    name, lighting = content.name, content.face.lighting if content.face else None
    parts = {
        "title": html.escape(printable(name)),
        "version": html.escape(__version__),
        "lighting": json.dumps(None if lighting is None else np.asarray(lighting, np.float64).round(5).tolist()),
        "units": json.dumps(page_units(content.mesh.split, content.targets), separators=(",", ":")),
        "glb": base64.b64encode(glb_bytes(content.mesh, name=name, provenance=content.provenance)).decode("ascii"),
    }
    page = (files("gcnface") / "assets" / "viewer.html").read_text(encoding="utf-8")
    path.write_text(re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], page), encoding="utf-8")
