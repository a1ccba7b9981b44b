"""Means over people and how sure they are: the percentile bootstrap (Efron and Tibshirani 1993), people resampled.

Photos of one person are alike, so that resampling photos would promise too much: a person's photos are averaged first,
then people are drawn with replacement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLINGS = 2000
_SEED = 20200613
_FEW = 500
"""People up to which the resamplings are kept."""


@dataclass(frozen=True)
class Interval:
    """A mean over people with its confidence interval.

    Attributes:
        mean: of the people's means.
        low: lower end; NaN for fewer than two people.
        high: upper end.
        people: how many people it is of.
        photos: how many photos it is of.
    """

    mean: float
    low: float
    high: float
    people: int
    photos: int


def mean_interval(
    values: Sequence[float] | NDArray, people: Sequence[str], resamplings: int = RESAMPLINGS, level: float = LEVEL
) -> Interval:
    """The mean over people; the same values always give the same interval.

    Args:
        values: one for each photo; those that are not finite are left out.
        people: whom each photo shows.
        resamplings: how many times people are drawn.
        level: of confidence.

    Raises:
        ValueError: lengths differ.
    """
    numbers = np.asarray(values, np.float64)
    if len(numbers) != len(people):
        raise ValueError(f"values has {len(numbers)} entries, people {len(people)}; expected one person for each value")
    known = np.isfinite(numbers)
    names, row = np.unique(np.asarray(people, np.str_)[known], return_inverse=True)
    count = len(names)
    if count == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0, 0)
    means = np.bincount(row, numbers[known]) / np.bincount(row)
    low = high = float("nan")
    if count > 1:
        edges = np.quantile(_resampled(means, resamplings), [(1 - level) / 2, (1 + level) / 2])
        low, high = float(edges[0]), float(edges[1])
    return Interval(float(means.mean()), low, high, count, int(known.sum()))


def difference_interval(
    values: Sequence[float] | NDArray, others: Sequence[float] | NDArray, people: Sequence[str]
) -> Interval:
    """The mean over people of paired differences, `values` minus `others` of the same photos."""
    return mean_interval(np.asarray(values, np.float64) - np.asarray(others, np.float64), people)


def _resampled(means: NDArray[np.float64], resamplings: int) -> NDArray[np.float64]:
    """(R,) means of people drawn with replacement."""
    count = len(means)
    if count <= _FEW:
        return _shares(count, resamplings) @ means
    rng = np.random.default_rng(_SEED)
    return np.array([means[rng.integers(count, size=count)].mean() for _ in range(resamplings)])


@lru_cache(maxsize=16)
def _shares(count: int, resamplings: int) -> NDArray[np.float64]:
    """(R, count) how much each person weighs in each resampling; a report asks for the same thousands of times."""
    drawn = np.random.default_rng(_SEED).integers(count, size=(resamplings, count))
    row = np.arange(resamplings)[:, None] * count
    return np.bincount((row + drawn).ravel(), minlength=resamplings * count).reshape(resamplings, count) / count
