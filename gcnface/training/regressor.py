"""Training of the coefficient regressor with weak supervision (Deng et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from coarse import losses
from coarse.coefficients import Coefficients
from coarse.face_model import load_face_model
from coarse.fitting import render_crop
from coarse.losses import CoarseLossWeights
from coarse.morphable import FOCAL_PX, MorphableModel, crop_camera
from coarse.regressor import BACKBONES, CoefficientRegressor, load_regressor
from gcnface.training.configuration import check_least
from gcnface.training.crops import CropBatch, CropData, CropSettings
from gcnface.training.module import Fixed, ModuleSettings, TrainingModule
from gcnface.training.pictures import dotted
from refine.facenet import embed_crop224, load_facenet


class RegressorData(CropData):
    """Augmented crops of photographs, drawn faces and rendered heads; unchanged ones of held-out people."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(CropSettings(**settings))


@dataclass(frozen=True, kw_only=True)
class RegressorSettings(ModuleSettings):
    """What `RegressorModule` takes."""

    start: Path | None = None
    """Weights to go on from; None starts anew."""
    backbone: Literal["light", "resnet50"] = "light"
    """Network under the heads: "light" (ships) or "resnet50" (as published)."""
    rendered: int = 4
    """Crops of each batch that are also drawn, for the photometric and the identity loss."""
    drawn_from_epoch: int = 0
    """First epoch in which crops are drawn; before it the landmarks alone find the pose, which is much quicker."""
    landmark_distance: float = 1.0
    """Weight of the mean distance over face size, which the squared distance alone does not sharpen."""
    depth: float = 0.0
    """Weight of the mean depth error over face size, on rendered heads."""
    known_identity: float = 0.0
    """Weight of the squared error of identity coefficients, on rendered heads."""
    weights: CoarseLossWeights = field(default_factory=CoarseLossWeights)
    """Weights of the losses of Deng et al."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, drawn_from_epoch=0, rendered=0)
        if self.start is not None and self.backbone != "light":
            raise ValueError("start holds weights of the light backbone; choose backbone=light or leave start out")


class RegressorModule(TrainingModule):
    """The regressor, its losses and its optimiser."""

    settings: RegressorSettings
    skin: Tensor
    stem = "regressor"
    warm_up = 0.15
    within_batch = ("rendered",)

    def __init__(self, **settings: Any) -> None:
        super().__init__(RegressorSettings(**settings))
        model = load_face_model()
        self.model = MorphableModel(model)
        self.drawn = MorphableModel(model, level=1)
        self.network = CoefficientRegressor(self.model.layout, BACKBONES[self.settings.backbone])
        self.facenet = Fixed(load_facenet()) if self.settings.rendered else None
        region = torch.from_numpy(model.region.astype(int))[self.drawn.vertex_index]
        self.register_buffer("skin", region == 0, persistent=False)

    def started(self) -> CoefficientRegressor | None:
        """The regressor to go on from."""
        start = self.settings.start
        return None if start is None else load_regressor(self.model.layout, start)

    def training_step(self, batch: CropBatch, index: int) -> Tensor:
        """One step; the geometry stays in full precision whatever the network uses."""
        raw = self.network(batch.image.contiguous(memory_format=torch.channels_last))
        with torch.autocast(raw.device.type, enabled=False):
            terms = self._landmark_terms(raw.float(), batch)
        if self.settings.rendered and self.current_epoch >= self.settings.drawn_from_epoch:
            terms |= self._rendered_terms(raw.float(), batch)
        return self.log_total(terms)

    def validation_step(self, batch: CropBatch, index: int) -> None:
        """The reported figure, in percent."""
        points = self._project(self.network(batch.image).float())
        figure = 100 * losses.landmark_distance_loss(points, batch.landmarks)
        self.log("valid/landmarks_percent", figure, prog_bar=True, batch_size=len(points))

    def pictures(self, batch: CropBatch) -> Tensor:
        """(B, 3, 224, 224) sRGB: the crops with the found landmarks in green over the teacher's in red."""
        found = self._project(self.network(batch.image).float())
        return dotted(dotted(batch.image, batch.landmarks, 0), found, 1)

    def biases(self) -> Sequence[Tensor | nn.Parameter]:
        """Of the heads."""
        return self.network.head_biases

    def _project(self, raw: Tensor) -> Tensor:
        coefficients = self.model.layout.decode(raw)
        return crop_camera(len(raw)).project(self.model.landmarks_cam(coefficients))[..., :2]

    def _landmark_terms(self, raw: Tensor, batch: CropBatch) -> dict[str, Tensor]:
        w = self.settings.weights
        coefficients = self.model.layout.decode(raw)
        screen = crop_camera(len(raw)).project(self.model.landmarks_cam(coefficients))
        points = screen[..., :2]
        terms = {
            "landmarks": w.landmarks * losses.landmark_loss(points, batch.landmarks, w.landmark_emphasis),
            "distance": self.settings.landmark_distance * losses.landmark_distance_loss(points, batch.landmarks),
            "prior": losses.coefficient_prior(coefficients, w),
            "gamma": w.gamma * losses.gamma_loss(coefficients.lighting),
        }
        if batch.known.any():
            terms |= self._known_terms(coefficients, screen[..., 2], batch)
        return terms

    def _known_terms(self, coefficients: Coefficients, depth_mm: Tensor, batch: CropBatch) -> dict[str, Tensor]:
        """What only rendered heads tell: depth along the line of sight, and whose shape it is."""
        s, known = self.settings, batch.known
        origin_mm = coefficients.translation[:, 2:]
        depth = ((depth_mm - origin_mm) * FOCAL_PX / origin_mm)[known]
        points = batch.landmarks[known]
        side = (points.amax(1) - points.amin(1)).prod(1).sqrt()
        identity = (coefficients.identity - batch.identity)[known].square().mean()
        return {
            "depth": s.depth * ((depth - batch.depth[known]).abs().mean(1) / side).mean(),
            "known_identity": s.known_identity * identity,
        }

    def _rendered_terms(self, raw: Tensor, batch: CropBatch) -> dict[str, Tensor]:
        w, chosen = self.settings.weights, batch.drawable.nonzero()[: self.settings.rendered, 0]
        if not len(chosen):
            return {}
        photo = batch.image[chosen]
        with torch.autocast(raw.device.type, enabled=False):
            face = self.drawn(self.drawn.layout.decode(raw[chosen]))
            picture, mask = render_crop(self.drawn, face, photo.permute(0, 2, 3, 1))
            photometric = losses.photometric_loss(picture, photo.permute(0, 2, 3, 1), batch.skin[chosen] * mask)
        assert self.facenet is not None
        embedding = embed_crop224(self.facenet.network, picture.permute(0, 3, 1, 2))
        with torch.no_grad():
            target = embed_crop224(self.facenet.network, photo)
        return {
            "photometric": w.photometric * photometric,
            "identity": w.identity * losses.identity_loss(embedding.float(), target.float()),
            "reflectance": w.reflectance * losses.reflectance_loss(face.albedo, self.skin),
        }
