"""What the parser learns from: canvases and their label maps, photographs more often than drawn faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from gcnface.data.faces import UNKNOWN, PreparedFaces
from gcnface.training.loading import TensorBatch


@dataclass(frozen=True)
class Canvases(TensorBatch):
    """Canvases with label maps.

    Attributes:
        canvases: (B, 288, 288, 3) uint8 sRGB.
        labels: (B, 288, 288) uint8, UNKNOWN where no teacher saw.
    """

    canvases: Tensor
    labels: Tensor

    @property
    def images(self) -> Tensor:
        """(B, 3, 288, 288) float32 sRGB in [0, 1]."""
        return self.canvases.permute(0, 3, 1, 2).float() / 255


class CanvasDataset(Dataset[Canvases]):
    """Canvases with labels, one by one.

    Args:
        faces: prepared faces.
        rows: which of them.
    """

    stack = staticmethod(Canvases.stack)

    def __init__(self, faces: PreparedFaces, rows: NDArray[np.int64]) -> None:
        self.faces, self.rows = faces, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Canvases:
        row = self.rows[index]
        return Canvases(*(torch.from_numpy(np.array(a[row])) for a in (self.faces.canvases, self.faces.labels)))


def gather(faces: PreparedFaces, rows: NDArray[np.int64]) -> Canvases:
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
