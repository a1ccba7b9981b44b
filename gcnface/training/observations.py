"""What the refiner learns from: coarse faces and observed vertex colours of all photographs, computed once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from coarse.face_model import FaceModel
from coarse.morphable import crop_camera
from gcnface.coarse_stage import CoarseStage
from gcnface.observation import MINIMUM_SHADING, face_mask, observe_vertices
from gcnface.parsing import FaceParser
from gcnface.training.faces import PreparedFaces
from refine.facenet import FaceNet, embed_crop224

_log = logging.getLogger(__name__)
_ARRAYS = ("raw", "projected", "confidence", "embedding", "mask")


@dataclass(frozen=True)
class RefinerSample:
    """One photograph as the refiner sees it.

    Attributes:
        raw: (N,) raw coefficients.
        projected: (V, 3) de-lit photo colours, linear.
        confidence: (V, 1) how far they may be believed.
        shown: (V, 1) the part of `confidence` handed to the network; the rest is hidden on purpose.
        embedding: (512,) FaceNet.
        image: (3, 224, 224) crop.
        mask: (224, 224) face classes.
    """

    raw: Tensor
    projected: Tensor
    confidence: Tensor
    shown: Tensor
    embedding: Tensor
    image: Tensor
    mask: Tensor

    def to(self, *args: Any, **kwargs: Any) -> RefinerSample:
        """The sample on another device, as `Tensor.to`; Lightning moves what has this method."""
        return RefinerSample(*(getattr(self, name).to(*args, **kwargs) for name in RefinerSample.__dataclass_fields__))

    @staticmethod
    def stack(samples: list[RefinerSample]) -> RefinerSample:
        """Collate into a batch."""
        fields = RefinerSample.__dataclass_fields__
        return RefinerSample(*(torch.stack([getattr(s, name) for s in samples]) for name in fields))


def prepare_observations(
    faces: PreparedFaces, stage: CoarseStage, parser: FaceParser, facenet: FaceNet, cache: Path
) -> dict[str, NDArray]:
    """Run the coarse stage over every prepared face, once; later calls map the arrays."""
    if not (cache / "complete").exists():
        cache.mkdir(parents=True, exist_ok=True)
        count, vertices = len(faces), len(stage.model.mean)
        shapes: dict[str, tuple[tuple[int, ...], type]] = {
            "raw": ((count, stage.morphable.layout.total), np.float32),
            "projected": ((count, vertices, 3), np.float16),
            "confidence": ((count, vertices), np.uint8),
            "embedding": ((count, 512), np.float32),
            "mask": ((count, 224, 224), np.uint8),
        }
        arrays = {
            name: np.lib.format.open_memmap(cache / f"{name}.npy", "w+", kind, shape)
            for name, (shape, kind) in shapes.items()
        }
        for row in range(count):
            _observe(row, faces.crop(row), stage, parser, facenet, arrays)
            if row % 500 == 499:
                _log.info("observed %d of %d faces", row + 1, count)
        (cache / "complete").touch()
    return {name: np.load(cache / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}


def _observe(
    row: int, image: Tensor, stage: CoarseStage, parser: FaceParser, facenet: FaceNet, arrays: dict[str, NDArray]
) -> None:
    classes = parser.parse(image)
    coarse = stage(image, classes)
    with torch.no_grad():
        seen = observe_vertices(stage.model, coarse, image, classes, crop_camera())
        arrays["raw"][row] = stage.morphable.layout.encode(coarse.coefficients)[0]
        arrays["projected"][row] = (seen.linear / coarse.shading.clamp(min=MINIMUM_SHADING))[0].clamp(0, 8)
        arrays["confidence"][row] = (seen.confidence[0] * 255).round()
        arrays["embedding"][row] = embed_crop224(facenet, image)[0]
        arrays["mask"][row] = (face_mask(classes)[0] * 255).round()


class ObservationDataset(Dataset[RefinerSample]):
    """Samples with a part of what was seen hidden at random, so that the network learns to fill from truth.

    Hidden are, at random: one side of a random plane through the head (as if it were turned away), and balls on the
    surface (as if something covered it).
    """

    def __init__(
        self, faces: PreparedFaces, arrays: dict[str, NDArray], rows: NDArray, model: FaceModel, *, hide: bool
    ) -> None:
        self.faces, self.arrays, self.rows, self.hide = faces, arrays, np.nonzero(rows)[0], hide
        self.points = torch.from_numpy(model.mean)
        self.spots = torch.nonzero(torch.from_numpy(model.region.astype(np.int64)) <= 1)[:, 0]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> RefinerSample:
        row = self.rows[index]
        confidence = torch.from_numpy(self.arrays["confidence"][row].astype(np.float32) / 255)[:, None]
        keep = self._keep() if self.hide else torch.ones_like(confidence)
        return RefinerSample(
            raw=torch.from_numpy(self.arrays["raw"][row].copy()),
            projected=torch.from_numpy(self.arrays["projected"][row].astype(np.float32)),
            confidence=confidence,
            shown=confidence * keep,
            embedding=torch.from_numpy(self.arrays["embedding"][row].copy()),
            image=self.faces.crop(row)[0],
            mask=torch.from_numpy(self.arrays["mask"][row].astype(np.float32) / 255),
        )

    def _keep(self) -> Tensor:
        """(V, 1) smooth mask of what stays visible."""
        keep = torch.ones(len(self.points))
        if torch.rand(()) < 0.6:
            direction = torch.randn(3) * torch.tensor([1.0, 0.3, 0.2])
            distance = self.points @ (direction / direction.norm())
            edge = torch.rand(()) * 70 - 15
            keep = keep * ((edge - distance) / 6 + 0.5).clamp(0, 1)
        for _ in range(int(torch.randint(0, 4, ()))):
            centre = self.points[self.spots[torch.randint(len(self.spots), ())]]
            radius = 8 + 30 * torch.rand(())
            keep = keep * (((self.points - centre).norm(dim=1) - radius) / 4 + 0.5).clamp(0, 1)
        return keep[:, None]

