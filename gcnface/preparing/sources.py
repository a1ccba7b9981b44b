"""A photograph before it is looked at: where it lies, whom it shows, what its folder already knows of the face."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gcnface.errors import GcnfaceError
from gcnface.io.files import open_input


@dataclass(frozen=True)
class Annotation:
    """What is known of a face, in photo px; None where nothing is.

    Attributes:
        points5: (5, 2) image-left eye, image-right eye, nose tip, image-left and image-right mouth corner.
        landmarks468: (468, 3) as MediaPipe defines them.
        landmarks68: (68, 2) as iBUG defines them.
    """

    points5: NDArray[np.float32]
    landmarks468: NDArray[np.float32] | None = None
    landmarks68: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Source:
    """One photograph.

    Attributes:
        file: the resolved path; each once in a data set.
        name: what the table calls it.
        identity: whom it shows.
        validation: whether its person is held out.
        drawn: whether the face is a drawn one.
        annotation: None where the face must be detected.
        mat: MATLAB file that holds the annotation (300W-LP).
        labels: stored label map with the classes of CelebAMask-HQ.
        dropped: why it cannot be used; empty when it can.
    """

    file: Path
    name: str
    identity: str
    validation: bool
    drawn: bool = False
    annotation: Annotation | None = None
    mat: Path | None = None
    labels: Path | None = None
    dropped: str = ""


def annotation_of(source: Source) -> Annotation | None:
    """The source's annotation, read from its MATLAB file where it lies there.

    Raises:
        GcnfaceError: that file cannot be read.
    """
    return source.annotation if source.mat is None else read_mat(source.mat)


def read_mat(path: Path) -> Annotation:
    """The 68 points of a 300W-LP annotation (Zhu et al. 2016) and the five points that they imply.

    Raises:
        GcnfaceError: the file cannot be read or holds no ``pt2d`` (2, 68).
    """
    from scipy.io import loadmat

    try:
        with open_input(path) as file:
            points = np.asarray(loadmat(file)["pt2d"], np.float32).T
    except (OSError, ValueError, KeyError, NotImplementedError, TypeError) as error:
        raise GcnfaceError(f"{path}: holds no landmarks pt2d that can be read ({error})") from error
    if points.shape != (68, 2):
        raise GcnfaceError(f"{path}: pt2d has shape {points.T.shape}, expected (2, 68)")
    return Annotation(five_of_68(points), landmarks68=points)


def five_of_68(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """(5, 2) from the (68, 2) points of iBUG (Sagonas et al. 2013): means of the image-left and the image-right eye,
    nose tip, image-left and image-right corner of the mouth.
    """
    return np.stack([points[36:42].mean(0), points[42:48].mean(0), *points[[30, 48, 54]]]).astype(np.float32)
