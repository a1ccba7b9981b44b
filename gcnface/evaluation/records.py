"""What the parts of the evaluation hand on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gcnface.pipeline import FittedFace
from gcnface.stages.observation import VertexObservation


@dataclass(frozen=True)
class FittedPhoto:
    """One photo after the coarse stage, the same for every method.

    Attributes:
        view: photo, crop, classes, posed face.
        observation: what the photo shows at the vertices; a method may take nothing else from the photo.
        embedding: (1, 512) FaceNet's embedding of the crop, unit length.
    """

    view: FittedFace
    observation: VertexObservation
    embedding: Tensor


@dataclass(frozen=True)
class MethodResult:
    """A method's answer, on the CPU.

    Attributes:
        albedo: (V, 3) linear, not clipped.
        shading: (V, 3) linear; albedo * shading is the lit colour. 1 where a method does not tell light from albedo.
        texture: (T, T, 3) albedo, sRGB, on the face model's atlas; None where the vertex colours are drawn.
        light: (V, 3) linear, the shading of a turned head, where it differs: without what only the photo's own view
            shows; None where it is `shading`.
    """

    albedo: Tensor
    shading: Tensor
    texture: NDArray[np.float32] | None = None
    light: Tensor | None = None


@dataclass(frozen=True)
class RenderedHead:
    """A painted head in the frame of the aligned crop.

    Attributes:
        picture: (S, S, 3) float32 sRGB in [0, 1], black where the head is not.
        mask: (S, S) bool, where the head is.
    """

    picture: NDArray[np.float32]
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Figure:
    """One number.

    Attributes:
        photo: path of the photo.
        person: whom it shows.
        method: a key of `gcnface.evaluation.methods.METHODS`, or "" for what belongs to the photo alone.
        name: of the figure, such as "psnr_face".
        value: NaN where it cannot be told.
    """

    photo: str
    person: str
    method: str
    name: str
    value: float
