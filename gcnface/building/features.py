"""Features of the mean head that a landmark scheme can hold on to: eye contours, lips, nose, chin, outline.

Everything is found on the subject's right half (x < 0); the head is symmetric.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gcnface.building.regions import VertexParts

COLUMNS = 41
OUTER_CANTHUS_MARGIN_MM = 2.0
INNER_CANTHUS_MARGIN_MM = 1.0


@dataclass(frozen=True)
class HeadFeatures:
    """Points (3,) and curves (N, 3) in mm; curves ascend in x, lips end on the mirror plane."""

    right_eye_upper: np.ndarray
    right_eye_lower: np.ndarray
    outer_lip_upper: np.ndarray
    outer_lip_lower: np.ndarray
    inner_lip_upper: np.ndarray
    inner_lip_lower: np.ndarray
    nose_tip: np.ndarray
    nose_base: np.ndarray
    nose_bridge: np.ndarray
    chin: np.ndarray
    right_wing: np.ndarray
    right_ear_front: np.ndarray
    right_jaw_angle: np.ndarray


def find_features(vertices: np.ndarray, normals: np.ndarray, parts: VertexParts, jaw_open: np.ndarray) -> HeadFeatures:
    """Find the features.

    Args:
        vertices: (V, 3) mean head.
        normals: (V, 3) its unit normals.
        parts: which vertices belong to what.
        jaw_open: (V, 3) offsets of the unit that opens the jaw: tells the lower lip from the upper.
    """
    lids = parts.lids & (vertices[:, 0] < 0)
    upper, lower = _eye_contour(vertices, normals, lids)
    lower_lip = jaw_open[:, 1] < 0.5 * jaw_open[parts.lips, 1].min()
    return HeadFeatures(
        right_eye_upper=upper,
        right_eye_lower=lower,
        **_lip_contours(vertices, normals, parts.lips, lower_lip),
        **_profile(vertices, normals, parts),
        **_outline(vertices, parts),
    )


def _eye_contour(vertices: np.ndarray, normals: np.ndarray, lids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower lid margins (COLUMNS, 3) from the outer to the inner corner: the innermost visible lid."""
    seen = vertices[lids & (normals[:, 2] > 0.2)]
    left, right = seen[:, 0].min() + OUTER_CANTHUS_MARGIN_MM, seen[:, 0].max() - INNER_CANTHUS_MARGIN_MM
    corners = [seen[np.abs(seen[:, 0] - x) < 0.8].mean(0) for x in (left, right)]
    columns = np.linspace(left, right, COLUMNS)
    axis = np.interp(columns, (left, right), (corners[0][1], corners[1][1]))
    curves = []
    for sign in (1.0, -1.0):
        curve = [corners[0]]
        for x, y in zip(columns[1:-1], axis[1:-1], strict=True):
            near = seen[(np.abs(seen[:, 0] - x) < 0.6) & (sign * (seen[:, 1] - y) > 0)]
            curve.append(near[np.abs(near[:, 1] - y).argmin()] if len(near) else np.full(3, np.nan))
        curves.append(_filled(np.stack([*curve, corners[1]])))
    return curves[0], curves[1]


def _lip_contours(
    vertices: np.ndarray, normals: np.ndarray, lips: np.ndarray, lower: np.ndarray
) -> dict[str, np.ndarray]:
    """Borders of the red and contact lines (N, 3), from the right corner to the middle.

    Near the corner, where upper and lower lip run into each other, curves are straight to the corner.
    """
    seen = lips & (normals[:, 2] > 0.25)
    corner = vertices[seen][vertices[seen, 0] < vertices[seen, 0].min() + 1.0].mean(0)
    columns = np.linspace(corner[0], 0.0, COLUMNS)
    inside = columns > 0.92 * corner[0]
    curves = {}
    for name, half, sign in (("upper", seen & ~lower, 1.0), ("lower", seen & lower, -1.0)):
        border, contact = [corner], [corner]
        for x in columns[1:]:
            near = vertices[half & (np.abs(vertices[:, 0] - x) < 0.8)]
            clear = abs(x) < 0.85 * abs(corner[0]) and len(near) > 0
            height = sign * near[:, 1]
            border.append(near[height.argmax()] if clear else np.full(3, np.nan))
            contact.append(near[height.argmin()] if clear else np.full(3, np.nan))
        curves[f"outer_lip_{name}"] = _filled(np.stack(border))
        curves[f"inner_lip_{name}"] = _filled(np.stack(contact))[inside]
    return curves


