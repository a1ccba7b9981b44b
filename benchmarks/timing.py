"""How long an action takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence


def milliseconds(actions: Sequence[Callable[[], object]], repeats: int) -> list[tuple[float, float]]:
    """Median and least time of each action after one turn that warms up.

    They are taken in turns, so that a busy moment strikes all alike.
    """
    times: list[list[float]] = [[] for _ in actions]
    for turn in range(repeats + 1):
        for action, mine in zip(actions, times, strict=True):
            start = time.perf_counter()
            action()
            if turn:
                mine.append((time.perf_counter() - start) * 1e3)
    return [(statistics.median(mine), min(mine)) for mine in times]
