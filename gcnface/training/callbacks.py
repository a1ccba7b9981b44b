"""Callbacks that Lightning lacks: losses that are checked, norms that stay, stops that last, one place for files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, WeightAveraging
from lightning.pytorch.cli import SaveConfigCallback
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from gcnface.training.checkpoints import diverged


class FreezeNorm(Callback):
    """Batch norms use and keep the statistics they have, so that a step does not depend on how its batch is split."""

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Put them into evaluation mode; validation gives every module its mode back."""
        for module in pl_module.modules():
            if isinstance(module, _BatchNorm):
                module.eval()


class Finite(Callback):
    """Stops a run whose loss is no longer finite; weights are looked at whenever they are written.

    Lightning's `EarlyStopping` ends such a run as if it were done, one process at a time.
    """

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """All processes stop together.

        Raises:
            DivergedError: a loss is NaN or infinite.
        """
        losses = [value.detach() for value in (outputs or {}).values() if isinstance(value, Tensor)]
        wild: Any = sum((~loss.isfinite()).sum().float() for loss in losses)
        if trainer.world_size > 1:
            wild = trainer.strategy.reduce(torch.as_tensor(wild, device=pl_module.device), reduce_op="sum")
        if wild:
            raise diverged("the loss is", f"in step {trainer.fit_loop.epoch_loop.total_batch_idx + 1}")


class StayStopped(Callback):
    """A run that has been stopped early does not go on when it is resumed, unless it is given more patience.

    Lightning's `EarlyStopping` would train one epoch more, and takes the patience of the run before.
    """

    def __init__(self) -> None:
        self.patience: list[int] = []

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Note this run's patience before the checkpoint is read."""
        self.patience = [stop.patience for stop in _early_stops(trainer)]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Nothing is left to train where the patience is over."""
        for stop, patience in zip(_early_stops(trainer), self.patience, strict=True):
            stop.patience = patience
            if stop.stopped_epoch and stop.wait_count >= patience:
                trainer.should_stop = True


def _early_stops(trainer: lightning.Trainer) -> list[EarlyStopping]:
    return [callback for callback in trainer.early_stopping_callbacks if isinstance(callback, EarlyStopping)]


class WarmAverage(WeightAveraging):
    """Lightning's moving average of the weights, which forgets faster in the first steps.

    Args:
        decay: share of the old in the average, once it is warm.
    """

    def __init__(self, decay: float = 0.995) -> None:
        def average(averaged: Any, current: Any, count: Tensor) -> None:
            old = min(decay, (1 + int(count)) / (10 + int(count)))
            torch._foreach_lerp_(averaged, current, 1 - old)

        # Buffers are tables of indices, of which no mean can be taken.
        super().__init__(use_buffers=False, multi_avg_fn=average)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Also give the module its average when the run was over before it began."""
        self.on_train_end(trainer, pl_module)


class SaveConfiguration(SaveConfigCallback):
    """Writes the resolved configuration beside the checkpoints, anew with every run."""

    def save_config(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Write it; the first process does."""
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        self.parser.save(self.config, folder / self.config_filename, skip_none=False, overwrite=True, multifile=False)
