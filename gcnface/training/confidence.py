"""Training of the confidence network (Deng et al. 2019, section 4) on sets of views of one person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from coarse.confidence import ConfidenceNetwork, backbone_checksum
from coarse.face_model import load_face_model
from coarse.morphable import MorphableModel, layout_of
from coarse.regressor import LIGHT, CoefficientRegressor, load_regressor
from gcnface.training.identity import apply_heads, distance_mm, face_basis
from gcnface.training.module import ModuleSettings, TrainingModule
from gcnface.training.person_views import PersonViews, ViewData, ViewSettings


@dataclass(frozen=True, kw_only=True)
class ConfidenceDataSettings(ViewSettings):
    """What `ConfidenceData` takes."""

    fewest: int = 2
    """Smallest number of views in a set."""
    most: int = 5
    """Largest number of views in a set."""
    batch_size: int = 128
    """Sets of views in a step, of each process; fewer where there are not so many."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.fewest <= self.most:
            raise ValueError(f"fewest is {self.fewest}, most {self.most}; expected 2 <= fewest <= most")


class ViewSets(Dataset[list[Tensor]]):
    """Sets of views: features (M, F), identity (M, Ni), albedo (M, Na), present (M,), true identity, albedo label.

    Args:
        views: pictures of persons.
        regressor: gives what is to be weighed.
        settings: sizes of the sets.
        validation: held-out persons, all their views at once; else random sets of training persons.
    """

    def __init__(
        self, views: PersonViews, regressor: CoefficientRegressor, settings: ConfidenceDataSettings, *, validation: bool
    ) -> None:
        labels = views.labels
        rows = (labels.head & (labels.validation == validation)).nonzero()[:, 0]
        persons = labels.person[rows]
        self.sets = [rows[persons == person] for person in persons.unique()]
        self.sets = [found for found in self.sets if len(found) >= settings.fewest]
        self.views, self.settings, self.validation = views, settings, validation
        windows, count = views.features.shape[:2]
        with torch.no_grad():
            found = regressor.layout.decode(apply_heads(regressor, views.features.flatten(0, 1)))
        self.identity, self.albedo = (x.view(windows, count, -1) for x in (found.identity, found.albedo))

    def __len__(self) -> int:
        return len(self.sets)

    def __getitem__(self, index: int) -> list[Tensor]:
        s, rows, labels = self.settings, self.sets[index], self.views.labels
        most = min(s.most, len(rows))
        if self.validation:
            rows, windows = rows[:most], torch.zeros(most, dtype=torch.int64)
        else:
            count = int(torch.randint(s.fewest, most + 1, ()))
            rows = rows[torch.randperm(len(rows))[:count]]
            windows = torch.randint(len(self.views.features), (count,))
        # Sets are filled up with their own views, which count nothing: zeros would disturb the batch norm.
        place = torch.arange(s.most)
        filled = place % len(rows)
        chosen = windows[filled], rows[filled]
        answers = [values[chosen] for values in (self.views.features, self.identity, self.albedo)]
        return [*answers, (place < len(rows)).float(), labels.true[rows[0]], labels.albedo[rows[0]]]


class ConfidenceData(ViewData):
    """Random sets of views of training people, drawn anew each time; all views of held-out people."""

    settings: ConfidenceDataSettings

    def __init__(self, **settings: Any) -> None:
        super().__init__(ConfidenceDataSettings(**settings))

    @property
    def source(self) -> Path:
        """The folder of heads, which alone show a person several times."""
        return self.settings.heads

    def datasets(self) -> tuple[ViewSets, ViewSets]:
        """Sets to learn from, and of held-out people."""
        views, regressor = self.views()
        learn, check = (ViewSets(views, regressor, self.settings, validation=part) for part in (False, True))
        return learn, check


@dataclass(frozen=True, kw_only=True)
class ConfidenceSettings(ModuleSettings):
    """What `ConfidenceModule` takes."""

    regressor: Path | None = None
    """Regressor that it stands beside, the one whose features it sees; None takes the one that ships."""
    albedo: float = 1.0
    """Weight of the error of albedo coefficients (root mean square) beside millimetres of shape."""


class ConfidenceModule(TrainingModule):
    """The network, and how far the aggregated face lies from the true one."""

    settings: ConfidenceSettings
    basis: Tensor
    stem = "confidence"
    trainer_defaults = {"precision": "32-true"}
    links = (("model.regressor", "data.regressor"),)

    def __init__(self, **settings: Any) -> None:
        super().__init__(ConfidenceSettings(**settings))
        model = load_face_model()
        morphable = MorphableModel(model, level=3)
        self.network = ConfidenceNetwork(LIGHT.outputs, morphable.layout.identity, morphable.layout.albedo)
        self.register_buffer("basis", face_basis(model, morphable), persistent=False)

    def setup(self, stage: str) -> None:
        """Note which regressor it stands beside."""
        if stage == "fit":
            regressor = load_regressor(layout_of(load_face_model()), self.settings.regressor)
            self.network.backbone.fill_(backbone_checksum(regressor))

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """Vertex error of the aggregated identity, mm, and the error of the aggregated albedo."""
        features, identity, albedo, present, truth, albedo_truth = batch
        trust = self._trust(features)
        shape = distance_mm(self.basis, _weighted(identity, trust[0] * present[..., None]) - truth)
        color = (_weighted(albedo, trust[1] * present[..., None]) - albedo_truth).square().mean().add(1e-8).sqrt()
        self.log_dict({"train/vertex_mm": shape.detach(), "train/albedo": color.detach()})
        return shape + self.settings.albedo * color

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        """The same on held-out people, beside the plain mean and single views."""
        features, identity, _, present, truth, _ = batch
        weighted = _weighted(identity, self._trust(features)[0] * present[..., None])
        plain = _weighted(identity, present[..., None].expand_as(identity))
        single = (identity - truth[:, None])[present > 0]
        wrong = {"vertex_mm": weighted - truth, "plain_mean_mm": plain - truth, "single_mm": single}
        figures = {f"valid/{name}": distance_mm(self.basis, difference) for name, difference in wrong.items()}
        self.log_dict(figures, prog_bar=True, batch_size=len(truth))

    def _trust(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Confidences (B, M, Ni) and (B, M, Na) of features (B, M, F)."""
        found = self.network(features.flatten(0, 1))
        return found.identity.view(*features.shape[:2], -1), found.albedo.view(*features.shape[:2], -1)


def _weighted(values: Tensor, weights: Tensor) -> Tensor:
    """(B, D) means of (B, M, D) over the views."""
    return (weights * values).sum(1) / weights.sum(1)
