"""The 68 points as pictures show them: the jaw on the outline, which slides over the skin of a turned head.

Hand annotation of photographs (300W; Sagonas et al., ICCV workshops 2013) puts the jaw where the face ends in the
picture; Zhu et al. (CVPR 2015) call what that does to a turned head landmark marching. The three-dimensional form,
`coarse.face_model.FaceModel.landmarks68`, keeps to the skin.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from coarse.face_model import LANDMARKS68_FROM_468, load_face_model

CHIN, JAW = 8, 17
"""Index of the chin, and how many of the 68 are the jaw, from the subject's right ear to the left one."""
_FOREHEAD, _BELOW_CHIN = 10, 152
"""Of the 468: their line is upright on the face."""
_MIDDLE_MM = 25.0
"""What lies nearer to the middle of the mean face, the nose above all, is no outline of a cheek."""


def contour68(landmarks468: NDArray[np.floating]) -> NDArray[np.float32]:
    """The 68 points of 300W's two-dimensional mark-up.

    Points of the 468; those of the jaw that the turned cheek hides go to where the cheek ends, at their own height on
    the face.

    Args:
        landmarks468: (468, 2) or (468, 3) px of the picture.

    Returns:
        (68, 2) or (68, 3); a third coordinate stays that of the point which slid.

    Example:
        >>> from coarse.face_model import load_face_model
        >>> model = load_face_model()
        >>> contour68(model.landmarks468(model.mean)).shape
        (68, 3)
    """
    points = np.array(landmarks468[list(LANDMARKS68_FROM_468)], np.float32)
    upright = (landmarks468[_FOREHEAD, :2] - landmarks468[_BELOW_CHIN, :2]).astype(np.float64)
    length = float(np.linalg.norm(upright))
    if not length > 0:
        return points
    up = upright / length
    right = np.array([-up[1], up[0]])  # to the viewer's right of a face upright in the picture
    cheeks = np.asarray(landmarks468[_cheeks(), :2], np.float64)
    for index in (i for i in range(JAW) if i != CHIN):
        outward = right if index > CHIN else -right
        own = points[index, :2].astype(np.float64)
        beyond = _limit(cheeks @ up, cheeks @ outward, float(own @ up)) - float(own @ outward)
        points[index, :2] += (max(beyond, 0.0) * outward).astype(np.float32)
    return points


def _limit(height: NDArray[np.float64], outward: NDArray[np.float64], level: float) -> float:
    """How far out the convex hull of points (N,) reaches at a height; -inf above and below all of them."""
    above, below = height >= level, height < level
    if not (above.any() and below.any()):
        return -np.inf
    high, low = height[above][:, None], height[below][None]
    share = (level - low) / (high - low)
    return float((outward[below][None] + share * (outward[above][:, None] - outward[below][None])).max())


@lru_cache(maxsize=1)
def _cheeks() -> NDArray[np.intp]:
    """Which of the 468 may be outline."""
    model = load_face_model()
    return np.flatnonzero(np.abs(model.landmarks468(model.mean)[:, 0]) > _MIDDLE_MM)