def _profile(vertices: np.ndarray, normals: np.ndarray, parts: VertexParts) -> dict[str, np.ndarray]:
    """Nose and chin on the mirror plane, and the wing of the nose."""
    face = parts.part["face"]
    line = vertices[face & (np.abs(vertices[:, 0]) < 0.01)]
    eye_y, lip_top = vertices[parts.lids, 1].mean(), vertices[parts.lips, 1].max()
    lip_bottom = vertices[parts.lips, 1].min()
    between = line[(line[:, 1] > lip_top) & (line[:, 1] < eye_y)]
    tip = between[between[:, 2].argmax()]
    below = between[between[:, 1] < tip[1]]
    # The deepest point under the nose, seen from the chord between the tip and the upper lip.
    chord = (tip - below[below[:, 1].argmin()]) / np.linalg.norm(tip - below[below[:, 1].argmin()])
    depth = np.cross(below - tip, chord)[:, 0]
    base = below[np.abs(depth).argmax()]
    bridge_band = line[np.abs(line[:, 1] - eye_y) < 8.0]
    bridge = bridge_band[bridge_band[:, 2].argmin()]
    jaw = line[(line[:, 1] < lip_bottom - 8.0) & (line[:, 2] > tip[2] - 55.0)]
    chin = jaw[(jaw[:, 1] - 0.6 * jaw[:, 2]).argmin()]
    wing = face & (vertices[:, 0] < -9) & (vertices[:, 0] > -26) & (normals[:, 0] < -0.75)
    wing &= (vertices[:, 1] > base[1]) & (vertices[:, 1] < tip[1] + 6.0) & (vertices[:, 2] > tip[2] - 30.0)
    return {
        "nose_tip": tip,
        "nose_base": base,
        "nose_bridge": bridge,
        "chin": chin,
        "right_wing": vertices[wing].mean(0),
    }


def _outline(vertices: np.ndarray, parts: VertexParts) -> dict[str, np.ndarray]:
    """In front of the ear at the height of the nose's bridge, and the corner of the jaw."""
    face, ears = parts.part["face"], parts.part["ears"]
    right = vertices[face & ears & (vertices[:, 0] < 0)]
    eye_y, lip_y = vertices[parts.lids, 1].mean(), vertices[parts.lips, 1].mean()
    front = right[np.abs(right[:, 1] - (0.7 * eye_y + 0.3 * lip_y)).argsort()[:8]].mean(0)
    skin = vertices[face & (vertices[:, 0] < 0)]
    level = skin[np.abs(skin[:, 1] - (lip_y - 2.0)) < 2.0]
    return {"right_ear_front": front + [0.0, 0.0, 4.0], "right_jaw_angle": level[level[:, 0].argmin()]}


def _filled(curve: np.ndarray) -> np.ndarray:
    known = ~np.isnan(curve[:, 0])
    at = np.arange(len(curve))
    return _smooth(np.stack([np.interp(at, at[known], curve[known, i]) for i in range(3)], axis=-1))


def _smooth(curve: np.ndarray) -> np.ndarray:
    """Average each point with its neighbours, ends fixed, and sort by x."""
    padded = np.concatenate([curve[:1], curve, curve[-1:]])
    mean = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    mean[0], mean[-1] = curve[0], curve[-1]
    return mean[np.argsort(mean[:, 0])]
