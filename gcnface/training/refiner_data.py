"""Samples of the refiner's training: photographs, parts of them hidden on purpose, and their turned copies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from coarse.face_model import FaceModel
from gcnface.training.observations import Observations

Key = tuple[int, int]
"""Which sample, and the seed of what is random in it."""


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
class TurnedCopies:
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
    """

    def __init__(
        self,
        photographs: Observations,
        chosen: NDArray[np.bool_],
        model: FaceModel,
        copies: TurnedCopies | None = None,
    ) -> None:
        self.photographs, self.copies = photographs, copies
        self.rows = np.nonzero(chosen)[0]
        none = np.zeros(0, np.int64)
        self.turned = none if copies is None else np.nonzero(chosen[copies.first])[0]
        self.points = torch.from_numpy(model.mean)
        self.spots = torch.nonzero(torch.from_numpy(model.region.astype(np.int64)) <= 1)[:, 0]

    def __len__(self) -> int:
        return len(self.rows) + len(self.turned)

    def __getitem__(self, key: Key | int) -> RefinerSample:
        """A sample; with a number alone, what is random in it depends on the number alone."""
        index, seed = (key, key) if isinstance(key, int) else key
        random = torch.Generator().manual_seed(seed)
        if index < len(self.rows):
            return self._sample(self.photographs, self.rows[index], self.rows[index], random)
        assert self.copies is not None
        copy = self.turned[index - len(self.rows)]
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
            centre = self.points[self.spots[torch.randint(len(self.spots), (), generator=random)]]
            radius = 8 + 30 * torch.rand((), generator=random)
            keep = keep * (((self.points - centre).norm(dim=1) - radius) / 4 + 0.5).clamp(0, 1)
        return keep[:, None]


class SeededOrder(Sampler[Key]):
    """A new order every epoch, and a seed for each sample, all determined by the run's seed and the epoch's number.

    So a run that is resumed between epochs sees what one without a break would have seen. Lightning calls `set_epoch`.

    Args:
        count: samples to choose from.
        seed: of the run.
        limit: how many an epoch has; 0 gives all.
    """

    def __init__(self, count: int, seed: int, limit: int = 0) -> None:
        self.count, self.seed = count, seed
        self.length = min(limit, count) if limit else count
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Which epoch comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Key]:
        random = np.random.default_rng((self.seed, self.epoch))
        order, seeds = random.permutation(self.count)[: self.length], random.integers(2**62, size=self.length)
        return iter([(int(index), int(seed)) for index, seed in zip(order, seeds, strict=True)])


def _float(values: NDArray[np.float16]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _share(values: NDArray[np.uint8]) -> Tensor:
    """0..255 to [0, 1]."""
    return torch.from_numpy(values.astype(np.float32) / 255)
