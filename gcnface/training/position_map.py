"""Training of the position map network (Feng et al., ECCV 2018) on fitted photographs and rendered heads."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset

from coarse.face_model import load_face_model
from coarse.morphable import MorphableModel
from coarse.position_map import WINDOW_PX, PositionMapLayout, position_map_loss, window_points
from coarse.position_network import NETWORKS, make_position_map_network
from gcnface.data.faces import load_prepared
from gcnface.data.heads import load_heads
from gcnface.training.configuration import check_least, check_positive
from gcnface.training.loading import checking_loader, training_loader
from gcnface.training.pictures import dotted
from gcnface.training.runs import RunSettings, TrainingModule, begin, one_cycle, save_weights, train
from gcnface.training.windows import WindowBatch, WindowDataset, fitted_faces, known_heads
from render.camera import Camera
from render.rotation import rotation_from_axis_angle

YAW_BINS_DEG = ((0, 30), (30, 60), (60, 90))


@dataclass(frozen=True)
class PositionMapTraining:
    """Configuration of `gcnface train position-map`."""

    data: Path = Path("runs/faces")
    """Folder of prepared faces (`gcnface prepare`)."""
    heads: Path = Path("runs/heads")
    """Folder of rendered heads (`python -m gcnface.building.rendered_heads`)."""
    run: RunSettings = field(default_factory=lambda: RunSettings(output=Path("runs/position_map")))
    """Where and how long to train."""
    network: str = "light"
    """Network that is trained: "light" (ships) or "prnet" (as published)."""
    side: int = 256
    """Texels a side of the maps in training; the light network's own are 128 and enlarged when it is used."""
    batch_size: int = 16
    """Windows in a step."""
    learning_rate: float = 1e-3
    """Learning rate at the peak of the one-cycle schedule, or at the start of the halving one."""
    weight_decay: float = 1e-2
    """Weight decay of AdamW."""
    halve_every: int = 0
    """Halve the learning rate every so many epochs, as published; 0 is one cycle over the run."""

    def __post_init__(self) -> None:
        check_least(self, batch_size=1, weight_decay=0, halve_every=0, side=2)
        check_positive(self, "learning_rate")
        if self.network not in NETWORKS:
            raise ValueError(f"network is {self.network!r}; it must be one of {NETWORKS}")


class PositionMapModule(TrainingModule):
    """The network, its loss and its optimiser."""

    configured_by = PositionMapTraining
    settings: PositionMapTraining

    def __init__(self, settings: PositionMapTraining) -> None:
        super().__init__(settings)
        model = load_face_model()
        self.model = MorphableModel(model)
        self.layout = PositionMapLayout(model, self.settings.side)
        self.network = make_position_map_network(self.layout, self.settings.network)

    def training_step(self, batch: WindowBatch, index: int) -> Tensor:
        """The weighted distance, px; the true maps are drawn in full precision."""
        predicted = self.network(batch.image.contiguous(memory_format=torch.channels_last))
        with torch.autocast(predicted.device.type, enabled=False):
            loss = position_map_loss(predicted.float(), self.true_maps(batch), self.layout.weight)
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def validation_step(self, batch: WindowBatch, index: int) -> None:
        """Dense 2D error over the root of the face's box, percent, in all and by yaw."""
        errors = self.dense_percent(self.network(batch.image).float(), self.true_maps(batch))
        self.log("valid/dense_percent", errors.mean(), prog_bar=True, batch_size=len(errors))
        yaw = head_yaw_deg(batch.rotation).abs()
        for low, high in YAW_BINS_DEG:
            chosen = (yaw >= low) & (yaw < high)
            if chosen.any():
                name = f"valid/yaw_{low}_{high}_percent"
                self.log(name, errors[chosen].mean(), batch_size=int(chosen.sum()))

    @torch.no_grad()
    def true_maps(self, batch: WindowBatch) -> Tensor:
        """(B, 3, S, S) of the known geometry; those of mirrored photographs are mirrored in the chart too."""
        camera = Camera(batch.px_from_cam, (WINDOW_PX, WINDOW_PX))
        verts = self.model.vertices(batch.identity, batch.expression)
        maps = self.layout.encode(window_points(verts, batch.coefficients(self.model), camera))
        return torch.where(batch.mirrored[:, None, None, None], maps.flip(3), maps)

    def dense_percent(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """(B,) mean 2D distance of the chart's vertices over the root of the area of the true points' box."""
        found, true = self.layout.vertices(predicted)[..., :2], self.layout.vertices(truth)[..., :2]
        side = (true.amax(1) - true.amin(1)).prod(1).sqrt()
        return 100 * (found - true).norm(dim=2).mean(1) / side

    def pictures(self, batch: WindowBatch) -> Tensor:
        """(B, 3, 256, 256) sRGB: the windows with the found landmarks in green over the true ones in red."""
        with torch.no_grad():
            found = self.layout.landmarks468(self.network(batch.image).float())
        true = self.layout.landmarks468(self.true_maps(batch))
        return dotted(dotted(batch.image, true[..., :2], 0), found[..., :2], 1)

    def configure_optimizers(self) -> Any:
        """AdamW with one cycle, or Adam halved every few epochs as published."""
        s = self.settings
        if s.halve_every:
            plain = torch.optim.Adam(self.network.parameters(), s.learning_rate)
            return {"optimizer": plain, "lr_scheduler": torch.optim.lr_scheduler.StepLR(plain, s.halve_every, 0.5)}
        optimizer = torch.optim.AdamW(self.network.parameters(), s.learning_rate, weight_decay=s.weight_decay)
        return one_cycle(self, optimizer, warm_up=0.1)


def head_yaw_deg(rotation: Tensor) -> Tensor:
    """(B,) yaw of axis-angle rotations (B, 3): where the nose points, in degrees, positive to the viewer's right."""
    matrix = rotation_from_axis_angle(rotation)
    return torch.atan2(matrix[:, 0, 2], matrix[:, 2, 2]) * (180 / math.pi)


def window_sets(settings: PositionMapTraining, model: MorphableModel) -> tuple[ConcatDataset, ConcatDataset]:
    """Training and validation windows: fitted photographs, then rendered heads."""
    faces, heads = load_prepared(settings.data), load_heads(settings.heads)

    def both(chosen: Callable[[np.ndarray], np.ndarray], photos: np.ndarray, *, augment: bool) -> ConcatDataset:
        fitted = fitted_faces(model, faces, np.nonzero(photos)[0])
        known = known_heads(heads, np.nonzero(chosen(heads.validation))[0])
        return ConcatDataset([WindowDataset(part, augment=augment) for part in (fitted, known)])

    learn = both(np.logical_not, ~faces.validation, augment=True)
    return learn, both(lambda held_out: held_out, faces.validation & ~faces.drawn, augment=False)


def train_position_map(settings: PositionMapTraining) -> Path:
    """Train and write the weights; returns their path."""
    begin(settings.run)
    module = PositionMapModule(settings)
    learn, check = window_sets(settings, module.model)
    size, stack = settings.batch_size, WindowBatch.stack
    learning = training_loader(learn, size, settings.run.seed, settings.data, collate=stack)
    train(module, learning, checking_loader(check, size, collate=stack))
    return save_weights(module.network, settings.run.output / "position_map.safetensors")


