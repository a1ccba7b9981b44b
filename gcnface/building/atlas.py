"""The exported texture atlas: the face chart on most of the square, everything else packed below it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh

from coarse.upsampling import component_labels

# The face chart's rectangle: the full width and the upper CHART_HEIGHT of the square, inside a margin for filtering.
CHART_HEIGHT = 0.725
MARGIN = 0.004
# Texel density beside 1 for scalp, ears and neck. Eyes are looked at; the inside of the mouth and the back of the
# eyeballs are hardly ever seen.
EYE_FRONT_DENSITY, EYE_BACK_DENSITY, MOUTH_DENSITY = 2.2, 0.5, 0.6
EYE_FRONT_ANGLE_RAD = 1.4


@dataclass(frozen=True)
class Atlas:
    """Texture coordinates of a whole mesh.

    Attributes:
        uv: (N, 2) float32 in [0, 1], v up.
        faces: (F, 3) int32 into uv, corner for corner as the mesh's faces.
    """

    uv: np.ndarray
    faces: np.ndarray


@dataclass(frozen=True)
class AtlasParts:
    """Faces that are laid out each in their own way; what is in none is scalp, ears and neck.

    Attributes:
        chart: (Fc,) faces of the face chart.
        eyeballs: faces of the eyeballs.
        mouth: faces of the mouth cavity.
    """

    chart: np.ndarray
    eyeballs: np.ndarray
    mouth: np.ndarray


def build_atlas(vertices: np.ndarray, faces: np.ndarray, chart_uv: np.ndarray, parts: AtlasParts) -> Atlas:
    """Lay out the atlas.

    Args:
        vertices: (V, 3) mm.
        faces: (F, 3).
        chart_uv: (V, 2) the face chart on the unit square, NaN outside.
        parts: which faces are what.
    """
    rest = np.setdiff1d(np.arange(len(faces)), np.concatenate([parts.chart, parts.eyeballs, parts.mouth]))
    pieces = [_parametrize(vertices, faces, rest, 1.0), _parametrize(vertices, faces, parts.mouth, MOUTH_DENSITY)]
    pieces += _eye_charts(vertices, faces, parts.eyeballs)
    packed, packed_faces = trimesh.util.append_faces([piece.uv for piece in pieces], [piece.faces for piece in pieces])
    packed = _pack_shelves(packed, packed_faces, height=1.0 - CHART_HEIGHT - MARGIN)
    members, corners = np.unique(faces[parts.chart], return_inverse=True)
    scale = np.array([1.0 - 2 * MARGIN, CHART_HEIGHT - 2 * MARGIN])
    upper = chart_uv[members] * scale + [MARGIN, 1.0 - CHART_HEIGHT + MARGIN]
    uv_faces = np.zeros(faces.shape, np.int32)
    uv_faces[parts.chart] = corners.reshape(-1, 3)
    uv_faces[np.concatenate([piece.owner for piece in pieces])] = packed_faces + len(members)
    return Atlas(np.concatenate([upper, packed]).astype(np.float32), uv_faces)


@dataclass(frozen=True)
class _Piece:
    """Charts of some faces: uv (N, 2) in texels of the common scale, faces (f, 3) into it, owner (f,) mesh faces."""

    uv: np.ndarray
    faces: np.ndarray
    owner: np.ndarray


def _parametrize(vertices: np.ndarray, faces: np.ndarray, chosen: np.ndarray, density: float) -> _Piece:
    """Cut faces into charts with little distortion (xatlas), in mm times `density`."""
    import xatlas

    used, flat = np.unique(faces[chosen], return_inverse=True)
    atlas = xatlas.Atlas()
    atlas.add_mesh(vertices[used].astype(np.float32), flat.reshape(-1, 3).astype(np.uint32))
    options = xatlas.ChartOptions()
    options.max_iterations = 4
    options.max_cost = 16.0
    options.normal_deviation_weight = 1.0
    atlas.generate(chart_options=options)
    _, uv_faces, uv = atlas[0]
    uv = uv * [atlas.width, atlas.height] / max(atlas.texels_per_unit, 1e-9)
    return _Piece(uv * density, uv_faces.astype(np.int64).reshape(-1, 3), chosen)


def _eye_charts(vertices: np.ndarray, faces: np.ndarray, chosen: np.ndarray) -> list[_Piece]:
    """Front and back of each eyeball as discs: angle from the optical axis kept as radius (azimuthal equidistant)."""
    pieces = []
    middle = vertices[faces[chosen]].mean(1)
    for side in (-1.0, 1.0):
        eye = chosen[middle[:, 0] * side > 0]
        members = np.unique(faces[eye])
        center = 0.5 * (vertices[members].min(0) + vertices[members].max(0))
        arm = vertices - center
        angle = np.arccos(np.clip(arm[:, 2] / np.linalg.norm(arm, axis=1), -1.0, 1.0))
        radius = np.linalg.norm(arm[members], axis=1).mean()
        front = angle[faces[eye]].mean(1) < EYE_FRONT_ANGLE_RAD
        for part, reach, sign in ((eye[front], angle, 1.0), (eye[~front], np.pi - angle, -1.0)):
            flat = arm[:, :2] * [sign, 1.0]
            uv = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9) * reach[:, None] * radius
            density = EYE_FRONT_DENSITY if sign > 0 else EYE_BACK_DENSITY
            used, corners = np.unique(faces[part], return_inverse=True)
            pieces.append(_Piece(uv[used] * density, corners.reshape(-1, 3), part))
    return pieces


def _pack_shelves(uv: np.ndarray, faces: np.ndarray, height: float) -> np.ndarray:
    """Pack charts into the strip [0, 1] x [0, height], all at the largest common scale that fits."""
    label = component_labels(faces, len(uv))
    corner = np.array([uv[label == k].min(0) for k in range(label.max() + 1)])
    size = np.array([np.ptp(uv[label == k], axis=0) for k in range(label.max() + 1)])
    local, rotated = uv - corner[label], size[:, 1] > size[:, 0]
    upright = np.stack([local[:, 1], size[label, 0] - local[:, 0]], axis=-1)
    local = np.where(rotated[label, None], upright, local)
    size = np.where(rotated[:, None], size[:, ::-1], size)
    low, high = 0.0, 1.0 / size[:, 0].max()
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _shelves(size * middle, height) is not None else (low, middle)
    position = _shelves(size * low, height)
    if position is None:
        raise ValueError(f"{len(size)} charts do not fit the strip of height {height}: lower CHART_HEIGHT")
    return local * low + position[label]


def _shelves(size: np.ndarray, height: float) -> np.ndarray | None:
    """Corner (K, 2) of each box on shelves filled tallest first, None when they overflow the height."""
    position = np.zeros_like(size)
    shelves: list[list[float]] = []
    top = MARGIN
    for k in np.argsort(-size[:, 1], kind="stable"):
        shelf = next((s for s in shelves if s[0] + size[k, 0] + MARGIN <= 1.0 and size[k, 1] <= s[2]), None)
        if shelf is None:
            shelf = [MARGIN, top, size[k, 1]]
            shelves.append(shelf)
            top += size[k, 1] + MARGIN
        position[k] = shelf[0], shelf[1]
        shelf[0] += size[k, 0] + MARGIN
    return position if top <= height and (position[:, 0] + size[:, 0]).max() <= 1.0 else None
