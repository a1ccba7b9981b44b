"""NAME.html: a turntable that needs no network, no server and no other file.

Its blendshapes have a hundredth of the size they have in the GLB. Neighbouring vertices have neighbouring numbers and
move alike, so differences along the numbering are small; they are stored as whole steps, low bytes apart from high
bytes, and packed by gzip, which browsers unpack.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcnface.errors import printable
from gcnface.result.files.content import Content
from gcnface.result.files.gltf import glb_bytes
from gcnface.result.mesh import SplitMesh
from gcnface.result.morph_targets import MorphTarget
from gcnface.version import __version__

STEP_MM = 0.05
"""Offsets are rounded to it; half of what the GLB leaves out."""

LARGEST_COUNT = 65536
"""Of vertices, whose numbers have two bytes."""


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


def page_units(split: SplitMesh, targets: Sequence[MorphTarget]) -> dict[str, Any] | None:
    """What the page needs to move the face; JSON values, or None where there is nothing to move.

    ``data`` is base64 of gzip of these columns, each all low bytes and then all high bytes of unsigned 16-bit numbers:
    the vertex of each corner, as differences; for all units in turn the vertices they move, as differences that begin
    anew with each unit; then x, y and z of the offsets in steps, as differences likewise, in zigzag (0, -1, 1, ...).
    """
    moving = tuple(target for target in targets if len(target.moved))
    if not moving or int(split.vertex.max()) >= LARGEST_COUNT:
        return None
    return {
        "names": [target.name for target in moving],
        "counts": [len(target.moved) for target in moving],
        "step": STEP_MM / 1000,
        "data": _packed(split.vertex.astype(np.int64).tobytes(), moving),
    }


@lru_cache(maxsize=2)
def _packed(vertex: bytes, targets: tuple[MorphTarget, ...]) -> str:
    """The columns, packed; kept, since they are the same for every face of a model. `vertex` is int64."""
    corners = np.diff(np.frombuffer(vertex, np.int64), prepend=0)
    rows = np.concatenate([np.diff(target.moved, prepend=0) for target in targets])
    steps = [np.rint(target.offset_mm / STEP_MM).astype(np.int64) for target in targets]
    offsets = np.concatenate([np.diff(step, axis=0, prepend=0) for step in steps])
    zigzag = np.where(offsets < 0, -2 * offsets - 1, 2 * offsets)
    columns = (corners, rows, *zigzag.T)
    packed = gzip.compress(b"".join(_halves(column) for column in columns), 7, mtime=0)
    return base64.b64encode(packed).decode("ascii")


def _halves(column: NDArray[np.int64]) -> bytes:
    """All low bytes, then all high bytes."""
    if column.size and not (column.min() >= 0 and column.max() < LARGEST_COUNT):
        raise ValueError(f"column holds {column.min()} to {column.max()}; expected numbers of 16 bits")
    return (column & 255).astype(np.uint8).tobytes() + (column >> 8).astype(np.uint8).tobytes()
