"""The data module of every training: the same batches however often a run is broken off, and whoever loads them.

Lightning has no order that follows from seed and epoch alone, nor samples that do: both are here, as a
`DistributedSampler`, which Lightning tells the epoch, and a wrapper of the samples.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sized
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import cv2
import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from gcnface.errors import FileError
from gcnface.training.configuration import check_least, plain

_log = logging.getLogger(__name__)

Key = tuple[int, int]
"""Which sample, and the seed of what is random in it."""

Sample = TypeVar("Sample", covariant=True)
Batch = TypeVar("Batch", bound="TensorBatch")


def run_seed() -> int:
    """The seed that `lightning.seed_everything` was given; 0 where it was not called."""
    return int(os.environ.get("PL_GLOBAL_SEED", "0"))


class TensorBatch:
    """What dataclasses of tensors need to be batches: Lightning moves and pins whatever has these methods."""

    def to(self: Batch, *args: Any, **kwargs: Any) -> Batch:
        """The batch on another device, as `Tensor.to`."""
        return self._each(lambda tensor: tensor.to(*args, **kwargs))

    def pin_memory(self: Batch) -> Batch:
        """The batch in page-locked memory."""
        return self._each(Tensor.pin_memory)

    def _each(self: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
        return type(self)(*(change(getattr(self, f.name)) for f in fields(self)))  # type: ignore[arg-type]

    @classmethod
    def stack(cls: type[Batch], samples: list[Any]) -> Batch:
        """Collate samples with the same fields, of tensors, arrays or numbers."""
        columns = ([getattr(sample, f.name) for sample in samples] for f in fields(cls))  # type: ignore[arg-type]
        return cls(*(torch.stack([torch.as_tensor(value) for value in column]) for column in columns))


class SeededOrder(DistributedSampler[Key]):
    """A new order every epoch, and a seed for each sample, all determined by the run's seed and the epoch's number.

    So a run that is resumed between epochs sees what one without a break would have seen. Each of several processes
    has its share of one common order.

    Args:
        count: samples to choose from.
        seed: of the run.
        limit: how many an epoch has; 0 gives all.
        weights: (count,) how often each is drawn, in proportion; None takes each once.
        processes: how many share the order.
        rank: which of them this is.
    """

    def __init__(
        self,
        count: int,
        seed: int,
        limit: int = 0,
        weights: NDArray[np.float64] | None = None,
        *,
        processes: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(range(count), processes, rank, seed=seed, drop_last=True)  # type: ignore[arg-type]
        self.count = count
        self.share = None if weights is None else weights / weights.sum()
        self.length = limit if limit and (limit < count or weights is not None) else count
        self.num_samples = self.length // processes

    def __iter__(self) -> Iterator[Key]:  # type: ignore[override]
        random = np.random.default_rng((self.seed, self.epoch))
        if self.share is None:
            order = random.permutation(self.count)[: self.length]
        else:
            order = random.choice(self.count, self.length, p=self.share)
        seeds = random.integers(2**62, size=self.length)
        keys = [(int(index), int(seed)) for index, seed in zip(order, seeds, strict=True)]
        return iter(keys[self.rank : self.num_samples * self.num_replicas : self.num_replicas])


class SeededSamples(Dataset[Sample]):
    """Samples whose random changes follow from the seed beside their number, whoever loads them and in what order.

    A number alone, as from the sequential order of ``overfit_batches``, is its own seed.

    Args:
        samples: draw what is random in them from torch's generator.
    """

    def __init__(self, samples: Dataset[Sample]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return _length(self.samples)

    def __getitem__(self, key: Key | int) -> Sample:
        index, seed = (key, key) if isinstance(key, int) else key
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(seed)
            return self.samples[index]


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """What every training's data module can be told."""

    faces: Path = Path("runs/faces")
    """Folder of prepared faces (`gcnface prepare`)."""
    batch_size: int = 32
    """Samples in a step, of each process; fewer where there are not so many."""
    num_workers: int = 0
    """Processes that make samples ahead of the training; 0 makes the same ones in the training process itself."""
    pin_memory: bool = False
    """Hand batches over in page-locked memory, from which a GPU copies them faster."""

    def __post_init__(self) -> None:
        """Check what depends on more than a type."""
        check_least(self, batch_size=1, num_workers=0)


class TrainingData(lightning.LightningDataModule):
    """Whole batches of the training samples in a seeded order, and of the held-out ones in their own.

    Args:
        settings: record of its arguments.

    Attributes:
        limit: see `SeededOrder`.
        weights: see `SeededOrder`.
    """

    settings: DataSettings
    limit = 0
    weights: NDArray[np.float64] | None = None
    _sets: tuple[Dataset[Any], Dataset[Any]] | None = None

    def __init__(self, settings: DataSettings) -> None:
        super().__init__()
        self.settings = settings
        self.save_hyperparameters(plain(settings), logger=False)

    @property
    def source(self) -> Path:
        """The folder that the samples come from, for messages."""
        return self.settings.faces

    def datasets(self) -> tuple[Dataset[Any], Dataset[Any]]:
        """Samples to learn from and those of held-out people; a data set may have a static `stack` that collates."""
        raise NotImplementedError

    def setup(self, stage: str = "fit") -> None:
        """Make the data sets, once.

        Raises:
            FileError: there is nobody to learn from, or the prepared faces are not there or damaged.
        """
        if self._sets is None:
            self._sets = self.datasets()
            if not _length(self._sets[0]):
                raise nobody_to_learn_from(self.source)

    def train_dataloader(self) -> DataLoader:
        """Batches to learn from: whole ones, or one smaller batch where there are too few samples for one."""
        assert self._sets is not None
        processes, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        samples = self._sets[0]
        order = SeededOrder(_length(samples), run_seed(), self.limit, self.weights, processes=processes, rank=rank)
        if not len(order):
            raise FileError(self.source, f"holds {_length(samples)} samples for {processes} processes", "use fewer")
        size = min(self.settings.batch_size, len(order))
        if size < self.settings.batch_size:
            text = "%s: batches of %d, which is all there are, not of batch_size %d"
            _log.warning(text, self.source, size, self.settings.batch_size)
        return self._loader(samples, SeededSamples(samples), size, sampler=order, drop_last=True)

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        """Batches of the held-out samples; none when nobody is held out."""
        assert self._sets is not None
        samples = self._sets[1]
        return self._loader(samples, samples, self.settings.batch_size) if _length(samples) else []

    def _loader(self, like: Dataset[Any], samples: Dataset[Any], batch_size: int, **options: Any) -> DataLoader:
        workers = self.settings.num_workers
        return DataLoader(
            samples,
            batch_size,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=_alone,
            pin_memory=self.settings.pin_memory,
            collate_fn=getattr(like, "stack", None),
            **options,
        )


def nobody_to_learn_from(folder: Path) -> FileError:
    """The error of a folder that has held-out people alone."""
    what = "holds nobody to learn from (held-out people, one in ten, are only checked with)"
    return FileError(folder, what, "prepare photos of more people")


def _alone(worker: int) -> None:
    """OpenCV's threads do not survive in a forked process, which would wait for them."""
    cv2.setNumThreads(1)


def _length(samples: Dataset[Any]) -> int:
    assert isinstance(samples, Sized)
    return len(samples)
