"""The 52 ARKit-named expression units on the head cage."""

from __future__ import annotations

import numpy as np

from coarse.face_model import expression_mirror
from gcnface.building.cage import MM_PER_DM, HeadCage
from gcnface.building.makehuman import MakeHumanData


def expression_units(data: MakeHumanData, cage: HeadCage, vertex_count: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Names (52) and offsets (Vc, 3, 52) in mm, Left/Right units made exact mirror images of each other.

    ARKit's Left is the subject's left, +x of the model.
    """
    names = data.face_unit_names()
    raw = [data.face_unit(name, vertex_count)[cage.base_index] * MM_PER_DM for name in names]
    twins = [mirror_offsets(raw[other], cage.mirror) for other in expression_mirror(names)]
    return names, np.stack([0.5 * (unit + twin) for unit, twin in zip(raw, twins, strict=True)], axis=-1)


def mirror_offsets(offsets: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Mirror image in x of offsets (V, 3)."""
    return offsets[mirror] * np.array([-1.0, 1.0, 1.0], dtype=offsets.dtype)
