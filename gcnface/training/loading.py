"""Batches to learn from and to check with: the same ones however often a run is broken off and resumed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sized
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from gcnface.errors import FileError

_log = logging.getLogger(__name__)

Key = tuple[int, int]
"""Which sample, and the seed of what is random in it."""

Sample = TypeVar("Sample", covariant=True)


class SeededOrder(Sampler[Key]):
    """A new order every epoch, and a seed for each sample, all determined by the run's seed and the epoch's number.

    So a run that is resumed between epochs sees what one without a break would have seen. `set_epoch` comes before
    every epoch.

    Args:
        count: samples to choose from.
        seed: of the run.
        limit: how many an epoch has; 0 gives all.
        weights: (count,) how often each is drawn, in proportion; None takes each once.
    """

    def __init__(self, count: int, seed: int, limit: int = 0, weights: NDArray[np.float64] | None = None) -> None:
        self.count, self.seed = count, seed
        self.share = None if weights is None else weights / weights.sum()
        self.length = limit if limit and (limit < count or weights is not None) else count
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Which epoch comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Key]:
        random = np.random.default_rng((self.seed, self.epoch))
        if self.share is None:
            order = random.permutation(self.count)[: self.length]
        else:
            order = random.choice(self.count, self.length, p=self.share)
        seeds = random.integers(2**62, size=self.length)
        return iter([(int(index), int(seed)) for index, seed in zip(order, seeds, strict=True)])


class SeededSamples(Dataset[Sample]):
    """Samples whose random changes follow from the seed beside their number, whoever loads them and in what order.

    Args:
        samples: draw what is random in them from torch's generator.
    """

    def __init__(self, samples: Dataset[Sample]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return _length(self.samples)

    def __getitem__(self, key: Key) -> Sample:
        index, seed = key
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(seed)
            return self.samples[index]


def training_loader(
    samples: Dataset[Any],
    batch_size: int,
    seed: int,
    source: Path,
    *,
    collate: Callable[[list[Any]], Any] | None = None,
    limit: int = 0,
    weights: NDArray[np.float64] | None = None,
) -> DataLoader:
    """Whole batches of the training samples; one smaller batch where there are too few for one.

    Args:
        samples: draw what is random in them from torch's generator.
        batch_size: samples a step.
        seed: of the run.
        source: folder of the data, for messages.
        collate: makes a batch of samples.
        limit: see `SeededOrder`.
        weights: see `SeededOrder`.

    Raises:
        FileError: there are no samples.
    """
    if not _length(samples):
        raise FileError(
            source,
            "holds nobody to learn from (held-out people, one in ten, are only checked with)",
            "prepare photos of more people",
        )
    order = SeededOrder(_length(samples), seed, limit, weights)
    size = min(batch_size, len(order))
    if size < batch_size:
        _log.warning("%s: batches of %d, which is all there are, not of batch_size %d", source, size, batch_size)
    return DataLoader(SeededSamples(samples), size, sampler=order, collate_fn=collate, drop_last=True)


def checking_loader(
    samples: Dataset[Any], batch_size: int, *, collate: Callable[[list[Any]], Any] | None = None
) -> DataLoader | None:
    """Batches of the held-out samples, in their order; None when nobody is held out."""
    return DataLoader(samples, batch_size, collate_fn=collate) if _length(samples) else None


def _length(samples: Dataset[Any]) -> int:
    assert isinstance(samples, Sized)
    return len(samples)
