"""What all training runs share: the Lightning trainer, resuming, logs, and writing of the final weights."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import lightning
import torch
import yaml
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint, RichProgressBar, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader

from coarse.weights import half_state
from gcnface.errors import GcnfaceError
from gcnface.io.atomic import check_writable, staged
from gcnface.training.callbacks import Cost, Finite, FreezeNorm, Patience, SeededRun, Watched
from gcnface.training.checkpoints import LAST, WholeCheckpoints, check_finite, check_resumable
from gcnface.training.configuration import check_least, plain, record
from gcnface.training.pictures import Pictures

_NOISE = ("does not have many workers", "smaller than the logging interval", "in eval mode", "is not empty", "LeafSpec")
"""What Lightning warns of although it is meant to be so here: samples are made by the training process itself, runs
may be short, FaceNet and what else is frozen stays in evaluation mode, a run goes on in its own folder; the last is a
matter between Lightning and torch."""
_NEWS = ("Tip:", "GPU available: False", "TPU available: False")
"""What Lightning says that helps nobody here: advertisements, and what a machine has not."""
_LIGHTNINGS = ("accelerator", "devices", "strategy", "precision")
"""Settings of a run that are Lightning's names, which it judges itself."""


@dataclass(frozen=True)
class RunSettings:
    """Where and how long a run trains."""

    output: Path
    """Folder of caches, checkpoints, logs, the resolved configuration and the final weights."""
    epochs: int = 20
    """Passes over the training faces."""
    precision: str = "bf16-mixed"
    """Lightning's name of the precision, as "32-true" or "bf16-mixed"; the CPU has bfloat16 too."""
    threads: int = 2
    """How many CPU threads compute."""
    gradient_clip: float = 1.0
    """Norm to which gradients are clipped; 0 does not clip them."""
    check_every: int = 1
    """Epochs between validations."""
    resume: bool = True
    """Go on from the last checkpoint in `output` when there is one."""
    seed: int = 0
    """The seed that every random number of the run follows from, 0 or more."""
    accelerator: str = "auto"
    """Lightning's name of the hardware that computes: "auto", "cpu", "gpu" or "mps"."""
    devices: int | str = "auto"
    """How many devices (on a CPU: processes) a machine uses, or which, as "0,1"."""
    nodes: int = 1
    """How many machines share the run."""
    strategy: str = "auto"
    """Lightning's name of how several devices share the work, for example "ddp"; each takes its part of the faces and
    has batches of its own, of the size that is configured."""
    freeze_norm: bool = False
    """Batch norms keep the statistics they have, so that a step does not depend on how its batch is split."""
    patience: int = 0
    """Validations without progress of `monitor` after which training stops; 0 never stops early."""
    monitor: str = ""
    """Logged figure by which the best checkpoint is kept and training stops early."""
    monitor_mode: str = "min"
    """Whether the smallest ("min") or the largest ("max") of it is best."""
    tensorboard: bool = True
    """Write a log for TensorBoard beside the CSV log."""
    pictures_every: int = 1
    """Epochs between pictures of held-out faces, for networks that draw some; 0 draws none."""

    def __post_init__(self) -> None:
        """Check what depends on more than a type."""
        check_least(
            self, epochs=1, threads=1, gradient_clip=0, check_every=1, seed=0, nodes=1, patience=0, pictures_every=0
        )
        if isinstance(self.devices, int) and self.devices < 1:
            raise ValueError(f"devices is {self.devices}; it must be 1 or more")
        if self.patience and not self.monitor:
            raise ValueError("patience needs a figure to watch; name one with monitor, as valid/landmarks_percent")
        if self.monitor_mode not in ("min", "max"):
            raise ValueError(f"monitor_mode is {self.monitor_mode!r}; expected min or max")


