"""Discriminative training of the regressor's identity and albedo (Tran et al. 2017): pooled labels, asymmetric loss."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from coarse.face_model import load_face_model
from coarse.losses import asymmetric_euclidean_loss, euclidean_loss, landmark_distance_loss
from coarse.morphable import MorphableModel, crop_camera
from coarse.regressor import CoefficientRegressor, load_regressor
from gcnface.data.faces import load_prepared
from gcnface.data.heads import load_heads
from gcnface.training.configuration import check_least, check_positive
from gcnface.training.mirror_bias import subtract_mirror_bias
from gcnface.training.loading import checking_loader, training_loader
from gcnface.training.person_views import PersonViews, ViewPictures, prepare_views
from gcnface.training.runs import RunSettings, TrainingModule, begin, one_cycle, save_weights, train

LOSSES = ("asymmetric", "euclidean")


@dataclass(frozen=True)
class IdentityTraining:
    """Configuration of `gcnface train identity`."""

    data: Path = Path("runs/faces")
    """Folder of prepared faces (`gcnface prepare`)."""
    heads: Path = Path("runs/heads")
    """Folder of rendered heads (`python -m gcnface.building.rendered_heads`)."""
    views: Path = Path("runs/person_views")
    """Folder in which labels and features are kept between runs."""
    run: RunSettings = field(default_factory=lambda: RunSettings(output=Path("runs/identity"), precision="32-true"))
    """Where and how long to train."""
    start: Path | None = None
    """Regressor to go on from; None takes the one that ships."""
    loss: str = "asymmetric"
    """Loss of the coefficients: "asymmetric" (Tran et al.) or "euclidean"."""
    over: float = 1.0
    """Weight of coefficients that are larger than their label."""
    under: float = 3.0
    """Weight of coefficients that are too small, which shrink faces towards the mean."""
    pooled: bool = True
    """Pool labels over the pictures of a person; false gives each picture its own."""
    truth: bool = True
    """Take the true labels of rendered heads; false fits them to landmarks as those of photographs."""
    whole: bool = False
    """Train the backbone too; false trains the heads alone, on features computed once."""
    windows: int = 1
    """Windows of each picture whose features are computed; beyond the first they are changed at random."""
    landmarks: float = 10.0
    """Weight of the landmark distance, which lets pose and expression follow the new identity."""
    coefficients: float = 0.02
    """Weight of the loss of identity and albedo coefficients."""
    keep: float = 1.0
    """Weight of keeping light, and expression, where they were (mean square of raw coefficients)."""
    batch_size: int = 256
    """Pictures in a step."""
    learning_rate: float = 1e-3
    """Learning rate at the peak of the one-cycle schedule."""

    def __post_init__(self) -> None:
        check_least(self, batch_size=1)
        check_positive(self, "learning_rate")
        if self.loss not in LOSSES:
            raise ValueError(f"loss is {self.loss!r}; it must be one of {', '.join(LOSSES)}")
        if min(self.over, self.under) <= 0 or self.windows < 1:
            raise ValueError(f"over {self.over}, under {self.under} and windows {self.windows} must be positive")


class IdentityModule(TrainingModule):
    """The regressor's heads (or all of it), the loss of coefficients and of landmarks."""

    configured_by = IdentityTraining
    settings: IdentityTraining

    def __init__(self, settings: IdentityTraining) -> None:
        super().__init__(settings)
        model = load_face_model()
        self.model = MorphableModel(model, level=3)
        network = CoefficientRegressor(self.model.layout)
        self.network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        region = torch.from_numpy(model.region_mask("face", "eyes_nose_mouth"))[self.model.vertex_index]
        basis = self.model.shape_basis.view(len(region), 3, -1)[region, :, : self.model.identity_count]
        self.register_buffer("basis", basis.clone(), persistent=False)
        network.requires_grad_(self.settings.whole)
        network.heads.requires_grad_(True)

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
        self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()})
        return torch.stack(list(terms.values())).sum()

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        """Distance of the face's vertices from the label's, mm, and of the landmarks, in percent."""
        seen, identity, _, landmarks, _ = batch
        found = self.model.layout.decode(self._raw(seen).float())
        points = crop_camera(len(identity)).project(self.model.landmarks_cam(found))[..., :2]
        away = torch.einsum("vci,bi->bvc", self.basis, found.identity - identity).norm(dim=2).mean()
        figures = {"vertex_mm": away, "landmarks_percent": 100 * landmark_distance_loss(points, landmarks)}
        self.log_dict({f"valid/{k}": v for k, v in figures.items()}, prog_bar=True, batch_size=len(identity))

    def configure_optimizers(self) -> Any:
        """AdamW with one cycle over all steps."""
        s = self.settings
        free = [p for p in self.network.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(free, s.learning_rate, weight_decay=1e-2)
        return one_cycle(self, optimizer)

    def _raw(self, seen: Tensor) -> Tensor:
        return self.network(seen) if seen.ndim == 4 else apply_heads(self.network, seen)

    def _loss(self, predicted: Tensor, label: Tensor) -> Tensor:
        s = self.settings
        if s.loss == "euclidean":
            return euclidean_loss(predicted, label)
        return asymmetric_euclidean_loss(predicted, label, s.over, s.under)


def apply_heads(network: CoefficientRegressor, features: Tensor) -> Tensor:
    """Raw coefficients (B, layout.total) of pooled features (B, F)."""
    return torch.cat([head(features) for head in network.heads.values()], dim=1)


@torch.no_grad()
def identity_data(
    settings: IdentityTraining, views: PersonViews, network: CoefficientRegressor, rows: Tensor
) -> TensorDataset:
    """(features, identity, albedo, landmarks, raw coefficients of the network as it is) of some pictures."""
    labels = views.labels
    identity = labels.identity(truth=settings.truth, pooled=settings.pooled)[rows]
    features = views.features[:, rows]
    times = len(features)
    raw = apply_heads(network, features.flatten(0, 1))
    return TensorDataset(
        features.flatten(0, 1),
        identity.repeat(times, 1),
        labels.albedo[rows].repeat(times, 1),
        views.landmarks[:, rows].flatten(0, 1),
        raw,
    )


def train_identity(settings: IdentityTraining) -> Path:
    """Train and write the regressor's weights; returns their path."""
    begin(settings.run)
    module = IdentityModule(settings)
    network = module.network
    network.load_state_dict(load_regressor(module.model.layout, settings.start).state_dict())
    faces = load_prepared(settings.data)
    heads = load_heads(settings.heads, faces)
    views = prepare_views(faces, heads, network, settings.views, settings.windows)
    held_out = views.labels.validation
    rows = (~held_out).nonzero()[:, 0]
    learn: Dataset = identity_data(settings, views, network, rows)
    if settings.whole:
        learn = ViewPictures(faces, heads, rows, learn)
    first = PersonViews(views.labels, views.features[:1], views.landmarks[:1])
    check = identity_data(settings, first, network, (held_out & views.labels.head).nonzero()[:, 0])
    learning = training_loader(learn, settings.batch_size, settings.run.seed, settings.data)
    train(module, learning, checking_loader(check, settings.batch_size))
    subtract_mirror_bias(module.network, module.network.head_biases, faces)
    return save_weights(module.network, settings.run.output / "regressor.safetensors")
