"""What all training runs share: the Lightning trainer, resuming, logs, and writing of the final weights."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcnface.compat import ensure_torchvision

ensure_torchvision()

import lightning  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402
from lightning.fabric.utilities.rank_zero import rank_zero_only  # noqa: E402
from lightning.pytorch.callbacks import (  # noqa: E402
    Callback,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

from coarse.weights import half_state  # noqa: E402
from gcnface.errors import GcnfaceError  # noqa: E402
from gcnface.io.atomic import staged  # noqa: E402
from gcnface.training.callbacks import Configuration, Cost, FreezeNorm  # noqa: E402
from gcnface.training.pictures import Pictures  # noqa: E402


@dataclass(frozen=True)
class RunSettings:
    """Where and how long a run trains."""

    output: Path
    """Folder of caches, checkpoints, logs, the resolved configuration and the final weights."""
    epochs: int = 20
    """Passes over the training faces."""
    precision: str = "bf16-mixed"
    """Lightning's name of the precision; the CPU has bfloat16 too."""
    threads: int = 2
    """CPU threads."""
    gradient_clip: float = 1.0
    """Norm to which gradients are clipped."""
    check_every: int = 1
    """Epochs between validations."""
    resume: bool = True
    """Go on from the last checkpoint in `output` when there is one."""
    seed: int = 0
    """Of every random number."""
    accelerator: str = "auto"
    """Lightning's name of what computes: "auto", "cpu", "gpu", "mps"."""
    devices: int | str = "auto"
    """How many devices (on a CPU: processes) a machine uses, or which, as "0,1"."""
    nodes: int = 1
    """Machines."""
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
        if self.patience and not self.monitor:
            raise ValueError("patience needs a figure to watch; name one with monitor, as valid/landmarks_percent")
        if self.monitor_mode not in ("min", "max"):
            raise ValueError(f"monitor_mode is {self.monitor_mode!r}; expected min or max")


class TrainingModule(lightning.LightningModule):
    """A module whose frozen FaceNet stays out of its checkpoints: it is resolved anew wherever training goes on.

    A run that goes on for another number of epochs has its one-cycle schedule stretched to them.
    Figures are averaged over all processes of a run.
    """

    _FROZEN = "facenet."
    _LENGTH_OF_SCHEDULE = ("total_steps", "_schedule_phases")

    def log(self, *args: Any, **kwargs: Any) -> None:
        """As Lightning's, averaged over the processes where there are several."""
        several = self._trainer is not None and self.trainer.world_size > 1
        kwargs["sync_dist"] = kwargs.get("sync_dist") or several
        super().log(*args, **kwargs)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave FaceNet out."""
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {k: v for k, v in state.items() if not k.startswith(self._FROZEN)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Give FaceNet back so that the strict loading finds it, and keep this run's own length of the schedule."""
        checkpoint["state_dict"] |= {k: v for k, v in self.state_dict().items() if k.startswith(self._FROZEN)}
        for schedule in checkpoint["lr_schedulers"]:
            for key in self._LENGTH_OF_SCHEDULE:
                schedule.pop(key, None)


def one_cycle(
    module: lightning.LightningModule, optimiser: torch.optim.Optimizer, *, warm_up: float = 0.3
) -> dict[str, Any]:
    """What `configure_optimizers` returns for one cycle over all steps of the run (Smith and Topin 2018).

    Args:
        module: attached to its trainer.
        optimiser: its learning rate is the cycle's peak.
        warm_up: share of the steps before the peak.
    """
    steps, peak = int(module.trainer.estimated_stepping_batches), optimiser.defaults["lr"]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, total_steps=steps, pct_start=warm_up)
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train(
    module: lightning.LightningModule, learn: DataLoader, check: DataLoader, run: RunSettings, settings: Any
) -> lightning.Trainer:
    """Fit `module`, resumable, with checkpoints, logs and the resolved configuration beside and inside them.

    Returns:
        The trainer, which knows the last figures.

    Raises:
        GcnfaceError: the run wants TensorBoard, which is not installed.
    """
    torch.set_num_threads(run.threads)
    lightning.seed_everything(run.seed, workers=True, verbose=False)
    run.output.mkdir(parents=True, exist_ok=True)
    if is_first_process():
        (run.output / "config.yaml").write_text(yaml.safe_dump(plain(settings)))
    last = run.output / "last.ckpt"
    trainer = lightning.Trainer(
        accelerator=run.accelerator,
        devices=run.devices,
        num_nodes=run.nodes,
        strategy=run.strategy,
        max_epochs=run.epochs,
        precision=run.precision,  # type: ignore[arg-type]
        gradient_clip_val=run.gradient_clip if module.automatic_optimization else None,  # else the module's own affair
        check_val_every_n_epoch=run.check_every,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        logger=_loggers(run),
        callbacks=[*_callbacks(module, check, run), Configuration(plain(settings))],
    )
    trainer.fit(module, learn, check, ckpt_path=str(last) if run.resume and last.exists() else None)
    return trainer


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


def _callbacks(module: lightning.LightningModule, check: DataLoader, run: RunSettings) -> list[Callback]:
    bar = RichProgressBar() if sys.stdout.isatty() else TQDMProgressBar(refresh_rate=20)
    latest = ModelCheckpoint(
        run.output, filename="latest", save_last=True, save_top_k=1, enable_version_counter=False
    )
    callbacks: list[Callback] = [bar, LearningRateMonitor(), Cost(), latest]
    if run.monitor:
        best = ModelCheckpoint(
            run.output, "best", monitor=run.monitor, mode=run.monitor_mode, enable_version_counter=False
        )
        callbacks.append(best)
    if run.patience:
        callbacks.append(EarlyStopping(run.monitor, patience=run.patience, mode=run.monitor_mode))
    if run.freeze_norm:
        callbacks.append(FreezeNorm())
    if run.pictures_every and hasattr(module, "pictures") and len(check.dataset):  # type: ignore[arg-type]
        callbacks.append(Pictures(check, run.output / "pictures", run.pictures_every))
    return callbacks


def is_first_process() -> bool:
    """Whether this process is the first, or the only one, of a run: the one that writes files."""
    return getattr(rank_zero_only, "rank", 0) == 0


def plain(settings: Any) -> Any:
    """Dataclasses, paths and tuples as YAML knows them."""
    if dataclasses.is_dataclass(settings):
        return {f.name: plain(getattr(settings, f.name)) for f in dataclasses.fields(settings)}
    if isinstance(settings, Path):
        return str(settings)
    if isinstance(settings, (tuple, list)):
        return [plain(item) for item in settings]
    return settings


def save_weights(network: nn.Module, path: Path) -> Path:
    """Write a network's state as float16 safetensors; of several processes only the first writes."""
    from safetensors.torch import save_file

    if is_first_process():
        with staged(path.parent) as stage:
            save_file(half_state(network), stage / path.name)
    return path
