"""Photographs with AFLW2000-3D's annotation beside them: which face is meant, and how far points are from the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gcnface.batch.inputs import collect_photos
from gcnface.errors import GcnfaceError
from gcnface.io.files import open_input
from gcnface.photo.detection import Detection, overlap

YAW_BINS_DEG = ((0, 30), (30, 60), (60, 90))
"""Of |yaw|: up to and with 30, up to and with 60, above."""


@dataclass(frozen=True)
class AnnotatedPhoto:
    """A photo and what is true about its face.

    Attributes:
        file: the photo.
        points68: (68, 3) float64 px: x right, y down as the file has them; z in the same px, larger is nearer.
        yaw_deg: how far the head is turned, as the file has it.
    """

    file: Path
    points68: NDArray[np.float64]
    yaw_deg: float

    @property
    def box(self) -> NDArray[np.float64]:
        """(4,) x0, y0, x1, y1 of the true points."""
        xy = self.points68[:, :2]
        return np.concatenate([xy.min(0), xy.max(0)])

    @property
    def yaw_bin(self) -> str:
        """The bin of `YAW_BINS_DEG` that the head's turn falls into, "0-30"."""
        return yaw_bin(self.yaw_deg)


@dataclass(frozen=True)
class AnnotatedPhotos:
    """Photos with a ``.mat`` beside them, photos without, and an error for each word that leads nowhere."""

    files: tuple[Path, ...]
    bare: tuple[Path, ...]
    errors: tuple[GcnfaceError, ...]


def yaw_bin(yaw_deg: float) -> str:
    """The bin of a turn of the head, "30-60"; what is turned by more than 90 degrees is in the last.

    Example:
        >>> yaw_bin(-30.0), yaw_bin(30.5), yaw_bin(95)
        ('0-30', '30-60', '60-90')
    """
    low, high = next((pair for pair in YAW_BINS_DEG if abs(yaw_deg) <= pair[1]), YAW_BINS_DEG[-1])
    return f"{low}-{high}"


def find_annotated(arguments: Sequence[str]) -> AnnotatedPhotos:
    """The photos of files, folders and patterns that have NAME.mat beside them."""
    inputs = collect_photos(arguments)
    photos = list(inputs.photos)
    bare = tuple(file for file in photos if not file.with_suffix(".mat").is_file())
    return AnnotatedPhotos(tuple(file for file in photos if file not in set(bare)), bare, inputs.errors)


def read_annotated(file: Path) -> AnnotatedPhoto:
    """The annotation beside a photo, as Zhu et al. (CVPR 2016) store it.

    Args:
        file: the photo; NAME.mat holds ``pt3d_68`` (3, 68) px and ``Pose_Para`` (1, 7): pitch, yaw, roll in rad, and
            four numbers more.

    Raises:
        GcnfaceError: it cannot be read, or holds something else.
    """
    from scipy.io import loadmat

    path = file.with_suffix(".mat")
    try:
        with open_input(path) as stored:
            content = loadmat(stored, variable_names=("pt3d_68", "Pose_Para"))
        points = np.asarray(content["pt3d_68"], np.float64).T
        pose = np.asarray(content["Pose_Para"], np.float64).ravel()
    except Exception as error:  # scipy's reader fails in many ways on bytes that were not written for it
        raise GcnfaceError(f"{path}: holds no pt3d_68 and Pose_Para that can be read ({error})") from error
    if points.shape != (68, 3) or pose.size < 3:
        raise GcnfaceError(f"{path}: pt3d_68 has shape {points.T.shape} and Pose_Para {pose.size} numbers; expected "
                           "(3, 68) and 3 or more")  # fmt: skip
    if not (np.isfinite(points).all() and np.isfinite(pose[:3]).all() and np.ptp(points[:, :2], axis=0).min() > 0):
        raise GcnfaceError(f"{path}: holds points or a pose that are not finite, or points on one line")
    return AnnotatedPhoto(file, points, float(np.degrees(pose[1])))


def nme_percent(found: NDArray[np.floating], true: NDArray[np.floating]) -> float:
    """Normalized mean error: mean distance of points over sqrt(w h) of the true points' box, x and y alone, percent.

    Args:
        found: (N, 2 or 3) px.
        true: (N, 2 or 3) px.

    Example:
        >>> square = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 40.0], [0.0, 40.0]])
        >>> round(nme_percent(square + [3.0, 4.0], square), 6)
        25.0
    """
    side = np.sqrt(np.prod(np.ptp(true[:, :2], axis=0)))
    return float(100 * np.linalg.norm(found[:, :2] - true[:, :2], axis=1).mean() / side)


def nearest_face(found: Sequence[Detection], box: NDArray[np.floating]) -> Detection | None:
    """The detection whose box overlaps the true one most; None where none overlaps it at all."""
    best = max(found, key=lambda face: overlap(face.box, box), default=None)
    return best if best is not None and overlap(best.box, box) > 0 else None
