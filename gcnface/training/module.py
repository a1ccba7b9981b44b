"""What the Lightning modules of all trainings share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import lightning
import numpy as np
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import Callback
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from coarse.coefficients import CoefficientLayout
from coarse.face_model import load_face_model
from coarse.mirroring import RawMirror, remove_mirror_bias
from coarse.spatial_transformer.theta import ThetaLayout
from coarse.weights import half_state
from gcnface.data.faces import PreparedFaces
from gcnface.errors import GcnfaceError
from gcnface.io.atomic import staged
from gcnface.training.callbacks import Finite
from gcnface.training.checkpoints import check_finite
from gcnface.training.configuration import check_choices, check_least, check_positive, plain
from gcnface.training.crops import CropBatch, CropDataset
from gcnface.training.loading import run_seed

Network = TypeVar("Network", bound=nn.Module)

EMULATED_BF16 = ("DEFAULT", "NO AVX", "AVX2")
"""Kinds of CPU, as torch calls them, on which bfloat16 is emulated: a step takes ten to thirty times as long."""


def usual_precision() -> str:
    """What the Trainer's `precision` is where nobody says: mixed bfloat16 where the machine has it in hardware."""
    emulated = torch.backends.cpu.get_cpu_capability() in EMULATED_BF16
    return "32-true" if emulated and not torch.cuda.is_available() else "bf16-mixed"


class Fixed(Generic[Network]):
    """A network that a module uses and does not own: it is not trained, averaged, copied or kept in checkpoints.

    Args:
        network: moves to the module's device when a run begins.
    """

    def __init__(self, network: Network) -> None:
        self.network = network

    def __deepcopy__(self, memo: Any) -> Fixed[Network]:
        return self


@dataclass(frozen=True, kw_only=True)
class ModuleSettings:
    """What every module can be told."""

    learning_rate: float = 1e-3
    """Learning rate at the peak of the one-cycle schedule."""
    weight_decay: float = 1e-2
    """Weight decay of AdamW."""

    def __post_init__(self) -> None:
        """Check what depends on more than a type."""
        check_choices(self)
        check_positive(self, "learning_rate")
        check_least(self, weight_decay=0)


