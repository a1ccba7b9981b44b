"""What the stages hand on: a face as the coarse stage leaves it, and as refinement does."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.decomposition import ToneExpectation
from coarse.morphable import crop_camera
from coarse.records import CoarseFace
from gcnface.photo.crop import FaceCrop
from gcnface.result.quality import FaceQuality
from gcnface.stages.alignment import AlignedCrop
from gcnface.stages.cut_faces import LEAST_SHOWN
from gcnface.stages.observation import VertexObservation
from render.camera import Camera
from render.lighting import MINIMUM_SHADING


@dataclass(frozen=True)
class FittedFace:
    """A face in a photo, as the coarse stage leaves it.

    Attributes:
        photo: (H, W, 3) float32 sRGB in [0, 1].
        crop: the face cut out of it.
        image: (1, 3, 224, 224) the crop on the networks' device.
        sharp: (1, 3, 448, 448) the same at twice its resolution, since the features' vertices lie half a pixel apart.
        classes: (1, 10, 224, 224) of the parser, 0 outside the photo.
        maps: (1, R + 2, 224, 224) `gcnface.stages.observation.class_maps` of them.
        embedding: (1, 512) FaceNet's, of the crop, unit length.
        tone: what was expected of skin and light (`coarse.skin_tone`); None where nothing was.
        features: (1, F) the regressor's, of the crop; None where it tells none.
        coarse: the posed morphable face.
        shown: share of its landmarks that lie in the photo; below 1 the photo's edge cuts the face.
        alignment: how the crop was found; None where there is no position map network for the face model.
        quality: how far the face may be believed.
    """

    photo: NDArray[np.float32]
    crop: FaceCrop
    image: Tensor
    sharp: Tensor
    classes: Tensor
    maps: Tensor
    embedding: Tensor
    tone: ToneExpectation | None
    features: Tensor | None
    coarse: CoarseFace
    shown: float = 1.0
    alignment: AlignedCrop | None = None
    quality: FaceQuality = FaceQuality(1.0)

    @property
    def can_be_trusted(self) -> bool:
        """Whether the photo shows enough of the face."""
        return self.shown >= LEAST_SHOWN

    def believed(self, least_quality: float) -> bool:
        """Whether the face has the quality that was asked for, and enough of it is shown; 0 asks for neither."""
        return least_quality <= 0 or (self.can_be_trusted and self.quality.value >= least_quality)

    @property
    def camera(self) -> Camera:
        """The photo's camera."""
        photo_from_crop = torch.from_numpy(self.crop.photo_from_crop).float()
        return crop_camera().transformed(photo_from_crop, self.photo.shape[:2])

    @property
    def screen(self) -> Tensor:
        """(V, 3) photo px x, y and depth mm of the vertices, on the CPU."""
        return self.camera.project(self.coarse.verts_cam.cpu())[0]

    @property
    def shading(self) -> Tensor:
        """(1, V, 3) what the photo's colours are divided by."""
        return self.coarse.shading.clamp(min=MINIMUM_SHADING)


@dataclass(frozen=True)
class RefinedFace:
    """A face after refinement.

    Attributes:
        coarse: the posed morphable face.
        observation: what the crop showed at its vertices.
        albedo: (V, 3) refined, linear, not clipped.
        shading: (V, 3) linear; albedo times shading is the lit colour, and that is the photo's where it was seen.
        lit: (V, 3) linear: what is drawn over the photo; the product of the two, but for limits of the shading.
        light: (V, 3) linear: what the photo's colours are divided by, the estimated light with cast shadows and
            highlights.
    """

    coarse: CoarseFace
    observation: VertexObservation
    albedo: Tensor
    shading: Tensor
    lit: Tensor
    light: Tensor


Record = TypeVar("Record")


def on_cpu(record: Record) -> Record:
    """A copy of a record, and of the records in it, with every tensor on the CPU."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}  # type: ignore[arg-type]
    moved = {
        name: value.cpu() if isinstance(value, Tensor) else on_cpu(value) if is_dataclass(value) else value
        for name, value in values.items()
    }
    return replace(record, **moved)  # type: ignore[type-var]
