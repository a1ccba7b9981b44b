"""A tiny network and its training; ``python -m tests.gcnface.small_training OUT DEVICES`` is a run of it."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from gcnface.training.loading import training_loader
from gcnface.training.runs import RunSettings, TrainingModule, begin, save_weights, train

COUNT = 8


@dataclass(frozen=True)
class Training:
    run: RunSettings = field(default_factory=lambda: RunSettings(Path("runs/small"), precision="32-true"))
    rate: float = 0.1
    widths: tuple[int, ...] = (4, 8)
    folder: Path = field(default=Path("somewhere"))


class Small(TrainingModule):
    """A convolution with a batch norm; its validation figure gets worse with every epoch."""

    configured_by = Training

    def __init__(self, settings):
        super().__init__(settings)
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


def loaders(size):
    """Training and validation batches of the same images (8, 3, 8, 8) and targets."""
    generator = torch.Generator().manual_seed(1)
    images, targets = torch.rand(COUNT, 3, 8, 8, generator=generator), torch.rand(COUNT, 3, generator=generator)
    data = TensorDataset(images, targets)
    return tuple(DataLoader(data, size) for _ in range(2))


def fit(output, size=COUNT, **run):
    """A run; the trained module and its trainer."""
    torch.manual_seed(0)
    settings = RunSettings(output, precision="32-true", threads=1, accelerator="cpu", **run)
    module = Small(Training(settings))
    trainer = train(module, *loaders(size))
    return module, trainer


def train_small(settings: Training) -> Path:
    """A training as the command line knows them."""
    begin(settings.run)
    module = Small(settings)
    generator = torch.Generator().manual_seed(1)
    images, targets = torch.rand(COUNT, 3, 8, 8, generator=generator), torch.rand(COUNT, 3, generator=generator)
    learn = training_loader(TensorDataset(images, targets), 4, settings.run.seed, settings.folder)
    train(module, learn, None)
    return save_weights(module.network, settings.run.output / "small.safetensors")


def main(output, devices):
    """One step on all samples, shared by so many processes; the weights go to OUT/weights.safetensors."""
    strategy = "ddp" if devices > 1 else "auto"
    run = {"epochs": 1, "freeze_norm": True, "tensorboard": False, "devices": devices, "strategy": strategy}
    module, _ = fit(output, size=COUNT // devices, **run)
    save_weights(module.network, output / "weights.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
