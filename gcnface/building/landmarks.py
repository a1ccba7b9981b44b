"""Where the 468 points of the MediaPipe face mesh lie on the head."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from gcnface.building.geometry import SurfacePoints, closest_points
from gcnface.building.identity import align_similarity

# Points that pin the first alignment: outer and inner eye corners are compared with the eyeballs' centres.
RIGHT_EYE, LEFT_EYE = (33, 133, 159, 145), (263, 362, 386, 374)


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


def read_canonical(path: str | Path) -> CanonicalFace:
    """Read ``canonical_face_468.npz`` (v in cm, f) and find its mirror pairs."""
    with np.load(path) as archive:
        points, faces = archive["v"].astype(np.float64) * 10.0, archive["f"].astype(np.int64)
    mirror = cKDTree(points * [-1.0, 1.0, 1.0]).query(points)[1]
    if not (mirror[mirror] == np.arange(len(points))).all():
        raise ValueError(f"{path}: the canonical face is not symmetric, its points have no mirror pairs")
    return CanonicalFace(points, faces, mirror)


def place_landmarks(
    canonical: CanonicalFace, vertices: np.ndarray, faces: np.ndarray, allowed: np.ndarray, eyes: np.ndarray
) -> SurfacePoints:
    """Lay the canonical face on the head.

    Args:
        canonical: the 468-point mesh.
        vertices: (V, 3) the mean head, symmetric.
        faces: (F, 3).
        allowed: (F,) bool, faces that landmarks may lie on (skin of the face chart).
        eyes: (2, 3) centres of the eyeballs, subject's right first.
    """
    points = _first_alignment(canonical, vertices, allowed, faces, eyes)
    for _ in range(10):
        surface = closest_points(points, vertices, faces, allowed)
        points = align_similarity(points[None], surface.on(vertices, faces), np.ones(len(points)), 0.0)[0]
        points[:, 0] = 0.5 * (points[:, 0] - points[canonical.mirror, 0])
    return closest_points(points, vertices, faces, allowed)


def _first_alignment(
    canonical: CanonicalFace, vertices: np.ndarray, allowed: np.ndarray, faces: np.ndarray, eyes: np.ndarray
) -> np.ndarray:
    """Scale by the distance of the eyes, move onto the eyes, and out to the nose tip."""
    centres = np.stack([canonical.points[list(RIGHT_EYE)].mean(0), canonical.points[list(LEFT_EYE)].mean(0)])
    scale = np.linalg.norm(eyes[1] - eyes[0]) / np.linalg.norm(centres[1] - centres[0])
    points = (canonical.points - centres.mean(0)) * scale + eyes.mean(0)
    skin = vertices[np.unique(faces[allowed])]
    points[:, 2] += skin[:, 2].max() - points[:, 2].max()
    return points
