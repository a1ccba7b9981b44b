"""What the parser learns from: canvases and their label maps, photographs more often than drawn faces."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from gcnface.data.faces import UNKNOWN, PreparedFaces


class Batch(NamedTuple):
    """canvases (B, 288, 288, 3) uint8 sRGB; labels (B, 288, 288) uint8, UNKNOWN where no teacher saw."""

    canvases: Tensor
    labels: Tensor

    @property
    def images(self) -> Tensor:
        """(B, 3, 288, 288) float32 sRGB in [0, 1]."""
        return self.canvases.permute(0, 3, 1, 2).float() / 255

    def to(self, *args: Any, **kwargs: Any) -> Batch:
        """The batch on another device, as `Tensor.to`; Lightning moves what has this method."""
        return Batch(self.canvases.to(*args, **kwargs), self.labels.to(*args, **kwargs))


class CanvasDataset(Dataset[Batch]):
    """Canvases with labels, one by one.

    Args:
        faces: prepared faces.
        rows: which of them.
    """

    def __init__(self, faces: PreparedFaces, rows: NDArray[np.int64]) -> None:
        self.faces, self.rows = faces, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        row = self.rows[index]
        return Batch(*(torch.from_numpy(np.array(a[row])) for a in (self.faces.canvases, self.faces.labels)))

    @staticmethod
    def stack(samples: list[Batch]) -> Batch:
        """Collate."""
        return Batch(*(torch.stack(parts) for parts in zip(*samples, strict=True)))


def gather(faces: PreparedFaces, rows: NDArray[np.int64]) -> Batch:
    """Some faces as a batch."""
    dataset = CanvasDataset(faces, rows)
    return dataset.stack([dataset[index] for index in range(len(rows))])


def labeled_rows(faces: PreparedFaces) -> NDArray[np.int64]:
    """Training faces that have a label map at all: the middle of the face is known."""
    middle = faces.labels.shape[1] // 2
    return np.flatnonzero(~faces.validation & (faces.labels[:, middle, middle] != UNKNOWN))


def photo_weights(faces: PreparedFaces, rows: NDArray[np.int64], photo_weight: float) -> NDArray[np.float64]:
    """How often each of the rows is drawn: photographs `photo_weight` times as often as drawn faces."""
    return np.where(faces.drawn[rows], 1.0, photo_weight)
