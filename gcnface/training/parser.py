"""Training of the face parser through Lightning."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gcnface.data.faces import UNKNOWN, PreparedFaces, load_prepared, read_settings
from gcnface.errors import GcnfaceError
from gcnface.photo.parsing import PARSING_CLASSES, FaceParser, read_parser
from gcnface.training.configuration import check_least, check_positive
from gcnface.training.label_maps import load_label_maps
from gcnface.training.loading import checking_loader, training_loader
from gcnface.training.parser_augment import AugmentConfig, center_views, random_views
from gcnface.training.parser_data import Batch, CanvasDataset, labeled_rows, photo_weights
from gcnface.training.parser_metrics import confusion_matrix, intersection_over_union
from gcnface.training.runs import RunSettings, TrainingModule, begin, one_cycle, save_weights, train

CLASS_WEIGHTS = (1.0, 1.0, 2.5, 2.5, 2.0, 1.2, 2.0, 2.5, 1.8, 1.0)
"""Weight of each of PARSING_CLASSES in the cross entropy: what covers few pixels counts more."""

CLASS_COLORS = (
    *((0.0, 0.0, 0.0), (0.9, 0.7, 0.6), (0.4, 0.2, 0.1), (0.2, 0.5, 1.0), (0.6, 0.9, 0.9), (1.0, 0.5, 0.3)),
    *((0.8, 0.1, 0.2), (0.5, 0.0, 0.3), (0.9, 0.9, 0.3), (0.3, 0.6, 0.2)),
)
"""sRGB in which pictures show each of PARSING_CLASSES."""


@dataclass(frozen=True)
class ParserTraining:
    """Configuration of `gcnface train parser`."""

    data: Path = Path("runs/faces")
    """Folder of prepared faces (`gcnface prepare --parsing stored`)."""
    run: RunSettings = field(
        default_factory=lambda: RunSettings(output=Path("runs/parser"), epochs=2, gradient_clip=5.0)
    )
    """Where and how long to train."""
    labels: Path | None = None
    """File (npy) of label maps to learn instead of the data set's own (`gcnface.building.parsing_teacher`)."""
    start: Path | None = None
    """Weights to start from instead of random ones."""
    epoch_steps: int = 500
    """Steps in an epoch, which ends with a measurement on held-out people."""
    batch_size: int = 20
    """Faces in a step."""
    learning_rate: float = 3e-3
    """Learning rate at the peak of the one-cycle schedule."""
    weight_decay: float = 0.02
    """Weight decay of AdamW."""
    photo_weight: float = 2.0
    """How much more often a photograph is drawn than a drawn face."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """How far the random views of the faces go."""

    def __post_init__(self) -> None:
        """Check what depends on more than a type."""
        check_least(self, weight_decay=0)
        check_positive(self, "learning_rate", "photo_weight")
        if self.epoch_steps < 1 or self.batch_size < 2:
            found = f"{self.epoch_steps} and {self.batch_size}"
            raise ValueError(f"epoch_steps >= 1 and batch_size >= 2 are needed, found {found}")
        if self.augment.side_px % 16:
            raise ValueError(f"augment.side_px must be a multiple of 16, found {self.augment.side_px}")


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

    configured_by = ParserTraining
    settings: ParserTraining
    counts: Tensor

    def __init__(self, settings: ParserTraining) -> None:
        super().__init__(settings)
        self.network = FaceParser()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        counts = torch.zeros(len(PARSING_CLASSES), len(PARSING_CLASSES), dtype=torch.int64)
        self.register_buffer("counts", counts, persistent=False)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """One step on random views, which depend on seed, step and process alone."""
        seed = (self.settings.run.seed * 1_000_003 + self.global_step) * 1_009 + self.global_rank
        images, labels = random_views(
            batch.images.cpu(), batch.labels.cpu(), self.settings.augment, torch.Generator().manual_seed(seed)
        )
        loss = parsing_loss(self._logits(images.to(self.device)).float(), labels.to(self.device))
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Start counting afresh."""
        self.counts = torch.zeros_like(self.counts)

    def validation_step(self, batch: Batch, index: int) -> None:
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

    def pictures(self, batch: Batch) -> Tensor:
        """(B, 3, s, 2 s): each held-out face beside the classes that the parser sees."""
        images, _ = center_views(batch.images, batch.labels, self.settings.augment.side_px)
        classes = self._logits(images).argmax(1)
        return torch.cat([images, torch.tensor(CLASS_COLORS, device=images.device)[classes].permute(0, 3, 1, 2)], 3)

    def configure_optimizers(self) -> Any:  # noqa: ANN401
        """AdamW with one cycle over all steps."""
        s = self.settings
        optimizer = torch.optim.AdamW(self.network.parameters(), s.learning_rate, weight_decay=s.weight_decay)
        return one_cycle(self, optimizer, warm_up=0.1)

    def _logits(self, images: Tensor) -> Tensor:
        return self.network(images.contiguous(memory_format=torch.channels_last))


def train_parser(settings: ParserTraining) -> Path:
    """Train the parser and write its weights as float16.

    Returns:
        The path of ``parser.safetensors`` in the output folder; ``metrics.json`` with the last validation figures lies
        beside it.

    Raises:
        GcnfaceError: there are no prepared faces, or no labels to learn from.
    """
    begin(settings.run)
    faces = training_samples(settings)
    rows, size, stack = labeled_rows(faces), settings.batch_size, CanvasDataset.stack
    learn = training_loader(
        CanvasDataset(faces, rows),
        size,
        settings.run.seed,
        settings.data,
        collate=stack,
        limit=size * settings.epoch_steps,
        weights=photo_weights(faces, rows, settings.photo_weight),
    )
    check = checking_loader(CanvasDataset(faces, np.flatnonzero(faces.validation)), size, collate=stack)
    module = ParserModule(settings)
    if settings.start is not None:
        module.network.load_state_dict(read_parser(settings.start).state_dict())
    trainer = train(module, learn, check)
    figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
    if trainer.is_global_zero and figures:  # a run that had been over has no new ones
        (settings.run.output / "metrics.json").write_text(json.dumps(figures, indent=1) + "\n")
    return save_weights(module.network, settings.run.output / "parser.safetensors")


def training_samples(settings: ParserTraining) -> PreparedFaces:
    """The prepared faces, with the label maps that the configuration names.

    Raises:
        GcnfaceError: there are no prepared faces, the named label maps are not theirs, or their own were drawn by a
            parser, which could only learn its own mistakes.
    """
    samples = load_prepared(settings.data)
    if settings.labels is None:
        if read_settings(settings.data).get("parsing") == "shipped":
            raise GcnfaceError(
                f"{settings.data}: its label maps were drawn by the shipped parser; prepare the faces with "
                "--parsing stored or name maps of a teacher with labels=FILE"
            )
        return samples
    return replace(samples, labels=load_label_maps(settings.labels, samples))
