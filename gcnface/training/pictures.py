"""Pictures of a fixed handful of held-out faces while a network learns, as files and in TensorBoard."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.utils import make_grid

from gcnface.io.images import write_image
from render.shapes import check_shape

FACES = 8
"""How many faces are shown."""


class Pictures(Callback):
    """Draws what a module that has ``pictures(batch) -> (B, 3, H, W)`` sRGB makes of the same held-out faces.

    The pictures go to ``pictures/epoch_0003.png`` in the Trainer's ``default_root_dir``.

    Args:
        every: Epochs between pictures of held-out faces, for networks that draw some; 0 draws none.
    """

    def __init__(self, every: int = 1) -> None:
        if every < 0:
            raise ValueError(f"every is {every}; it must be 0 or more")
        self.every = every
        self._batch: Any = None

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Draw every so many epochs; the module is in evaluation mode then, and has its averaged weights."""
        epoch = trainer.current_epoch + 1
        brief = trainer.sanity_checking or trainer.fast_dev_run  # type: ignore[attr-defined]
        if not self.every or brief or not trainer.is_global_zero or epoch % self.every:
            return
        faces = self._faces(trainer)
        if faces is None or not hasattr(pl_module, "pictures"):
            return
        batch = trainer.strategy.batch_to_device(faces, pl_module.device)
        with torch.no_grad():
            picture = tiled(pl_module.pictures(batch).float().clamp(0, 1).cpu())  # type: ignore[operator]
        path = Path(trainer.default_root_dir) / "pictures" / f"epoch_{epoch:04d}.png"
        write_image(path, picture.permute(1, 2, 0).numpy().astype(np.float32))
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("pictures", picture, trainer.global_step)

    def _faces(self, trainer: lightning.Trainer) -> Any:
        """The same faces every time, drawn without a use of the run's random numbers."""
        check = trainer.val_dataloaders
        if self._batch is None and isinstance(check, DataLoader):
            with torch.random.fork_rng(devices=[]):
                dataset = check.dataset
                count = min(FACES, len(dataset))  # type: ignore[arg-type]
                self._batch = check.collate_fn([dataset[index] for index in range(count)])
        return self._batch


def tiled(pictures: Tensor) -> Tensor:
    """(3, rows * H, columns * W): pictures (B, 3, H, W) side by side in about a square, black where there are none."""
    check_shape("pictures", pictures, "B C H W", C=3)
    count, _, height, width = pictures.shape
    columns = max(1, math.ceil(math.sqrt(count * height / width)))
    return make_grid(pictures, columns, padding=0)


def dotted(images: Tensor, points: Tensor, channel: int) -> Tensor:
    """A copy of `images` (B, 3, H, W) with one pixel at each of `points` (B, N, 2) px in a pure colour.

    Args:
        images: sRGB.
        points: outside the picture they are drawn on its edge.
        channel: 0 red, 1 green, 2 blue.
    """
    size = check_shape("images", images, "B 3 H W")
    check_shape("points", points, "B N 2", B=size["B"])
    limit = points.new_tensor([size["W"] - 1, size["H"] - 1])
    column, line = points.clamp(min=0).minimum(limit).long().unbind(2)
    rows = torch.arange(size["B"], device=points.device)[:, None].expand(column.shape)
    drawn = images.clone()
    drawn[rows, :, line, column] = torch.eye(3).to(images)[channel]
    return drawn
