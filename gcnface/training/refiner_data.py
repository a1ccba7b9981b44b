"""Samples of the refiner's training: photographs, parts of them hidden on purpose, and their turned copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from coarse.face_model import FaceModel
from gcnface.training.observations import Observations


@dataclass(frozen=True)
class RefinerSample:
    """One picture as the refiner sees it, and what it should have answered.

    Attributes:
        raw: (R,) raw coefficients.
        shading: (V, 3) the picture's light at the vertices, linear.
        projected: (V, 3) the picture's colours at the vertices, linear, the light divided out.
        shown: (V, 1) in [0, 1], how far they are handed to the network.
        target: (V, 3) colours of the same face, likewise, of the photograph: for a turned copy those of the first view.
        known: (V, 1) in [0, 1], how far `target` may be believed.
        embedding: (512,) FaceNet.
        image: (3, 224, 224) crop.
        mask: (224, 224) face classes.
    """

    raw: Tensor
    shading: Tensor
    projected: Tensor
    shown: Tensor
    target: Tensor
    known: Tensor
    embedding: Tensor
    image: Tensor
    mask: Tensor

    @property
    def hidden(self) -> Tensor:
        """(V, 1) in [0, 1]: what the network was not shown although it is known."""
        return self.known * (1 - self.shown)

    def to(self, *args: Any, **kwargs: Any) -> RefinerSample:
        """The sample on another device, as `Tensor.to`; Lightning moves what has this method."""
        return RefinerSample(*(getattr(self, name).to(*args, **kwargs) for name in RefinerSample.__dataclass_fields__))

    @staticmethod
    def stack(samples: list[RefinerSample]) -> RefinerSample:
        """Collate into a batch."""
        fields = RefinerSample.__dataclass_fields__
        return RefinerSample(*(torch.stack([getattr(s, name) for s in samples]) for name in fields))


@dataclass(frozen=True)
class RotatedCopies:
    """Photographs turned in depth, and which photograph each was made from.

    Attributes:
        seen: what they show.
        first: (M,) row of the photograph among the photographs' observations.
    """

    seen: Observations
    first: NDArray[np.int64]


class RefinerDataset(Dataset[RefinerSample]):
    """Photographs with a part of what was seen hidden at random, and turned copies that hide a side by themselves.

    Hidden are, at random: one side of a random plane through the head (as if it were turned away), and balls on the
    surface (as if something covered it). Of a turned copy the hidden side is known from the first view.

    Args:
        photographs: what they show.
        chosen: (N,) bool, which of them to give out, their copies included.
        model: the face model.
        copies: of the photographs; None for none.
        fixed: what is hidden of a sample depends on its number alone, as is fit to check with; else torch's generator
            decides anew each time.
    """

    def __init__(
        self,
        photographs: Observations,
        chosen: NDArray[np.bool_],
        model: FaceModel,
        copies: RotatedCopies | None = None,
        *,
        fixed: bool = False,
    ) -> None:
        self.photographs, self.copies, self.fixed = photographs, copies, fixed
        self.rows = np.nonzero(chosen)[0]
        none = np.zeros(0, np.int64)
        self.rotated = none if copies is None else np.nonzero(chosen[copies.first])[0]
        self.points = torch.from_numpy(model.mean)
        self.spots = torch.nonzero(torch.from_numpy(model.region.astype(np.int64)) <= 1)[:, 0]

    def __len__(self) -> int:
        return len(self.rows) + len(self.rotated)

    def __getitem__(self, index: int) -> RefinerSample:
        random = torch.Generator().manual_seed(index if self.fixed else int(torch.randint(2**62, ())))
        if index < len(self.rows):
            return self._sample(self.photographs, self.rows[index], self.rows[index], random)
        assert self.copies is not None
        copy = self.rotated[index - len(self.rows)]
        return self._sample(self.copies.seen, copy, self.copies.first[copy], random)

    def _sample(self, seen: Observations, row: int, first: int, random: torch.Generator) -> RefinerSample:
        return RefinerSample(
            raw=torch.from_numpy(seen.raw[row].copy()),
            shading=_float(seen.shading[row]),
            projected=_float(seen.projected[row]),
            shown=_share(seen.confidence[row])[:, None] * self._keep(random),
            target=_float(self.photographs.projected[first]),
            known=_share(self.photographs.confidence[first])[:, None],
            embedding=torch.from_numpy(seen.embedding[row].copy()),
            image=_share(seen.image[row]).permute(2, 0, 1).contiguous(),
            mask=_share(seen.mask[row]),
        )

    def _keep(self, random: torch.Generator) -> Tensor:
        """(V, 1) smooth mask of what stays visible."""
        keep = torch.ones(len(self.points))
        if torch.rand((), generator=random) < 0.6:
            direction = torch.randn(3, generator=random) * torch.tensor([1.0, 0.3, 0.2])
            distance = self.points @ (direction / direction.norm())
            edge = torch.rand((), generator=random) * 70 - 15
            keep = keep * ((edge - distance) / 6 + 0.5).clamp(0, 1)
        for _ in range(int(torch.randint(0, 4, (), generator=random))):
            center = self.points[self.spots[torch.randint(len(self.spots), (), generator=random)]]
            radius = 8 + 30 * torch.rand((), generator=random)
            keep = keep * (((self.points - center).norm(dim=1) - radius) / 4 + 0.5).clamp(0, 1)
        return keep[:, None]


def _float(values: NDArray[np.float16]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _share(values: NDArray[np.uint8]) -> Tensor:
    """0..255 to [0, 1]."""
    return torch.from_numpy(values.astype(np.float32) / 255)
