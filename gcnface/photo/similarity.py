"""Similarities of the plane and the template that places a face in the 224 px crop.

Geometry of Deng et al. 2019 (Accurate 3D Face Reconstruction with Weakly-Supervised Learning): a camera of focal length
1015 px about 1 m from the face looks at a 224 px crop, so that one millimetre is about one pixel.
"""

import numpy as np
from numpy.typing import NDArray

CROP_SIDE_PX = 224

TEMPLATE_POINTS5_PX: NDArray[np.float64] = np.array(
    [[80.0, 90.0], [144.0, 90.0], [112.0, 128.2], [82.0, 153.4], [142.0, 153.4]]
)
"""(5, 2) crop px: image-left eye, image-right eye, nose tip, image-left mouth corner, image-right mouth corner.

The eyes: 63 mm between the pupils (the mean of adults), seen by a 1015 px camera from 1 m, are 1015 * 0.063 = 64 px,
set symmetrically about the middle column. The rest is what MTCNN finds on faces that look into the camera, as the
median over about 2,400 of them, in units of the eye distance: nose tip 0.597 below the eye line, mouth corners 0.99
below it and 0.47 to either side (59 mm: half of the people smile). The eye line is at 90 px because a face of that
scale reaches from 0.84 eye distances above it (top of a 468-point face mesh, 36 px) to 1.8 below it (chin, 205 px), the
hairline being some 15 px higher than the mesh: about 20 px of margin are left above and below.
"""


def similarity_from_points(source: NDArray, target: NDArray) -> NDArray[np.float64]:
    """The similarity (rotation, one scale, translation; no mirror) with the least squared error from source to target.

    Umeyama 1991, "Least-squares estimation of transformation parameters between two point patterns", in 2D.

    Args:
        source: (N, 2) points, N >= 2.
        target: (N, 2) points.

    Returns:
        (3, 3) float64 target_from_source.

    Raises:
        ValueError: shapes differ or all source points coincide.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2:
        raise ValueError(f"two sets of points (N, 2) are expected, found {source.shape} and {target.shape}")
    source_mean, target_mean = source.mean(0), target.mean(0)
    z, w = (source - source_mean) @ (1, 1j), (target - target_mean) @ (1, 1j)
    spread = float(np.sum(np.abs(z) ** 2))
    if spread < 1e-12:
        raise ValueError("all points of the face coincide; a face with distinct points is needed")
    a = np.sum(z.conj() * w) / spread
    matrix = np.eye(3)
    matrix[:2, :2] = [[a.real, -a.imag], [a.imag, a.real]]
    matrix[:2, 2] = target_mean - matrix[:2, :2] @ source_mean
    return matrix


def similarity_scale(dst_from_src: NDArray) -> float:
    """Destination px for one source px."""
    return float(np.sqrt(abs(np.linalg.det(np.asarray(dst_from_src, np.float64)[:2, :2]))))


def warp_points(points: NDArray, dst_from_src: NDArray[np.float64]) -> NDArray[np.float32]:
    """Take points (N, 2) or (N, 3) through a similarity; a third coordinate, in px as well, is scaled with it."""
    matrix = np.asarray(dst_from_src, np.float64)
    xy = points[..., :2] @ matrix[:2, :2].T + matrix[:2, 2]
    rest = points[..., 2:] * similarity_scale(matrix)
    return np.concatenate([xy, rest], -1).astype(np.float32)
