"""A tiny network and its training; ``python -m tests.gcnface.small_training OUT DEVICES`` is a run of it."""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import TensorDataset

from gcnface.cli.train import Trainable
from gcnface.training.command import TrainingCLI
from gcnface.training.loading import DataSettings, TrainingData
from gcnface.training.module import TrainingModule

COUNT = 8
PART = Trainable("tests.gcnface.small_training:Small", "tests.gcnface.small_training:SmallData", "a small network")
QUICK = ("threads=1", "trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.max_epochs=2")


@dataclass(frozen=True, kw_only=True)
class SmallSettings:
    rate: float = 0.1
    """Learning rate."""
    widths: tuple[int, ...] = (4, 8)
    """Nothing."""
    folder: Path = Path("somewhere")
    """Nothing either."""

    def __post_init__(self):
        if self.rate <= 0:
            raise ValueError(f"rate is {self.rate}; expected more than 0")


class Small(TrainingModule):
    """A convolution with a batch norm; its validation figure gets worse with every epoch."""

    stem = "small"

    def __init__(self, **settings):
        super().__init__(SmallSettings(**settings))
        self.network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 1))

    def training_step(self, batch, index):
        loss = (self.network(batch[0]).mean((2, 3)) - batch[1]).square().mean()
        self.log("train/loss", loss.detach())
        return loss

    def validation_step(self, batch, index):
        self.log("valid/figure", float(self.current_epoch))

    def pictures(self, batch):
        assert not self.network.training
        return batch[0]

    def configure_optimizers(self):
        return torch.optim.SGD(self.network.parameters(), self.settings.rate)


def samples(count=COUNT):
    """Images (count, 3, 8, 8) and targets, the same ones every time."""
    generator = torch.Generator().manual_seed(1)
    return TensorDataset(torch.rand(count, 3, 8, 8, generator=generator), torch.rand(count, 3, generator=generator))


@dataclass(frozen=True, kw_only=True)
class SmallDataSettings(DataSettings):
    batch_size: int = 4
    """Samples in a step."""
    learn: int = COUNT
    """How many there are to learn from."""
    held_out: int = COUNT
    """How many are held out."""


class SmallData(TrainingData):
    """Random images."""

    def __init__(self, **settings):
        super().__init__(SmallDataSettings(**settings))

    def datasets(self):
        return samples(self.settings.learn), samples(self.settings.held_out)


def small(output, *words):
    """A run of the small training, ready to fit."""
    words = [*QUICK, f"trainer.default_root_dir={output}", *words]
    return TrainingCLI.of(Small, SmallData, words, "small", "a small network")


def fit(output, *words):
    """A run; the trained module and its trainer."""
    run = small(output, *words)
    run.fit()
    return run.model, run.trainer


def main(output, devices):
    """One step on all samples, shared by so many processes; the weights go to OUT/small.safetensors."""
    words = [f"trainer.devices={devices}", f"data.batch_size={COUNT // devices}", "trainer.max_epochs=1"]
    words += ["--trainer.callbacks+=gcnface.training.callbacks.FreezeNorm"]
    fit(output, *words, *(["trainer.strategy=ddp"] if devices > 1 else []))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
