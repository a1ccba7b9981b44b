"""Training of the face parser through Lightning."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from gcnface.data.faces import UNKNOWN, PreparedFaces, load_prepared, read_settings
from gcnface.errors import GcnfaceError
from gcnface.photo.parsing import PARSING_CLASSES, FaceParser, read_parser
from gcnface.training.augment import sample_rng
from gcnface.training.configuration import check_least, check_positive
from gcnface.training.disturbances import UNDISTURBED, WILD, Cover, Disturbances, disturbed
from gcnface.training.label_maps import load_label_maps
from gcnface.training.loading import DataSettings, TensorBatch, TrainingData
from gcnface.training.module import ModuleSettings, TrainingModule
from gcnface.training.parser_augment import AugmentConfig, center_views, random_views

CLASS_WEIGHTS = (1.0, 1.0, 2.5, 2.5, 2.0, 1.2, 2.0, 2.5, 1.8, 1.0)
"""Weight of each of PARSING_CLASSES in the cross entropy: what covers few pixels counts more."""

CLASS_COLORS = (
    *((0.0, 0.0, 0.0), (0.9, 0.7, 0.6), (0.4, 0.2, 0.1), (0.2, 0.5, 1.0), (0.6, 0.9, 0.9), (1.0, 0.5, 0.3)),
    *((0.8, 0.1, 0.2), (0.5, 0.0, 0.3), (0.9, 0.9, 0.3), (0.3, 0.6, 0.2)),
)
"""sRGB in which pictures show each of PARSING_CLASSES."""


LABEL_OF_COVER = np.full(len(Cover), PARSING_CLASSES.index("rest"), np.uint8)
"""What is seen where something covers a face."""
LABEL_OF_COVER[[Cover.GLASSES, Cover.HAIR]] = PARSING_CLASSES.index("glasses"), PARSING_CLASSES.index("hair")
LABEL_OF_COVER[Cover.EDGE] = UNKNOWN


@dataclass(frozen=True)
class Canvases(TensorBatch):
    """Canvases with label maps.

    Attributes:
        canvases: (B, 288, 288, 3) uint8 sRGB.
        labels: (B, 288, 288) uint8, UNKNOWN where no teacher saw.
    """

    canvases: Tensor
    labels: Tensor

    @property
    def images(self) -> Tensor:
        """(B, 3, 288, 288) float32 sRGB in [0, 1]."""
        return self.canvases.permute(0, 3, 1, 2).float() / 255


class CanvasDataset(Dataset[Canvases]):
    """Canvases with labels, one by one.

    Args:
        faces: prepared faces.
        rows: which of them.
        settings: shares of them that are disturbed.
    """

    stack = staticmethod(Canvases.stack)

    def __init__(self, faces: PreparedFaces, rows: NDArray[np.int64], settings: Disturbances = UNDISTURBED) -> None:
        self.faces, self.rows, self.settings = faces, rows, settings

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Canvases:
        row = self.rows[index]
        canvas, labels = np.array(self.faces.canvases[row]), np.array(self.faces.labels[row])
        if self.settings != UNDISTURBED:
            points = self.faces.landmarks[row, :, :2]
            canvas, covers, _ = disturbed(canvas, self.settings, sample_rng(), points)
            labels = np.where(covers > 0, LABEL_OF_COVER[covers], labels)
        return Canvases(torch.from_numpy(canvas), torch.from_numpy(labels))


def gather(faces: PreparedFaces, rows: NDArray[np.int64]) -> Canvases:
    """Some faces as a batch."""
    dataset = CanvasDataset(faces, rows)
    return dataset.stack([dataset[index] for index in range(len(rows))])


def labeled_rows(faces: PreparedFaces) -> NDArray[np.int64]:
    """Training faces that have a label map at all: the middle of the face is known."""
    middle = faces.labels.shape[1] // 2
    return np.flatnonzero(~faces.validation & (faces.labels[:, middle, middle] != UNKNOWN))


def photo_weights(faces: PreparedFaces, rows: NDArray[np.int64], photo_weight: float) -> NDArray[np.float64]:
    """How often each of the rows is drawn: photographs `photo_weight` times as often as drawn faces."""
    return np.where(faces.drawn[rows], 1.0, photo_weight)


@dataclass(frozen=True, kw_only=True)
class ParserDataSettings(DataSettings):
    """What `ParserData` takes."""

    labels: Path | None = None
    """File (npy) of label maps to learn instead of the data set's own (`gcnface.building.parsing_teacher`)."""
    epoch_steps: int = 500
    """Steps in an epoch, which ends with a measurement on held-out people."""
    batch_size: int = 20
    """Faces in a step, of each process; fewer where there are not so many."""
    photo_weight: float = 2.0
    """How much more often a photograph is drawn than a drawn face."""
    augmentation: Literal["plain", "wild"] = "plain"
    """Random changes: the module's alone, or "wild": before them things worn and held, the picture's edge, hard light,
    the dark."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, epoch_steps=1, batch_size=2)
        check_positive(self, "photo_weight")


class ParserData(TrainingData):
    """Canvases with label maps, photographs more often than drawn faces."""

    settings: ParserDataSettings

    def __init__(self, **settings: Any) -> None:
        super().__init__(ParserDataSettings(**settings))

    def datasets(self) -> tuple[CanvasDataset, CanvasDataset]:
        """Faces of training people that have a label map, and all held-out ones."""
        s, faces = self.settings, training_samples(self.settings)
        rows = labeled_rows(faces)
        self.limit, self.weights = s.batch_size * s.epoch_steps, photo_weights(faces, rows, s.photo_weight)
        wild = WILD if s.augmentation == "wild" else UNDISTURBED
        return CanvasDataset(faces, rows, wild), CanvasDataset(faces, np.flatnonzero(faces.validation))


@dataclass(frozen=True, kw_only=True)
class ParserSettings(ModuleSettings):
    """What `ParserModule` takes."""

    start: Path | None = None
    """Weights to start from instead of random ones."""
    learning_rate: float = 3e-3
    """Learning rate at the peak of the one-cycle schedule."""
    weight_decay: float = 0.02
    """Weight decay of AdamW."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """How far the random views of the faces go."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.augment.side_px % 16:
            raise ValueError(f"augment.side_px must be a multiple of 16, found {self.augment.side_px}")


