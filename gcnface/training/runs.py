"""What all training runs share: the Lightning trainer, resuming, logs, and writing of the final weights."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcnface.compat import ensure_torchvision

ensure_torchvision()

import lightning  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint  # noqa: E402
from lightning.pytorch.loggers import CSVLogger  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402


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


class TrainingModule(lightning.LightningModule):
    """A module whose frozen FaceNet stays out of its checkpoints: it is resolved anew wherever training goes on.

    A run that goes on for another number of epochs has its one-cycle schedule stretched to them.
    """

    _FROZEN = "facenet."
    _LENGTH_OF_SCHEDULE = ("total_steps", "_schedule_phases")

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


def train(
    module: lightning.LightningModule, learn: DataLoader, check: DataLoader, run: RunSettings, settings: Any
) -> None:
    """Fit `module`, resumable, with checkpoints, a CSV log and the resolved configuration beside them."""
    torch.set_num_threads(run.threads)
    lightning.seed_everything(run.seed, workers=True)
    run.output.mkdir(parents=True, exist_ok=True)
    (run.output / "config.yaml").write_text(yaml.safe_dump(plain(settings)))
    last = run.output / "last.ckpt"
    trainer = lightning.Trainer(
        accelerator="auto",
        max_epochs=run.epochs,
        precision=run.precision,  # type: ignore[arg-type]
        gradient_clip_val=run.gradient_clip,
        check_val_every_n_epoch=run.check_every,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        logger=CSVLogger(run.output, name="log"),
        callbacks=[
            ModelCheckpoint(run.output, filename="latest", save_last=True, save_top_k=1, enable_version_counter=False),
            LearningRateMonitor(),
        ],
        enable_progress_bar=True,
    )
    trainer.fit(module, learn, check, ckpt_path=str(last) if run.resume and last.exists() else None)


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
    """Write a network's state as float16 safetensors."""
    from safetensors.torch import save_file

    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in network.state_dict().items()
    }
    save_file(state, path)
    return path