class TrainingModule(lightning.LightningModule):
    """What every training's module shares; its arguments are the fields of the training's record of settings.

    The settings are its hyperparameters, as plain values: `load_from_checkpoint` needs the file alone. What is random
    in a step follows from the seed of `seed_everything`, the epoch and the step. A run that goes on for another number
    of epochs has its one-cycle schedule stretched to them. Figures are averaged over all processes of a run.

    Args:
        settings: record of its arguments.

    Attributes:
        network: what is trained.
        stem: name of the file of weights, without its ending.
        trainer_defaults: arguments of the Trainer that differ from what the command gives all trainings.
        warm_up: share of the steps in which the learning rate rises, where `configure_optimizers` is not another.
        links: settings that the module shares with its data module, as (source, target) keys of the command.
        within_batch: settings that count samples of a batch.
    """

    settings: Any
    network: Any
    stem: ClassVar[str] = "weights"
    trainer_defaults: ClassVar[Mapping[str, Any]] = {}
    warm_up: ClassVar[float] = 0.3
    links: ClassVar[Sequence[tuple[str, str]]] = ()
    within_batch: ClassVar[Sequence[str]] = ()

    def __init__(self, settings: Any) -> None:
        super().__init__()
        self.settings = settings
        # How Lightning turns plain values into nested records when it loads a checkpoint.
        instantiator = "lightning.pytorch.cli.instantiate_module"
        self.save_hyperparameters({"_instantiator": instantiator, **plain(settings)})

    def log(self, *args: Any, **kwargs: Any) -> None:
        """As Lightning's, averaged over the processes where there are several."""
        several = self._trainer is not None and self.trainer.world_size > 1
        kwargs["sync_dist"] = kwargs.get("sync_dist") or several
        super().log(*args, **kwargs)

    def configure_callbacks(self) -> Sequence[Callback]:
        """What watches every run, from Python too."""
        return [Finite()]

    def started(self) -> nn.Module | None:
        """A network of the weights to start from; None starts anew."""
        return None

    def setup(self, stage: str) -> None:
        """Take the weights to start from; those of a checkpoint come after.

        Raises:
            GcnfaceError: a setting counts more samples than a batch of the run's data module has.
        """
        data = getattr(self._trainer, "datamodule", None)
        size = getattr(getattr(data, "settings", None), "batch_size", None)
        for name in self.within_batch:
            value = getattr(self.settings, name)
            if size is not None and value > size:
                raise GcnfaceError(f"model.{name} is {value}; it must lie between 0 and data.batch_size {size}")
        if stage == "fit" and (start := self.started()) is not None:
            self.network.load_state_dict(start.state_dict())

    def configure_optimizers(self) -> Any:
        """AdamW for what is free of the network, with one cycle over all steps."""
        free = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(free, self.settings.learning_rate, weight_decay=self.settings.weight_decay)
        return self.one_cycle(optimizer)

    def on_fit_start(self) -> None:
        """Fixed networks follow to the device."""
        for value in vars(self).values():
            if isinstance(value, Fixed):
                value.network.to(self.device)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed what is drawn in a step, as by dropout."""
        key = (run_seed(), self.current_epoch, batch_idx, self.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1)))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep this run's own length of the schedule."""
        for schedule in checkpoint["lr_schedulers"]:
            for key in ("total_steps", "_schedule_phases"):
                schedule.pop(key, None)

    def planned_steps(self) -> int:
        """Steps of the whole run.

        Raises:
            GcnfaceError: it has none, or no end.
        """
        steps = self.trainer.estimated_stepping_batches
        if not 1 <= steps < float("inf"):
            what = f"the run has {steps} steps, for which the learning rate has no schedule"
            raise GcnfaceError(f"{what}; give trainer.max_epochs or trainer.max_steps, 1 or more")
        return int(steps)

    def one_cycle(self, optimizer: torch.optim.Optimizer, **options: Any) -> dict[str, Any]:
        """What `configure_optimizers` returns for one cycle over all steps of the run (Smith and Topin 2018).

        Args:
            optimizer: its learning rate is the cycle's peak.
            options: of `OneCycleLR`.
        """
        steps, peak, warm_up = self.planned_steps(), optimizer.defaults["lr"], self.warm_up
        if steps * warm_up == 1:  # torch divides by the length of the way up less one step
            warm_up *= 1.001
        cycle = torch.optim.lr_scheduler.OneCycleLR
        schedule = cycle(optimizer, peak, total_steps=steps, pct_start=warm_up, **options)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def log_total(self, terms: dict[str, Tensor]) -> Tensor:
        """The sum of a step's terms; it and they are logged."""
        total = torch.stack(list(terms.values())).sum()
        self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()})
        self.log("train/loss", total.detach(), prog_bar=True)
        return total

    def biases(self) -> Sequence[Tensor | nn.Parameter]:
        """Of the last layers, where mirrored photographs show a constant turn to one side; else none."""
        return ()

    def balance(self, faces: PreparedFaces) -> None:
        """Take the constant turn to one side out of what is trained: out of `biases`, where there are any.

        Args:
            faces: prepared faces; of held-out people and drawn faces none is looked at.
        """
        if self.biases():
            subtract_mirror_bias(self.network, self.biases(), faces)

    def export(self, folder: Path, data: Any = None) -> Path:
        """Write the network as gcnface loads it, whole or not at all; of several processes only the first writes.

        Args:
            folder: where to.
            data: the run's data module; its `prepared` photographs balance the network.

        Returns:
            The path of the file, float16.

        Raises:
            DivergedError: weights are not finite.
        """
        if isinstance(prepared := getattr(data, "prepared", None), PreparedFaces):
            self.balance(prepared)
        check_finite(half_state(self.network), "as float16")
        path = folder / f"{self.stem}.safetensors"
        if getattr(rank_zero_only, "rank", 0) == 0:
            with staged(folder) as stage:
                self.write(stage / path.name)
        return path

    def write(self, path: Path) -> None:
        """Write the network's state to a file."""
        save_file(half_state(self.network), path)


def subtract_mirror_bias(network: nn.Module, biases: Sequence[Tensor | nn.Parameter], faces: PreparedFaces) -> None:
    """Take the constant turn to one side, which training photographs beside their mirror images show, out of a network.

    Args:
        network: crops to raw vectors, with a `layout`; it is put on the CPU and into evaluation mode.
        biases: of its last layers, in the order of the vector; they are changed.
        faces: prepared faces; of held-out people and drawn faces none is looked at.
    """
    layout = network.layout
    assert isinstance(layout, CoefficientLayout | ThetaLayout)
    photographs = CropDataset(faces, ~faces.validation & ~faces.drawn, augment=False)
    if len(photographs):
        crops = (batch.image for batch in DataLoader(photographs, batch_size=32, collate_fn=CropBatch.stack))
        with torch.no_grad():
            mirror = RawMirror(load_face_model(), layout.sizes)
            remove_mirror_bias(network.cpu().eval(), [bias.data for bias in biases], crops, mirror)
