"""Training of the face parser through Lightning."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from gcnface.compat import ensure_torchvision
from gcnface.errors import GcnfaceError
from gcnface.parsing import PARSING_CLASSES, FaceParser, read_parser
from gcnface.training.faces import UNKNOWN, PreparedFaces, load_prepared, read_settings
from gcnface.training.parser_augment import AugmentConfig, centre_views, random_views
from gcnface.training.parser_metrics import confusion_matrix, intersection_over_union

ensure_torchvision()
import lightning  # noqa: E402

from gcnface.training.runs import save_weights  # noqa: E402

CLASS_WEIGHTS = (1.0, 1.0, 2.5, 2.5, 2.0, 1.2, 2.0, 2.5, 1.8, 1.0)
"""Weight of each of PARSING_CLASSES in the cross entropy: what covers few pixels counts more."""


@dataclass(frozen=True)
class ParserTrainingConfig:
    """How the parser is trained.

    Attributes:
        data: prepared faces (`gcnface prepare --parsing stored`).
        labels: npy file of label maps to learn instead of the data set's own (`gcnface.building.parsing_teacher`).
        start: weights (``parser.safetensors``) to start from instead of random ones.
        output: folder for checkpoints, logs, the resolved configuration and ``parser.safetensors``.
        steps: optimisation steps.
        batch_size: crops a step.
        learning_rate: peak of a one-cycle schedule.
        weight_decay: of AdamW.
        photo_weight: how much more often a photograph is drawn than a drawn face.
        validate_every: steps between two measurements on the validation people.
        threads: CPU threads.
        seed: of every random number.
        augment: the random views.
        resume: checkpoint to go on from.
    """

    data: Path = Path("runs/faces")
    labels: Path | None = None
    start: Path | None = None
    output: Path = Path("runs/parser")
    steps: int = 1000
    batch_size: int = 20
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    photo_weight: float = 2.0
    validate_every: int = 500
    threads: int = 2
    seed: int = 0
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    resume: Path | None = None

    def __post_init__(self) -> None:
        """Check what depends on more than a type."""
        if self.steps < 1 or self.batch_size < 2:
            raise ValueError(f"steps >= 1 and batch_size >= 2 are needed, found {self.steps} and {self.batch_size}")
        if self.augment.side_px % 16:
            raise ValueError(f"augment.side_px must be a multiple of 16, found {self.augment.side_px}")


class Batch(NamedTuple):
    """images (B, 3, s, s) float32 sRGB in [0, 1]; labels (B, s, s) int64, UNKNOWN where no teacher saw."""

    images: Tensor
    labels: Tensor

    def to(self, *args: Any, **kwargs: Any) -> "Batch":
        """The batch on another device, as `Tensor.to`; Lightning moves what has this method."""
        return Batch(self.images.to(*args, **kwargs), self.labels.to(*args, **kwargs))


class TrainingBatches(IterableDataset):
    """Endless random batches of random views of the training people's crops; those without labels are left out."""

    def __init__(self, samples: PreparedFaces, config: ParserTrainingConfig) -> None:
        self.samples = samples
        self.config = config
        middle = samples.labels.shape[1] // 2
        self.rows = np.flatnonzero(~samples.validation & (samples.labels[:, middle, middle] != UNKNOWN))
        weight = np.where(samples.drawn[self.rows], 1.0, config.photo_weight)
        self.probability = weight / weight.sum()

    def __iter__(self) -> Iterator[Batch]:
        """Batches without end; every iterator starts from the seed."""
        numbers = np.random.default_rng(self.config.seed)
        generator = torch.Generator().manual_seed(self.config.seed)
        while True:
            rows = numbers.choice(self.rows, self.config.batch_size, replace=False, p=self.probability)
            images, labels = gather(self.samples, rows)
            yield Batch(*random_views(images, labels, self.config.augment, generator))


class ValidationBatches(IterableDataset):
    """The validation people's crops, unaugmented, in order."""

    def __init__(self, samples: PreparedFaces, config: ParserTrainingConfig) -> None:
        self.samples = samples
        self.config = config
        self.rows = np.flatnonzero(samples.validation)

    def __iter__(self) -> Iterator[Batch]:
        """Each crop once."""
        for start in range(0, len(self.rows), self.config.batch_size):
            images, labels = gather(self.samples, self.rows[start : start + self.config.batch_size])
            yield Batch(*centre_views(images, labels, self.config.augment.side_px))