def confusion_matrix(predicted: Tensor, truth: Tensor) -> Tensor:
    """(10, 10) int64 counts, rows the truth, columns the prediction; truths beyond the classes are left out."""
    classes = len(PARSING_CLASSES)
    known = truth < classes
    pairs = truth[known].long() * classes + predicted[known].long()
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)


def intersection_over_union(confusion: Tensor) -> Tensor:
    """(10,) IoU of each class from a confusion matrix; NaN for a class that is neither present nor predicted."""
    counts = confusion.double()
    common = counts.diagonal()
    return common / (counts.sum(0) + counts.sum(1) - common)


def parsing_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Weighted cross entropy plus one minus the soft Dice overlap, averaged over the classes in the batch.

    Args:
        logits: (B, 10, H, W) float32.
        labels: (B, H, W) int64, UNKNOWN where nothing is known.

    Returns:
        a scalar.
    """
    weights = torch.tensor(CLASS_WEIGHTS, device=logits.device)
    known = labels != UNKNOWN
    target = torch.where(known, labels, 0)
    log_shares = logits.log_softmax(1)
    log_share = log_shares.gather(1, target[:, None])[:, 0]
    weight = weights[target] * known
    entropy = -(weight * log_share).sum() / weight.sum().clamp(min=1)
    flat = target.flatten()
    common = torch.zeros_like(weights).index_add(0, flat, (log_share.exp() * known).flatten())
    size = torch.zeros_like(weights).index_add(0, flat, known.float().flatten())
    claimed = (log_shares.exp() * known[:, None]).sum((0, 2, 3))
    overlap = 2 * common / (claimed + size).clamp(min=1)
    return entropy + (1 - overlap)[size > 0].mean()


class ParserModule(TrainingModule):
    """The parser with its loss, optimiser and validation figures."""

    settings: ParserSettings
    counts: Tensor
    stem = "parser"
    warm_up = 0.1
    trainer_defaults = {"max_epochs": 2, "gradient_clip_val": 5.0}

    def __init__(self, **settings: Any) -> None:
        super().__init__(ParserSettings(**settings))
        self.network = FaceParser()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        counts = torch.zeros(len(PARSING_CLASSES), len(PARSING_CLASSES), dtype=torch.int64)
        self.register_buffer("counts", counts, persistent=False)

    def started(self) -> FaceParser | None:
        """The parser to go on from."""
        return None if self.settings.start is None else read_parser(self.settings.start)

    def training_step(self, batch: Canvases, index: int) -> Tensor:
        """One step on random views, drawn on the CPU."""
        random = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        images, labels = random_views(batch.images.cpu(), batch.labels.cpu(), self.settings.augment, random)
        loss = parsing_loss(self._logits(images.to(self.device)).float(), labels.to(self.device))
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Start counting afresh."""
        self.counts = torch.zeros_like(self.counts)

    def validation_step(self, batch: Canvases, index: int) -> None:
        """Count the agreement on held-out people."""
        images, labels = center_views(batch.images, batch.labels, self.settings.augment.side_px)
        self.counts = self.counts + confusion_matrix(self._logits(images).argmax(1), labels)

    def on_validation_epoch_end(self) -> None:
        """Log the IoU of every class and their mean."""
        counts = self.trainer.strategy.reduce(self.counts, reduce_op="sum")
        assert isinstance(counts, Tensor)
        scores = intersection_over_union(counts)
        names = (f"valid/iou_{name}" for name in PARSING_CLASSES)
        known = {name: float(score) for name, score in zip(names, scores, strict=True) if not score.isnan()}
        self.log_dict(known)
        self.log("valid/mean_iou", float(scores.nanmean()), prog_bar=True)

    def pictures(self, batch: Canvases) -> Tensor:
        """(B, 3, s, 2 s): each held-out face beside the classes that the parser sees."""
        images, _ = center_views(batch.images, batch.labels, self.settings.augment.side_px)
        classes = self._logits(images).argmax(1)
        return torch.cat([images, torch.tensor(CLASS_COLORS, device=images.device)[classes].permute(0, 3, 1, 2)], 3)

    def export(self, folder: Path, data: Any = None) -> Path:
        """Write the weights, and ``metrics.json`` with the last validation figures beside them."""
        figures = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        if self.trainer.is_global_zero and figures:  # a run that had been over has no new ones
            (folder / "metrics.json").write_text(json.dumps(figures, indent=1) + "\n")
        return super().export(folder, data)

    def _logits(self, images: Tensor) -> Tensor:
        return self.network(images.contiguous(memory_format=torch.channels_last))


def training_samples(settings: ParserDataSettings) -> PreparedFaces:
    """The prepared faces, with the label maps that the configuration names.

    Raises:
        GcnfaceError: there are no prepared faces, the named label maps are not theirs, or their own were drawn by a
            parser, which could only learn its own mistakes.
    """
    samples = load_prepared(settings.faces)
    if settings.labels is None:
        if read_settings(settings.faces).get("parsing") == "shipped":
            raise GcnfaceError(
                f"{settings.faces}: its label maps were drawn by the shipped parser; prepare the faces with "
                "--parsing stored or name maps of a teacher with data.labels=FILE"
            )
        return samples
    return replace(samples, labels=load_label_maps(settings.labels, samples))
