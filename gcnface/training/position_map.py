"""Training of the position map network (Feng et al., ECCV 2018) on fitted photographs and rendered heads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, smooth_l1_loss
from torch.utils.data import ConcatDataset

from coarse.face_model import load_face_model
from coarse.mirroring import remove_map_mirror_bias
from coarse.morphable import MorphableModel
from coarse.position_map import WINDOW_PX, PositionMapLayout, position_map_loss, window_points
from coarse.position_network import (
    PositionAnswer,
    PositionMapNetwork,
    load_position_map_network,
    make_position_map_network,
)
from gcnface.data.faces import PreparedFaces, load_prepared
from gcnface.data.heads import load_heads
from gcnface.training.augment import draw_window, middle_window, taken
from gcnface.training.configuration import check_least
from gcnface.training.faceless import FacelessWindows
from gcnface.training.loading import DataSettings, TrainingData
from gcnface.training.module import ModuleSettings, TrainingModule
from gcnface.training.pictures import dotted
from gcnface.training.windows import AUGMENTATIONS, WindowBatch, WindowDataset, fitted_faces, known_heads
from render.camera import Camera
from render.rotation import rotation_from_axis_angle

YAW_BINS_DEG = ((0, 30), (30, 60), (60, 90))


@dataclass(frozen=True, kw_only=True)
class PositionMapDataSettings(DataSettings):
    """What `PositionMapData` takes."""

    heads: Path = Path("runs/heads")
    """Folder of rendered heads (`python -m gcnface.building.rendered_heads`)."""
    fits: Path = Path("runs/window_fits")
    """Folder in which fits to the landmarks of photographs are kept between runs."""
    batch_size: int = 16
    """Windows in a step, of each process; fewer where there are not so many."""
    augmentation: Literal["published", "wild", "mixed", "wild_any_roll"] = "published"
    """Random changes: those of Feng et al., or "wild": things worn and held, hard light, the dark, some windows at any
    roll; "mixed": either, with equal odds; "wild_any_roll": most windows at any roll."""
    photographs: int = 1
    """How often an epoch takes each photograph that is not drawn."""
    faceless: Path | None = None
    """Folder of pictures that show no face, from which the network learns what none is; None teaches it nothing."""
    faceless_share: float = 0.1
    """Windows without a face for each one with a face."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, photographs=1)


class Windows(ConcatDataset[WindowBatch]):
    """Windows of fitted photographs, then those of rendered heads."""

    stack = staticmethod(WindowBatch.stack)


class PositionMapData(TrainingData):
    """Augmented windows of fitted photographs and rendered heads; unchanged ones of held-out people."""

    settings: PositionMapDataSettings
    prepared: PreparedFaces

    def __init__(self, **settings: Any) -> None:
        super().__init__(PositionMapDataSettings(**settings))

    def datasets(self) -> tuple[Windows, Windows]:
        """Windows to learn from, and of held-out people."""
        self.prepared = faces = load_prepared(self.settings.faces)
        heads = load_heads(self.settings.heads)
        model, kept = load_face_model(), self.settings.fits
        kinds, often = AUGMENTATIONS[self.settings.augmentation], self.settings.photographs

        def both(photos: np.ndarray, chosen: np.ndarray, *, augment: bool) -> list[WindowDataset]:
            rows = np.nonzero(photos)[0]
            order = taken(~faces.drawn[rows], often if augment else 1)
            fitted = WindowDataset(fitted_faces(model, faces, rows, kept), augment=augment, kinds=kinds, order=order)
            known = known_heads(heads, np.nonzero(chosen)[0])
            return [fitted, WindowDataset(known, augment=augment, kinds=kinds)]

        learn = both(~faces.validation, ~heads.validation, augment=True)
        check = Windows(both(faces.validation & ~faces.drawn, heads.validation, augment=False))
        if self.settings.faceless is None:
            return Windows(learn), check
        count = round(self.settings.faceless_share * sum(map(len, learn)))
        neutral = MorphableModel(model)
        scenes = FacelessWindows(self.settings.faceless, count, neutral, learn[0].known, kinds[-1])
        return Windows([*learn, scenes]), check


