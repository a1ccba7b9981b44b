"""Discriminative training of the regressor's identity and albedo (Tran et al. 2017): pooled labels, asymmetric loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from coarse.face_model import FaceModel, load_face_model
from coarse.losses import asymmetric_euclidean_loss, euclidean_loss, landmark_distance_loss
from coarse.morphable import MorphableModel, crop_camera
from coarse.regressor import CoefficientRegressor, load_regressor
from gcnface.training.configuration import check_positive
from gcnface.training.module import ModuleSettings, TrainingModule
from gcnface.training.person_views import PersonViews, ViewData, ViewPictures, ViewSettings


@dataclass(frozen=True, kw_only=True)
class IdentityDataSettings(ViewSettings):
    """What `IdentityData` takes."""

    pooled: bool = True
    """Pool labels over the pictures of a person; false gives each picture its own."""
    truth: bool = True
    """Take the true labels of rendered heads; false fits them to landmarks as those of photographs."""
    whole: bool = False
    """Give the pictures themselves in place of features computed once, for a module that trains the backbone too."""
    batch_size: int = 256
    """Pictures in a step, of each process; fewer where there are not so many."""


class IdentityData(ViewData):
    """Features or pictures with labels: (seen, identity, albedo, landmarks, raw coefficients at the start)."""

    settings: IdentityDataSettings

    def __init__(self, **settings: Any) -> None:
        super().__init__(IdentityDataSettings(**settings))

    def datasets(self) -> tuple[Dataset[Any], Dataset[Any]]:
        """Pictures of training people, and heads of held-out ones."""
        views, network = self.views()
        held_out = views.labels.validation
        rows = (~held_out).nonzero()[:, 0]
        learn: Dataset[Any] = self._labeled(views, network, rows)
        if self.settings.whole:
            learn = ViewPictures(self.prepared, self.heads, rows, learn)
        first = PersonViews(views.labels, views.features[:1], views.landmarks[:1])
        return learn, self._labeled(first, network, (held_out & views.labels.head).nonzero()[:, 0])

    @torch.no_grad()
    def _labeled(self, views: PersonViews, network: CoefficientRegressor, rows: Tensor) -> TensorDataset:
        """(features, identity, albedo, landmarks, raw coefficients of the network as it is) of some pictures."""
        s, labels = self.settings, views.labels
        features = views.features[:, rows]
        times, flat = len(features), features.flatten(0, 1)
        identity = labels.identity(truth=s.truth, pooled=s.pooled)[rows].repeat(times, 1)
        albedo, landmarks = labels.albedo[rows].repeat(times, 1), views.landmarks[:, rows].flatten(0, 1)
        return TensorDataset(flat, identity, albedo, landmarks, apply_heads(network, flat))


@dataclass(frozen=True, kw_only=True)
class IdentitySettings(ModuleSettings):
    """What `IdentityModule` takes."""

    start: Path | None = None
    """Regressor to go on from; None takes the one that ships."""
    loss: Literal["asymmetric", "euclidean"] = "asymmetric"
    """Loss of the coefficients: "asymmetric" (Tran et al.) or "euclidean"."""
    over: float = 1.0
    """Weight of coefficients that are larger than their label."""
    under: float = 3.0
    """Weight of coefficients that are too small, which shrink faces towards the mean."""
    whole: bool = False
    """Train the backbone too; false trains the heads alone, on features computed once."""
    landmarks: float = 10.0
    """Weight of the landmark distance, which lets pose and expression follow the new identity."""
    coefficients: float = 0.02
    """Weight of the loss of identity and albedo coefficients."""
    keep: float = 1.0
    """Weight of keeping light, and expression, where they were (mean square of raw coefficients)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "over", "under")


class IdentityModule(TrainingModule):
    """The regressor's heads (or all of it), the loss of coefficients and of landmarks."""

    settings: IdentitySettings
    basis: Tensor
    stem = "regressor"
    trainer_defaults = {"precision": "32-true"}
    links = (("model.start", "data.regressor"), ("model.whole", "data.whole"))

    def __init__(self, **settings: Any) -> None:
        super().__init__(IdentitySettings(**settings))
        model = load_face_model()
        self.model = MorphableModel(model, level=3)
        network = CoefficientRegressor(self.model.layout)
        self.network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.register_buffer("basis", face_basis(model, self.model), persistent=False)
        network.requires_grad_(self.settings.whole)
        network.heads.requires_grad_(True)

    def started(self) -> CoefficientRegressor:
        """The regressor to go on from."""
        return load_regressor(self.model.layout, self.settings.start)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """One step on (features or images, identity, albedo, landmarks, raw coefficients at the start)."""
        seen, identity, albedo, landmarks, before = batch
        raw = self._raw(seen).float()
        found = self.model.layout.decode(raw)
        s = self.settings
        points = crop_camera(len(raw)).project(self.model.landmarks_cam(found))[..., :2]
        parts, old = self.model.layout.split(raw), self.model.layout.split(before)
        kept = torch.stack([(parts[name] - old[name]).square().mean() for name in ("expression", "lighting")])
        terms = {
            "identity": s.coefficients * self._loss(found.identity, identity),
            "albedo": s.coefficients * self._loss(found.albedo, albedo),
            "landmarks": s.landmarks * landmark_distance_loss(points, landmarks),
            "keep": s.keep * kept.sum(),
        }
        return self.log_total(terms)

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        """Distance of the face's vertices from the label's, mm, and of the landmarks, in percent."""
        seen, identity, _, landmarks, _ = batch
        found = self.model.layout.decode(self._raw(seen).float())
        points = crop_camera(len(identity)).project(self.model.landmarks_cam(found))[..., :2]
        away = distance_mm(self.basis, found.identity - identity)
        figures = {"vertex_mm": away, "landmarks_percent": 100 * landmark_distance_loss(points, landmarks)}
        self.log_dict({f"valid/{k}": v for k, v in figures.items()}, prog_bar=True, batch_size=len(identity))

    def biases(self) -> Sequence[Tensor | nn.Parameter]:
        """Of the heads."""
        return self.network.head_biases

    def _raw(self, seen: Tensor) -> Tensor:
        return self.network(seen) if seen.ndim == 4 else apply_heads(self.network, seen)

    def _loss(self, predicted: Tensor, label: Tensor) -> Tensor:
        s = self.settings
        if s.loss == "euclidean":
            return euclidean_loss(predicted, label)
        return asymmetric_euclidean_loss(predicted, label, s.over, s.under)


def face_basis(model: FaceModel, morphable: MorphableModel) -> Tensor:
    """(V, 3, Ni) identity basis of the face's vertices, mm."""
    face = torch.from_numpy(model.region_mask("face", "eyes_nose_mouth"))[morphable.vertex_index]
    return morphable.shape_basis.view(len(face), 3, -1)[face, :, : morphable.identity_count].clone()


def distance_mm(basis: Tensor, difference: Tensor) -> Tensor:
    """Mean distance of the face's vertices when identities differ by `difference` (B, Ni)."""
    return torch.einsum("vci,bi->bvc", basis, difference).norm(dim=2).mean()


def apply_heads(network: CoefficientRegressor, features: Tensor) -> Tensor:
    """Raw coefficients (B, layout.total) of pooled features (B, F)."""
    return torch.cat([head(features) for head in network.heads.values()], dim=1)
