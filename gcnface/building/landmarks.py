"""Where the 468 points of the MediaPipe face mesh lie on the head.

The canonical face is warped onto the head by a thin-plate spline through features that both show (eye contours, lips,
nose, chin, the outline in front of the ears), then projected onto the skin.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from coarse.upsampling import SurfacePoints, closest_points
from gcnface.building.features import HeadFeatures
from gcnface.building.geometry import mirrored_points

# Points of the 468-point mesh on contours, from the subject's right (image left) to the middle or across; the left
# side follows by mirroring.
# fmt: off
RIGHT_EYE_UPPER = (33, 246, 161, 160, 159, 158, 157, 173, 133)
RIGHT_EYE_LOWER = (33, 7, 163, 144, 145, 153, 154, 155, 133)
OUTER_LIP_UPPER = (61, 185, 40, 39, 37, 0)
OUTER_LIP_LOWER = (61, 146, 91, 181, 84, 17)
INNER_LIP_UPPER = (78, 191, 80, 81, 82, 13)
INNER_LIP_LOWER = (78, 95, 88, 178, 87, 14)
# fmt: on
NOSE_TIP, NOSE_BASE, NOSE_BRIDGE, CHIN, RIGHT_WING = 4, 2, 168, 152, 48
RIGHT_EAR_FRONT, RIGHT_JAW_ANGLE = 234, 58


@dataclass(frozen=True)
class CanonicalFace:
    """MediaPipe's canonical face.

    Attributes:
        points: (468, 3) mm, x to the viewer's right, y up, z towards the viewer.
        faces: (898, 3).
        mirror: (468,) index of each point's mirror image.
    """

    points: np.ndarray
    faces: np.ndarray
    mirror: np.ndarray


@dataclass(frozen=True)
class HeadSurface:
    """The mean head for placing points.

    Attributes:
        vertices: (V, 3) symmetric.
        faces: (F, 3).
        mirror: (V,) mirror table.
        allowed: (F,) bool, faces that landmarks may lie on (outward skin of the face chart), symmetric.
    """

    vertices: np.ndarray
    faces: np.ndarray
    mirror: np.ndarray
    allowed: np.ndarray


def read_canonical(path: str | Path) -> CanonicalFace:
    """Read ``canonical_face_468.npz`` (v in cm, f) and find its mirror pairs.

    Raises:
        ValueError: when the mesh is not symmetric.
    """
    with np.load(path) as archive:
        points, faces = archive["v"].astype(np.float64) * 10.0, archive["f"].astype(np.int64)
    mirror = cKDTree(points * [-1.0, 1.0, 1.0]).query(points)[1]
    if not (mirror[mirror] == np.arange(len(points))).all():
        raise ValueError(f"{path}: the canonical face is not symmetric, its points have no mirror pairs")
    points = 0.5 * (points + points[mirror] * [-1.0, 1.0, 1.0])
    return CanonicalFace(points, faces, mirror)


def place_landmarks(canonical: CanonicalFace, features: HeadFeatures, head: HeadSurface) -> SurfacePoints:
    """Lay the canonical face on the head.

    Args:
        canonical: the 468-point mesh.
        features: contours and points of the head, found on `vertices`.
        head: the mean head and where on it landmarks may lie.
    """
    index, goal = anchors(canonical, features)
    warp = RBFInterpolator(canonical.points[index], goal, kernel="thin_plate_spline", smoothing=1.0)
    points = warp(canonical.points)
    points[index] = goal
    points = 0.5 * (points + points[canonical.mirror] * [-1.0, 1.0, 1.0])
    right = closest_points(points, head.vertices, head.faces, head.allowed)
    left = mirrored_points(right, head.faces, head.mirror)
    use_left = (points[:, 0] > 0)[:, None]
    face = np.where(use_left[:, 0], left.face[canonical.mirror], right.face)
    placed = SurfacePoints(face, np.where(use_left, left.bary[canonical.mirror], right.bary))
    return _on_midline(placed, points, np.flatnonzero(canonical.mirror == np.arange(len(points))), head)


def _on_midline(placed: SurfacePoints, points: np.ndarray, middle: np.ndarray, head: HeadSurface) -> SurfacePoints:
    """Put the points of index `middle` exactly on the mirror plane, onto edges that lie in it."""
    own = head.mirror == np.arange(len(head.mirror))
    beside = head.allowed & (own[head.faces].sum(1) == 2)
    found = closest_points(points[middle], head.vertices, head.faces, beside)
    weight = found.bary * own[head.faces[found.face]]
    face, bary = placed.face.copy(), placed.bary.copy()
    face[middle], bary[middle] = found.face, weight / weight.sum(1, keepdims=True)
    return SurfacePoints(face, bary)


def anchors(canonical: CanonicalFace, features: HeadFeatures) -> tuple[np.ndarray, np.ndarray]:
    """Indices (A,) of the 468 and where they belong on the head (A, 3), both sides."""
    pairs = {
        NOSE_TIP: features.nose_tip,
        NOSE_BASE: features.nose_base,
        NOSE_BRIDGE: features.nose_bridge,
        CHIN: features.chin,
        RIGHT_WING: features.right_wing,
        RIGHT_EAR_FRONT: features.right_ear_front,
        RIGHT_JAW_ANGLE: features.right_jaw_angle,
    }
    contours = (
        (RIGHT_EYE_UPPER, features.right_eye_upper),
        (RIGHT_EYE_LOWER, features.right_eye_lower),
        (OUTER_LIP_UPPER, features.outer_lip_upper),
        (OUTER_LIP_LOWER, features.outer_lip_lower),
        (INNER_LIP_UPPER, features.inner_lip_upper),
        (INNER_LIP_LOWER, features.inner_lip_lower),
    )
    for points, curve in contours:
        pairs |= dict(zip(points, along(curve, canonical.points[list(points), 0]), strict=True))
    index = np.array(list(pairs))
    goal = np.stack(list(pairs.values()))
    twin = canonical.mirror[index]
    sided = twin != index
    goal[~sided, 0] = 0.0
    flipped = goal[sided] * [-1.0, 1.0, 1.0]
    return np.concatenate([index, twin[sided]]), np.concatenate([goal, flipped])


def along(curve: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Points of a curve (N, 3), ascending in x, at the same shares of its width as `x` (K,) has of its own."""
    share = (x - x[0]) / (x[-1] - x[0])
    at = curve[0, 0] + share * (curve[-1, 0] - curve[0, 0])
    return np.stack([np.interp(at, curve[:, 0], curve[:, i]) for i in range(3)], axis=-1)
