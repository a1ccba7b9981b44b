"""What the refiner learns from: coarse faces and observed vertex colours of all photographs, computed once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
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


@dataclass(frozen=True)
class Observer:
    """What looks at a photograph: coarse stage, parser and FaceNet."""

    stage: CoarseStage
    parser: FaceParser
    facenet: FaceNet


def prepare_observations(
    faces: PreparedFaces, rows: NDArray[np.int64], observer: Observer, cache: Path
) -> dict[str, NDArray]:
    """Run the coarse stage over the chosen faces, once; later calls map the arrays, whose rows follow `rows`."""
    if not (cache / "complete").exists():
        cache.mkdir(parents=True, exist_ok=True)
        stage = observer.stage
        count, vertices = len(rows), len(stage.model.mean)
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
        for index, row in enumerate(rows):
            _observe(index, faces.crop(row), observer, arrays)
            if index % 200 == 199:
                _log.info("observed %d of %d faces", index + 1, count)
        (cache / "complete").touch()
    return {name: np.load(cache / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}


def _observe(index: int, image: Tensor, observer: Observer, arrays: Mapping[str, NDArray]) -> None:
    stage = observer.stage
    classes = observer.parser.parse(image)
    coarse = stage(image, classes)
    with torch.no_grad():
        seen = observe_vertices(stage.model, coarse, image, classes, crop_camera())
        arrays["raw"][index] = stage.morphable.layout.encode(coarse.coefficients)[0]
        arrays["projected"][index] = (seen.linear / coarse.shading.clamp(min=MINIMUM_SHADING))[0].clamp(0, 8)
        arrays["confidence"][index] = (seen.confidence[0] * 255).round()
        arrays["embedding"][index] = embed_crop224(observer.facenet, image)[0]
        arrays["mask"][index] = (face_mask(classes)[0] * 255).round()


class ObservationDataset(Dataset[RefinerSample]):
    """Samples with a part of what was seen hidden at random, so that the network learns to fill from truth.

    Hidden are, at random: one side of a random plane through the head (as if it were turned away), and balls on the
    surface (as if something covered it).

    Args:
        faces: prepared faces.
        rows: (M,) which faces the arrays hold.
        arrays: see `prepare_observations`.
        chosen: (M,) bool, which of them to give out.
        model: the face model.
    """

    def __init__(
        self,
        faces: PreparedFaces,
        rows: NDArray[np.int64],
        arrays: dict[str, NDArray],
        chosen: NDArray[np.bool_],
        model: FaceModel,
    ) -> None:
        self.faces, self.rows, self.arrays, self.chosen = faces, rows, arrays, np.nonzero(chosen)[0]
        self.points = torch.from_numpy(model.mean)
        self.spots = torch.nonzero(torch.from_numpy(model.region.astype(np.int64)) <= 1)[:, 0]

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> RefinerSample:
        row = self.chosen[index]
        confidence = torch.from_numpy(self.arrays["confidence"][row].astype(np.float32) / 255)[:, None]
        return RefinerSample(
            raw=torch.from_numpy(self.arrays["raw"][row].copy()),
            projected=torch.from_numpy(self.arrays["projected"][row].astype(np.float32)),
            confidence=confidence,
            shown=confidence * self._keep(),
            embedding=torch.from_numpy(self.arrays["embedding"][row].copy()),
            image=self.faces.crop(self.rows[row])[0],
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