class TrainingModule(lightning.LightningModule):
    """What every training's module shares; its only argument is the training's record of settings.

    Checkpoints hold the settings as plain values, which are the argument again, so that `load_from_checkpoint` needs
    the file alone. FaceNet, where there is one, is frozen and stays out of them: it is resolved anew.
    A run that goes on for another number of epochs has its one-cycle schedule stretched to them.
    Figures are averaged over all processes of a run.

    Args:
        settings: of the type `configured_by`, or its plain form out of a checkpoint.
    """

    configured_by: ClassVar[type]
    settings: Any

    _FROZEN = "facenet."
    _LENGTH_OF_SCHEDULE = ("total_steps", "_schedule_phases")

    def __init__(self, settings: Any) -> None:
        super().__init__()
        self.settings = record(self.configured_by, settings)

    def log(self, *args: Any, **kwargs: Any) -> None:
        """As Lightning's, averaged over the processes where there are several."""
        several = self._trainer is not None and self.trainer.world_size > 1
        kwargs["sync_dist"] = kwargs.get("sync_dist") or several
        super().log(*args, **kwargs)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave FaceNet out, and put the settings where Lightning looks for arguments."""
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {k: v for k, v in state.items() if not k.startswith(self._FROZEN)}
        checkpoint[self.CHECKPOINT_HYPER_PARAMS_KEY] = plain(self.settings)
        checkpoint[self.CHECKPOINT_HYPER_PARAMS_NAME] = "settings"

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Give FaceNet back so that the strict loading finds it, and keep this run's own length of the schedule."""
        checkpoint["state_dict"] |= {k: v for k, v in self.state_dict().items() if k.startswith(self._FROZEN)}
        for schedule in checkpoint["lr_schedulers"]:
            for key in self._LENGTH_OF_SCHEDULE:
                schedule.pop(key, None)


def one_cycle(
    module: lightning.LightningModule, optimizer: torch.optim.Optimizer, *, warm_up: float = 0.3
) -> dict[str, Any]:
    """What `configure_optimizers` returns for one cycle over all steps of the run (Smith and Topin 2018).

    Args:
        module: attached to its trainer.
        optimizer: its learning rate is the cycle's peak.
        warm_up: share of the steps before the peak.
    """
    steps, peak = int(module.trainer.estimated_stepping_batches), optimizer.defaults["lr"]
    if steps * warm_up == 1:  # torch divides by the length of the way up less one step
        warm_up *= 1.001
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps, pct_start=warm_up)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def begin(run: RunSettings) -> None:
    """Before anything random is made, untrained networks among it: threads, seeds and the folder of the run.

    Raises:
        OutputError: the folder cannot be written to.
    """
    torch.set_num_threads(run.threads)
    lightning.seed_everything(run.seed, workers=True, verbose=False)
    check_writable(run.output)


def train(module: TrainingModule, learn: DataLoader, check: DataLoader | None) -> lightning.Trainer:
    """Fit `module`, resumable, with checkpoints, logs and the resolved configuration beside and inside them.

    Args:
        module: its settings have the `RunSettings` as `run`.
        learn: batches to learn from, of `training_loader`.
        check: batches of held-out people; None when there are none.

    Returns:
        The trainer, which knows the last figures.

    Raises:
        DivergedError: a loss or a weight is no longer finite.
        GcnfaceError: the run cannot be gone on from or cannot be as it is configured; TensorBoard is not installed.
    """
    run: RunSettings = module.settings.run
    begin(run)
    if run.monitor and check is None:
        raise GcnfaceError(
            f"run.monitor is {run.monitor!r}, but nobody is held out to measure it; leave it out or add people"
        )
    if is_first_process():
        (run.output / "config.yaml").write_text(yaml.safe_dump(plain(module.settings)))
    last = run.output / LAST
    resumed = run.resume and last.exists()
    if resumed:
        check_resumable(module, last, run.epochs)
    with _quiet_lightning():
        trainer = _trainer(module, learn, check)
        _check_share(learn, trainer.world_size)
        trainer.fit(module, learn, check, ckpt_path=str(last) if resumed else None)
    return trainer


def _trainer(module: TrainingModule, learn: DataLoader, check: DataLoader | None) -> lightning.Trainer:
    run: RunSettings = module.settings.run
    loggers, callbacks = _loggers(run), _callbacks(module, check, run)
    try:
        return lightning.Trainer(
            accelerator=run.accelerator,
            devices=run.devices,
            num_nodes=run.nodes,
            strategy=run.strategy,
            max_epochs=run.epochs,
            precision=run.precision,  # type: ignore[arg-type]
            # else the module's own affair
            gradient_clip_val=run.gradient_clip or None if module.automatic_optimization else None,
            check_val_every_n_epoch=run.check_every,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            logger=loggers,
            callbacks=[SeededRun(run.seed, learn.sampler), Finite(), *callbacks],
            plugins=[WholeCheckpoints()],
        )
    except Exception as error:  # Lightning, and what it asks about the devices, refuse in every kind of error
        raise _refused(run, error) from error