def gather(samples: PreparedFaces, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Cached crops by row: images (B, 3, S, S) float32 in [0, 1], labels (B, S, S) uint8."""
    rows = np.sort(rows)
    images = torch.from_numpy(samples.canvases[rows]).permute(0, 3, 1, 2).float() / 255
    return images, torch.from_numpy(samples.labels[rows])


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


class ParserModule(lightning.LightningModule):
    """The parser with its loss, optimiser and validation figures."""

    def __init__(self, config: ParserTrainingConfig) -> None:
        super().__init__()
        self.config = config
        self.parser = FaceParser() if config.start is None else read_parser(config.start)
        self.parser.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.counts = torch.zeros(len(PARSING_CLASSES), len(PARSING_CLASSES), dtype=torch.int64)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """One step on random views."""
        logits = self.parser(batch.images.contiguous(memory_format=torch.channels_last))
        loss = parsing_loss(logits.float(), batch.labels)
        self.log("loss", loss, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Start counting afresh."""
        self.counts = torch.zeros_like(self.counts)

    def validation_step(self, batch: Batch, index: int) -> None:
        """Count the agreement on validation people."""
        logits = self.parser(batch.images.contiguous(memory_format=torch.channels_last))
        self.counts = self.counts + confusion_matrix(logits.argmax(1), batch.labels).cpu()

    def on_validation_epoch_end(self) -> None:
        """Log the IoU of every class and their mean."""
        scores = intersection_over_union(self.counts)
        self.log_dict({f"iou/{name}": float(score) for name, score in zip(PARSING_CLASSES, scores, strict=True)})
        self.log("mean_iou", float(scores.nanmean()), prog_bar=True)

    def configure_optimizers(self) -> Any:  # noqa: ANN401
        """AdamW under a one-cycle schedule."""
        optimizer = torch.optim.AdamW(
            self.parser.parameters(), self.config.learning_rate, weight_decay=self.config.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.config.learning_rate, total_steps=self.config.steps, pct_start=0.1
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train_parser(config: ParserTrainingConfig) -> Path:
    """Train the parser and write its weights as float16.

    Returns:
        the path of ``parser.safetensors`` in the output folder; ``config.json`` with the resolved configuration and
        ``metrics.json`` with the last validation figures lie beside it.

    Raises:
        GcnfaceError: there are no prepared faces, or no labels to learn from.
    """
    torch.set_num_threads(config.threads)
    lightning.seed_everything(config.seed)
    samples = training_samples(config)
    config.output.mkdir(parents=True, exist_ok=True)
    (config.output / "config.json").write_text(json.dumps(asdict(config), indent=1, default=str) + "\n")
    module = ParserModule(config)
    trainer = lightning.Trainer(
        default_root_dir=config.output,
        accelerator="auto",
        devices=1,
        precision="bf16-mixed",
        max_steps=config.steps,
        val_check_interval=min(config.validate_every, config.steps),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        gradient_clip_val=5.0,
        log_every_n_steps=20,
    )
    training, validation = TrainingBatches(samples, config), ValidationBatches(samples, config)
    trainer.fit(
        module, DataLoader(training, batch_size=None), DataLoader(validation, batch_size=None), ckpt_path=config.resume
    )
    figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
    (config.output / "metrics.json").write_text(json.dumps(figures, indent=1) + "\n")
    return save_weights(module.parser, config.output / "parser.safetensors")


def training_samples(config: ParserTrainingConfig) -> PreparedFaces:
    """The prepared faces, with the label maps that the configuration names.

    Raises:
        GcnfaceError: there are no prepared faces, the named label maps are not theirs, or their own were drawn by a
            parser, which could only learn its own mistakes.
    """
    samples = load_prepared(config.data)
    if config.labels is None:
        if read_settings(config.data).get("parsing") == "shipped":
            raise GcnfaceError(
                f"{config.data}: its label maps were drawn by the shipped parser; prepare the faces with "
                "--parsing stored or name maps of a teacher with labels=FILE"
            )
        return samples
    labels = np.load(config.labels, mmap_mode="r")
    if labels.shape != samples.labels.shape:
        raise GcnfaceError(f"{config.labels}: shape {labels.shape}, expected {samples.labels.shape} as the faces")
    return replace(samples, labels=labels)
