"""What watches every training run: its random numbers, its losses, its cost, norms that stay as they are."""

from __future__ import annotations

import dataclasses
import logging
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from gcnface.errors import GcnfaceError
from gcnface.training.checkpoints import diverged

_log = logging.getLogger("lightning.pytorch")


class FreezeNorm(Callback):
    """Batch norms use and keep the statistics they have, so that a step does not depend on how its batch is split."""

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Put them into evaluation mode; validation gives every module its mode back."""
        for module in pl_module.modules():
            if isinstance(module, _BatchNorm):
                module.eval()


class SeededRun(Callback):
    """Everything random follows from the run's seed, the epoch and the step, so that a resumed run repeats none of it.

    Args:
        seed: of the run.
        order: of the training samples; wrappers for several processes do not tell it the epoch.
    """

    def __init__(self, seed: int, order: Any) -> None:
        self.seed, self.order = seed, order

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Before the first sample of the epoch is asked for."""
        if hasattr(self.order, "set_epoch"):
            self.order.set_epoch(trainer.current_epoch)

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """For what the networks draw, as dropout does."""
        key = (self.seed, trainer.current_epoch, batch_idx, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1)))


class Finite(Callback):
    """Stops a run whose loss is no longer finite; weights are looked at whenever they are written."""

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


class Watched(Callback):
    """Refuses a run whose watched figure is none of those logged, as soon as all of them are known.

    Args:
        monitor: name of the figure.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """The first validation comes before anything asks for the figure.

        Raises:
            GcnfaceError: it is not logged.
        """
        figures = sorted(trainer.callback_metrics)
        if self.monitor not in figures:
            what = f"run.monitor is {self.monitor!r}, which is not logged; name one of {', '.join(figures)}"
            raise GcnfaceError(what)


class Patience(EarlyStopping):
    """Early stopping that also holds in a run that is resumed after it has been stopped early."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep this run's patience, which may be more than that of the run before."""
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Nothing is left to train; more patience goes on."""
        if self.stopped_epoch and self.wait_count >= self.patience:
            trainer.should_stop = True


class Cost(Callback):
    """Measures samples a second and the peak of memory; logs them each epoch and says them at the end.

    Time for validation does not count; time that training waits for its data does. Memory is that of this process and,
    on CUDA, what torch took of the device; each process of several has its own.
    """

    def __init__(self) -> None:
        self.samples, self.seconds = 0, 0.0
        self._since = 0.0
        self._epoch: tuple[int, float] = (0, 0.0)

    @property
    def samples_per_second(self) -> float:
        """Over the whole run, all processes together."""
        return self.samples / max(self.seconds, 1e-9)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._since, self._epoch = time.perf_counter(), (self.samples, self.seconds)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count."""
        now = time.perf_counter()
        self.seconds, self._since = self.seconds + now - self._since, now
        self.samples += batch_size(batch) * trainer.world_size

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Leave validation out, wherever in the epoch it was."""
        self._since = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Log the epoch's figures."""
        samples, seconds = self._epoch
        rate = (self.samples - samples) / max(self.seconds - seconds, 1e-9)
        values = {"cost/samples_per_second": rate, "cost/peak_memory_mib": peak_memory_mib()}
        for logger in trainer.loggers:
            logger.log_metrics(values, trainer.global_step)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Say it."""
        if trainer.is_global_zero and self.samples:
            _log.info(
                "%d samples in %.0f s: %.1f samples a second; peak memory %.0f MiB%s",
                self.samples,
                self.seconds,
                self.samples_per_second,
                peak_memory_mib(),
                f", on the device {device_memory_mib():.0f} MiB" if torch.cuda.is_available() else "",
            )


def peak_memory_mib() -> float:
    """Largest resident memory this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def device_memory_mib() -> float:
    """Most memory that torch has held on the CUDA device."""
    return torch.cuda.max_memory_allocated() / 2**20


def batch_size(batch: Any) -> int:
    """Length of the first tensor in a batch: a tensor, a record, a sequence or a mapping of them; 0 without one."""
    if isinstance(batch, Tensor):
        return len(batch) if batch.ndim else 1
    if dataclasses.is_dataclass(batch):
        parts: Sequence[Any] = [getattr(batch, field.name) for field in dataclasses.fields(batch)]
    elif isinstance(batch, Mapping):
        parts = list(batch.values())
    elif isinstance(batch, Sequence) and not isinstance(batch, str):
        parts = batch
    else:
        return 0
    return next((size for part in parts if (size := batch_size(part))), 0)
