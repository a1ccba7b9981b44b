"""The exported texture atlas: the face chart on most of the square, everything else packed below it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components

from gcnface.building.geometry import adjacency

# The face chart's rectangle: the full width and the upper CHART_HEIGHT of the square, inside a margin for filtering.
CHART_HEIGHT = 0.725
MARGIN = 0.004


@dataclass(frozen=True)
class Atlas:
    """Texture coordinates of a whole mesh.

    Attributes:
        uv: (N, 2) float32 in [0, 1], v up.
        faces: (F, 3) int32 into uv, corner for corner as the mesh's faces.
    """

    uv: np.ndarray
    faces: np.ndarray


def build_atlas(vertices: np.ndarray, faces: np.ndarray, chart_uv: np.ndarray, chart_faces: np.ndarray) -> Atlas:
    """Lay out the atlas.

    Args:
        vertices: (V, 3) mm.
        faces: (F, 3).
        chart_uv: (V, 2) the face chart on the unit square, NaN outside.
        chart_faces: (Fc,) faces in the chart.
    """
    rest = np.setdiff1d(np.arange(len(faces)), chart_faces)
    rest_uv, rest_faces = _parametrise(vertices, faces[rest])
    packed = _pack_shelves(rest_uv, rest_faces, height=1.0 - CHART_HEIGHT - MARGIN)
    members = np.unique(faces[chart_faces])
    local = np.full(len(vertices), -1)
    local[members] = np.arange(len(members))
    scale = np.array([1.0 - 2 * MARGIN, CHART_HEIGHT - 2 * MARGIN])
    upper = chart_uv[members] * scale + [MARGIN, 1.0 - CHART_HEIGHT + MARGIN]
    uv_faces = np.zeros(faces.shape, np.int32)
    uv_faces[chart_faces] = local[faces[chart_faces]]
    uv_faces[rest] = rest_faces + len(members)
    return Atlas(np.concatenate([upper, packed]).astype(np.float32), uv_faces)


def _parametrise(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut faces into charts with little distortion (xatlas): uv (N, 2) in mm and faces (F, 3) into it."""
    import xatlas

    used, flat = np.unique(faces, return_inverse=True)
    atlas = xatlas.Atlas()
    atlas.add_mesh(vertices[used].astype(np.float32), flat.reshape(-1, 3).astype(np.uint32))
    options = xatlas.ChartOptions()
    options.max_iterations = 4
    options.max_cost = 8.0
    atlas.generate(chart_options=options)
    mapping, uv_faces, uv = atlas[0]
    uv = uv * [atlas.width, atlas.height] / max(atlas.texels_per_unit, 1e-9)
    return uv, uv_faces.astype(np.int64).reshape(-1, 3)


def _pack_shelves(uv: np.ndarray, faces: np.ndarray, height: float) -> np.ndarray:
    """Pack charts into the strip [0, 1] x [0, height], all at the largest common scale that fits."""
    label = connected_components(adjacency(faces, len(uv)), directed=False)[1]
    corner = np.array([uv[label == k].min(0) for k in range(label.max() + 1)])
    size = np.array([uv[label == k].max(0) for k in range(label.max() + 1)]) - corner
    local, turned = uv - corner[label], size[:, 1] > size[:, 0]
    local = np.where(turned[label, None], local[:, ::-1] * [1, -1] + np.stack([0 * label, size[label, 0]], -1), local)
    size = np.where(turned[:, None], size[:, ::-1], size)
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
    x, y, shelf = MARGIN, MARGIN, 0.0
    for k in np.argsort(-size[:, 1]):
        if x + size[k, 0] + MARGIN > 1.0:
            x, y, shelf = MARGIN, y + shelf + MARGIN, 0.0
        position[k] = x, y
        x, shelf = x + size[k, 0] + MARGIN, max(shelf, size[k, 1])
    return position if y + shelf + MARGIN <= height and x <= 1.0 else None
