"""Photos of one command shared by several processes, and how many of them pay."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gcnface.batch import processes
from gcnface.batch.inputs import ResultNames
from gcnface.batch.loop import CannotStartError, Failure, PhotoDesk, Task, Work
from gcnface.batch.processes import Do, Event, Kind, Line, share
from gcnface.batch.progress import Reporter
from gcnface.errors import printable
from gcnface.system.streams import reader_gone

WORKER_BYTES = 1_800_000_000
"""Memory that one process may take: measured 1.5 GB with JPEGs of any size, 1.8 GB with a PNG of 169 megapixels."""
FEWEST_PHOTOS = 2 if processes.FORKS else 12
"""Photos a worker from which a second one pays: a fork is done at once, a fresh process loads for seconds."""
_CONTAINER_MEMORY = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
"""Where a container's limit and use stand, version 2 and version 1."""


def default_workers(photos: int) -> int:
    """As many as there are cores, memory and photos for."""
    return max(1, min(_cores(), photos // FEWEST_PHOTOS, _available_bytes() // WORKER_BYTES))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def share_photos(
    tasks: Sequence[Task],
    load: Callable[[], Work],
    output: Path,
    workers: int,
    names: ResultNames,
    reporter: Reporter,
) -> bool:
    """Do all photos; whether all went well. What is said of them is said in the order of the photos."""
    if processes.FORKS:
        reporter.stage("load")
        try:
            load = _Ready(PhotoDesk(load, output, _Silent()).loaded())
        except CannotStartError as error:
            reporter.error(error)
            return False
    return _Run(tasks, names, reporter).all(partial(_desk, load, output), workers)


def _desk(load: Callable[[], Work], output: Path, line: Line) -> Do:
    """What does a photo in a worker."""
    return PhotoDesk(load, output, _Wire(line)).do


@dataclass(frozen=True)
class _Ready:
    """Gives work that has been loaded already."""

    work: Work

    def __call__(self) -> Work:
        return self.work


class _Silent:
    """A counter while nothing but loading is done."""

    def stage(self, name: str) -> None:
        """Nobody is told."""

    def claim(self, wanted: str) -> str:
        """The name itself."""
        return wanted

    def result(self, text: str) -> None:
        """Nobody is told."""


@dataclass
class _Run:
    """Says what becomes of each photo, in the order of the photos."""

    tasks: Sequence[Task]
    names: ResultNames
    reporter: Reporter
    went_well: bool = True
    _told: int = 0
    _said: dict[int, list[Any]] = field(default_factory=dict)
    _finished: set[int] = field(default_factory=set)

    def all(self, begin: Callable[[Line], Do], workers: int) -> bool:
        """Every photo; whether all went well."""
        with closing(share(self._wanted(), begin, workers)) as events:
            for event in events:
                if event.kind is Kind.DONE and event.what is not None and event.what.final:
                    self.reporter.failure(event.what.line, event.what.trace)
                    return False
                self._take(event)
        return self.went_well

    def _wanted(self) -> Iterator[Task]:
        """The photos, as long as somebody wants to hear of them."""
        for task in self.tasks:
            if reader_gone():
                return
            yield task

    def _take(self, event: Event) -> None:
        """One event."""
        path = self.tasks[event.task].path
        if event.kind is Kind.BEGUN:
            self.reporter.photo(path)
        elif event.kind is Kind.SAID:
            self._hear(event.task, *event.what)
        elif event.kind is Kind.ASKED and event.answer is not None:
            event.answer(self.names.claim(event.what))
        elif event.kind is Kind.CONTINUED:
            self.reporter.warning(f"{printable(path)}: its process was stopped, and has been set going again")
        elif event.kind is Kind.LOST:
            remedy = "try again with --workers 1" if event.what.alone else "try again"
            self._finish(event.task, Failure(f"{printable(path)}: failed ({event.what.how}); {remedy}", ""))
        else:
            self._finish(event.task, event.what)

    def _hear(self, task: int, kind: str, what: str) -> None:
        """What a worker tells while it does a photo."""
        if kind == "stage":
            self.reporter.stage(what)
        else:
            self._said.setdefault(task, []).append(what)

    def _finish(self, task: int, failure: Failure | None) -> None:
        """A photo is done with; say what there is to say of it and of those after it that waited for it."""
        if failure is not None:
            self._said.setdefault(task, []).append(failure)
            self.went_well = False
        self._finished.add(task)
        while self._told in self._finished:
            for what in self._said.pop(self._told, []):
                if isinstance(what, Failure):
                    self.reporter.failure(what.line, what.trace)
                else:
                    self.reporter.result(what)
            self._told += 1


@dataclass(frozen=True)
class _Wire:
    """The counter at a worker's end."""

    line: Line

    def stage(self, name: str) -> None:
        """Send it on."""
        self.line.say(("stage", name))

    def claim(self, wanted: str) -> str:
        """Ask for it."""
        return str(self.line.ask(wanted))

    def result(self, text: str) -> None:
        """Send it on."""
        self.line.say(("result", text))