def _refused(run: RunSettings, error: Exception) -> GcnfaceError:
    """Lightning's refusal in one line: the settings it speaks of, else those that are not the defaults."""
    text = " ".join(str(error).split())
    chosen = [name for name in _LIGHTNINGS if getattr(run, name) != getattr(RunSettings, name)]
    blamed = [name for name in _LIGHTNINGS if name in text] or chosen or _LIGHTNINGS
    settings = " ".join(f"run.{name}={getattr(run, name)}" for name in blamed)
    return GcnfaceError(f"{settings} is what Lightning cannot do here; choose another or leave it out ({text})")


def _check_share(learn: DataLoader, processes: int) -> None:
    """Whether each process has a whole batch."""
    share = len(learn.sampler) // processes  # type: ignore[arg-type]
    if learn.drop_last and share < (learn.batch_size or 1):
        raise GcnfaceError(
            f"{processes} processes have {share} samples each an epoch, fewer than batch_size {learn.batch_size}; "
            "lower batch_size or run.devices"
        )


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Lightning's advertisements and needless warnings left out; everything else is said."""

    def useful(entry: logging.LogRecord) -> bool:
        return not any(text in entry.getMessage() for text in _NEWS)

    speaker = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    speaker.addFilter(useful)
    try:
        with warnings.catch_warnings():
            for text in _NOISE:
                warnings.filterwarnings("ignore", f"(?s).*{text}")
            yield
    finally:
        speaker.removeFilter(useful)


def _loggers(run: RunSettings) -> list[Logger]:
    loggers: list[Logger] = [CSVLogger(run.output, name="log")]
    if run.tensorboard:
        try:
            loggers.append(TensorBoardLogger(run.output, name="tensorboard"))
        except ModuleNotFoundError as error:
            raise GcnfaceError(
                'the log for TensorBoard needs the package tensorboard; pip install "gcnface[train]" or switch it off '
                "with run.tensorboard=false"
            ) from error
    return loggers


def _callbacks(module: TrainingModule, check: DataLoader | None, run: RunSettings) -> list[Callback]:
    bar = RichProgressBar() if sys.stdout.isatty() else TQDMProgressBar(refresh_rate=20)
    callbacks: list[Callback] = [bar, LearningRateMonitor(), Cost()]
    if run.monitor:
        callbacks.append(Watched(run.monitor))
        callbacks.append(_kept(run, "best", monitor=run.monitor, mode=run.monitor_mode, save_on_train_epoch_end=None))
    if run.patience:
        callbacks.append(Patience(run.monitor, patience=run.patience, mode=run.monitor_mode))
    if run.freeze_norm:
        callbacks.append(FreezeNorm())
    if run.pictures_every and hasattr(module, "pictures") and check is not None:
        callbacks.append(Pictures(check, run.output / "pictures", run.pictures_every))
    return [*callbacks, _kept(run, Path(LAST).stem)]  # the last, for it keeps the state of all others


def _kept(run: RunSettings, name: str, **options: Any) -> ModelCheckpoint:
    """One checkpoint of that name, written anew at the end of an epoch."""
    options = {"save_on_train_epoch_end": True, "enable_version_counter": False, **options}
    return ModelCheckpoint(run.output, name, **options)


def is_first_process() -> bool:
    """Whether this process is the first, or the only one, of a run: the one that writes files."""
    return getattr(rank_zero_only, "rank", 0) == 0


def save_weights(network: nn.Module, path: Path) -> Path:
    """Write a network's state as float16 safetensors; see `write_weights`."""
    from safetensors.torch import save_file

    return write_weights(network, path, lambda part: save_file(half_state(network), part))


def write_weights(network: nn.Module, path: Path, write: Callable[[Path], None]) -> Path:
    """Write a file of weights, whole or not at all; of several processes only the first writes.

    Args:
        network: whose weights they are.
        path: of the file.
        write: writes them as float16 to the path it is given.

    Raises:
        DivergedError: they are not finite.
    """
    check_finite(half_state(network), "as float16")
    if is_first_process():
        with staged(path.parent) as stage:
            write(stage / path.name)
    return path