@dataclass(frozen=True, kw_only=True)
class PositionMapSettings(ModuleSettings):
    """What `PositionMapModule` takes."""

    network: Literal["light", "prnet"] = "light"
    """Network that is trained: "light" (ships) or "prnet" (as published)."""
    side: int = 256
    """Texels a side of the maps in training; the light network's own are 128 and enlarged when it is used."""
    learning_rate: float = 1e-3
    """Learning rate at the peak of the one-cycle schedule, or at the start of the halving one."""
    start: Path | None = None
    """Weights of the light network to go on from; None starts anew."""
    trust: float = 0.0
    """Weight, px, of the losses of the network's expected error and of whether there is a face."""
    learns: Literal["all", "trust"] = "all"
    """What is trained: all of the network, or only what tells how far its maps may be trusted."""
    halve_every: int = 0
    """Halve the learning rate every so many epochs, as published; 0 is one cycle over the run."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, halve_every=0, side=2, trust=0)
        if self.learns == "trust" and not self.trust:
            raise ValueError("learns is trust, which has no weight; give trust more than 0")
        if self.network != "light" and (self.start is not None or self.trust):
            raise ValueError("start and trust are the light network's; choose network=light or leave them out")


class PositionMapModule(TrainingModule):
    """The network, its loss and its optimiser."""

    settings: PositionMapSettings
    stem = "position_map"
    warm_up = 0.1

    def __init__(self, **settings: Any) -> None:
        super().__init__(PositionMapSettings(**settings))
        model = load_face_model()
        self.model = MorphableModel(model)
        self.layout = PositionMapLayout(model, self.settings.side)
        self.network = make_position_map_network(self.layout, self.settings.network)

        if self.settings.learns == "trust":
            self.network.requires_grad_(False)
            self.network.trust.requires_grad_(True)

    def on_train_epoch_start(self) -> None:
        """Where only trust is learned, the maps stay those of the network in use."""
        if self.settings.learns == "trust":
            self.network.eval()

    def started(self) -> PositionMapNetwork | None:
        """The network to go on from."""
        start = self.settings.start
        return None if start is None else load_position_map_network(self.layout, start)

    def balance(self, faces: PreparedFaces) -> None:
        """Take the constant turn to one side, which photographs beside their mirror images show, out of the maps."""
        rows = np.nonzero(~faces.validation & ~faces.drawn)[0]
        if self.settings.network != "light" or self.settings.learns == "trust" or not len(rows):
            return
        middle = middle_window(faces.canvases.shape[1], WINDOW_PX)
        windows = [torch.from_numpy(draw_window(faces.canvases[row], middle, WINDOW_PX)) for row in rows]
        batches = (torch.stack(windows[i : i + 32]).permute(0, 3, 1, 2) / 255 for i in range(0, len(windows), 32))
        network = self.network.cpu().eval()
        assert isinstance(network, PositionMapNetwork)
        remove_map_mirror_bias(network, batches)

    def training_step(self, batch: WindowBatch, index: int) -> Tensor:
        """The weighted distance, px; the true maps are drawn in full precision."""
        windows = batch.image.contiguous(memory_format=torch.channels_last)
        answer = self.network.answer(windows) if self.settings.trust else None
        predicted = (self.network(windows) if answer is None else answer.maps).float()
        with torch.autocast(predicted.device.type, enabled=False):
            truth, face = self.true_maps(batch), batch.face
            loss = (
                position_map_loss(predicted[face], truth[face], self.layout.weight)
                if face.any()
                else predicted.sum() * 0
            )
            if answer is not None:
                loss = loss + self.settings.trust * self._trust_loss(answer, truth, face)
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def _trust_loss(self, answer: PositionAnswer, truth: Tensor, face: Tensor) -> Tensor:
        """How far the logarithm of the expected error is off, and the cross entropy of whether there is a face."""
        loss = binary_cross_entropy_with_logits(answer.face_logit.float(), face.float())
        self.log("train/face_entropy", loss.detach())
        if face.any():
            error = self.dense_percent(answer.maps.detach().float(), truth)[face].clamp(min=0.1)
            off = smooth_l1_loss(answer.expected_error_percent.float()[face].log(), error.log())
            self.log("train/expected_error_off", off.detach())
            loss = loss + off
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
        if not s.halve_every:
            return super().configure_optimizers()
        plain = torch.optim.Adam(self.network.parameters(), s.learning_rate)
        return {"optimizer": plain, "lr_scheduler": torch.optim.lr_scheduler.StepLR(plain, s.halve_every, 0.5)}


def head_yaw_deg(rotation: Tensor) -> Tensor:
    """(B,) yaw of axis-angle rotations (B, 3): where the nose points, in degrees, positive to the viewer's right."""
    matrix = rotation_from_axis_angle(rotation)
    return torch.atan2(matrix[:, 0, 2], matrix[:, 2, 2]) * (180 / math.pi)
