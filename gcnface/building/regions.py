"""Regions and a plain default albedo of the head's vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coarse.face_model import REGIONS
from gcnface.building.cage import PARTS, HeadCage

SKIN_RGB = (0.45, 0.27, 0.20)
LIP_RGB = (0.40, 0.17, 0.15)
MOUTH_RGB = (0.20, 0.06, 0.06)
SCLERA_RGB = (0.62, 0.58, 0.55)
IRIS_RGB = (0.08, 0.05, 0.03)
PUPIL_RGB = (0.01, 0.01, 0.01)
IRIS_ANGLE_RAD = 0.38
PUPIL_ANGLE_RAD = 0.13
EYE_REACH_MM = 11.0
LIP_REACH_MM = 5.0


@dataclass(frozen=True)
class VertexParts:
    """Which vertices touch which quads of the cage.

    Attributes:
        part: name -> (V,) bool, vertices of a face in that part of the cage.
        lips: (V,) bool.
        lids: (V,) bool.
    """

    part: dict[str, np.ndarray]
    lips: np.ndarray
    lids: np.ndarray


def vertex_parts(cage: HeadCage, faces: np.ndarray, face_quad: np.ndarray, vertex_count: int) -> VertexParts:
    """Carry the cage's parts to the vertices of the subdivided mesh."""

    def touched(chosen: np.ndarray) -> np.ndarray:
        mask = np.zeros(vertex_count, dtype=bool)
        mask[faces[chosen[face_quad]]] = True
        return mask

    part = {name: touched(cage.part == i) for i, name in enumerate(PARTS)}
    return VertexParts(part, touched(cage.lips), touched(cage.lids))


def vertex_regions(vertices: np.ndarray, parts: VertexParts) -> np.ndarray:
    """(V,) uint8 index into REGIONS; the face wins where parts meet.

    Eyes, nose and mouth are what lies near the lids and the red of the lips, and a wedge over the nose.
    """
    region = np.zeros(len(vertices), np.uint8)
    for name in ("scalp", "neck", "ears", "mouth_interior", "eyeballs"):
        region[parts.part[name] & ~parts.part["face"]] = REGIONS.index(name)
    features = _near(vertices, parts.lids, EYE_REACH_MM) | _near(vertices, parts.lips, LIP_REACH_MM)
    features |= _nose(vertices, parts)
    region[parts.part["face"] & features] = REGIONS.index("eyes_nose_mouth")
    return region


def default_albedo(vertices: np.ndarray, parts: VertexParts) -> np.ndarray:
    """(V, 3) linear RGB: one skin tone, darker lips and mouth, white eyeballs with iris and pupil."""
    rgb = np.tile(np.array(SKIN_RGB), (len(vertices), 1))
    rgb[parts.lips] = LIP_RGB
    rgb[parts.part["mouth_interior"] & ~parts.part["face"]] = MOUTH_RGB
    for side in (1.0, -1.0):
        eye = np.flatnonzero(parts.part["eyeballs"] & (vertices[:, 0] * side > 0))
        if len(eye):
            rgb[eye] = eye_albedo(vertices[eye])
    return rgb.astype(np.float32)


def eye_albedo(eyeball: np.ndarray) -> np.ndarray:
    """(N, 3) linear RGB of the vertices (N, 3) of one eyeball that looks along +z."""
    arm = eyeball - 0.5 * (eyeball.min(0) + eyeball.max(0))
    angle = np.arccos(np.clip(arm[:, 2] / np.linalg.norm(arm, axis=1), -1.0, 1.0))[:, None]
    rgb = np.where(angle < IRIS_ANGLE_RAD, np.array(IRIS_RGB), np.array(SCLERA_RGB))
    return np.where(angle < PUPIL_ANGLE_RAD, np.array(PUPIL_RGB), rgb)


def _near(vertices: np.ndarray, seeds: np.ndarray, reach_mm: float) -> np.ndarray:
    from scipy.spatial import cKDTree

    return cKDTree(vertices[seeds]).query(vertices, distance_upper_bound=reach_mm)[0] < reach_mm


def _nose(vertices: np.ndarray, parts: VertexParts) -> np.ndarray:
    """A wedge from between the eyes to below the nostrils, over what stands out of the face."""
    x, y, z = vertices.T
    face = parts.part["face"]
    eye_y, lip_y = y[parts.lids].mean(), y[parts.lips].max()
    midline = face & (np.abs(x) < 1.0) & (y > lip_y) & (y < eye_y)
    tip = np.flatnonzero(midline)[z[midline].argmax()]
    base_y = lip_y + 0.55 * (y[tip] - lip_y)
    share = np.clip((eye_y - y) / (eye_y - y[tip]), 0.0, 1.0)
    half_width = 9.0 + 13.0 * share
    return face & (np.abs(x) < half_width) & (y < eye_y + 4.0) & (y > base_y) & (z > z[tip] - 32.0)
