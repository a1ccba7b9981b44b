"""How many processes pay on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

WORKER_BYTES = 1_800_000_000
"""Memory that one process may take: measured 1.5 GB with JPEGs of any size, 1.8 GB with a PNG of 169 megapixels."""
FORKS = sys.platform == "linux"
"""Whether processes may be forked: macOS can, but its frameworks crash in forks; Windows cannot."""
FEWEST_PHOTOS = {True: 2, False: 6}
"""Photos a worker from which a second one pays, forked and fresh: a fork is done at once, a fresh process spends 4 s
of a core on Python, torch and the networks, as on four photos."""
_CONTAINER_MEMORY = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
"""Where a container's limit and use stand, version 2 and version 1."""


def default_workers(photos: int, *, forked: bool = FORKS) -> int:
    """As many as there are cores, memory and photos for; `forked` as in `gcnface.batch.executor.run_tasks`."""
    useful = photos // FEWEST_PHOTOS[forked]
    if useful < 2:
        return 1
    import joblib  # takes 0.06 s, which one photo would feel

    return max(1, min(joblib.cpu_count(), useful, _available_bytes() // WORKER_BYTES))


def _available_bytes() -> int:
    """Memory to be had, of the machine or of the container, whichever has less; 0 where that cannot be found out."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return 0 if not hasattr(os, "sysconf") else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    for names in _CONTAINER_MEMORY:
        try:
            most, now = (int(Path("/sys/fs/cgroup", name).read_text()) for name in names)
        except (OSError, ValueError):
            continue
        free = min(free, most - now)
    return max(free, 0)
