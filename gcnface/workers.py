"""Several processes that share the photos of one command, one thread each.

On Linux they are forked after the networks have been loaded, so they start at once and share what was loaded; elsewhere
each starts afresh and loads its own. They share nothing else: photos go out and words come back through one pipe each.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from gcnface.inputs import ResultNames
from gcnface.photo_loop import CannotStartError, Failure, PhotoDesk, Task, Work
from gcnface.progress import Reporter

if TYPE_CHECKING:
    from multiprocessing.context import ForkContext, SpawnContext

FORKS = sys.platform == "linux"
WORKER_BYTES = 1_600_000_000
"""Memory that one process may take."""
FEWEST_PHOTOS = 2 if FORKS else 12
"""Photos a worker from which a second one pays: a fork is done at once, a fresh process loads for seconds."""
_CONTAINER_MEMORY = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
"""Where a container's limit and use stand, version 2 and version 1."""
_PATIENCE_S = 10.0
"""How long a worker that was told to end may tidy up."""


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
    from gcnface.threads import single_threaded

    context: ForkContext | SpawnContext = get_context("fork") if FORKS else get_context("spawn")
    with single_threaded():
        if FORKS:
            reporter.stage("load")
            desk = PhotoDesk(load, output, _Silent())
            try:
                work = desk.loaded()
            except CannotStartError as error:
                reporter.error(error)
                return False
            load = _Ready(work)

        def start() -> _Worker:
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, load, output), daemon=True)
            process.start()
            there.close()
            return _Worker(process, here)

        return _Run(tasks, start, names, reporter).all(workers)


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
class _Worker:
    """A process, the pipe to it, and the photo it has."""

    process: BaseProcess
    pipe: Connection
    task: int = -1

    def end(self) -> None:
        """Terminate it; it removes what it has half written."""
        self.process.terminate()
        self.process.join(_PATIENCE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()


@dataclass
class _Run:
    """Hands photos out and takes answers in."""

    tasks: Sequence[Task]
    start: Callable[[], _Worker]
    names: ResultNames
    reporter: Reporter
    went_well: bool = True
    _next: int = 0
    _told: int = 0
    _said: dict[int, list[Any]] = field(default_factory=dict)
    _finished: set[int] = field(default_factory=set)

    def all(self, count: int) -> bool:
        """Every photo; whether all went well."""
        workers: list[_Worker] = []
        try:
            for _ in range(count):
                workers.append(self.start())
                self._hand_out(workers[-1])
            while busy := [worker for worker in workers if worker.task >= 0]:
                for pipe in wait([worker.pipe for worker in busy]):
                    worker = next(worker for worker in busy if worker.pipe is pipe)
                    if not self._listen(worker):
                        return False
                    if not worker.process.is_alive() and worker.task < 0 and self._next < len(self.tasks):
                        workers.append(self.start())
                        self._hand_out(workers[-1])
        finally:
            for worker in workers:
                worker.end()
        return self.went_well

    def _hand_out(self, worker: _Worker) -> None:
        """The next photo, if there is one, to a worker that has none."""
        worker.task = -1
        if self._next < len(self.tasks):
            worker.task, self._next = self._next, self._next + 1
            self.reporter.photo(self.tasks[worker.task].path)
            worker.pipe.send(self.tasks[worker.task])

    def _listen(self, worker: _Worker) -> bool:
        """Take in one message; whether the run can go on."""
        try:
            kind, what = worker.pipe.recv()
        except (EOFError, OSError):
            self._lost(worker)
            return True
        if kind == "stage":
            self.reporter.stage(what)
        elif kind == "claim":
            worker.pipe.send(self.names.claim(what))
        elif kind == "result":
            self._said.setdefault(worker.task, []).append(what)
        elif what is not None and what.final:
            self.reporter.failure(what.line, what.trace)
            return False
        else:
            self._finish(worker.task, what)
            self._hand_out(worker)
        return True

    def _lost(self, worker: _Worker) -> None:
        """A worker is gone with its photo."""
        worker.process.join(_PATIENCE_S)
        code = worker.process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        path = self.tasks[worker.task].path
        line = f"{path}: failed (its process ended with {how}, perhaps for want of memory); try again with --workers 1"
        self._finish(worker.task, Failure(line, ""))
        worker.task = -1

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


@dataclass
class _Wire:
    """The counter at a worker's end of the pipe."""

    pipe: Connection

    def stage(self, name: str) -> None:
        """Send it on."""
        self.pipe.send(("stage", name))

    def claim(self, wanted: str) -> str:
        """Ask for it."""
        self.pipe.send(("claim", wanted))
        return str(self.pipe.recv())

    def result(self, text: str) -> None:
        """Send it on."""
        self.pipe.send(("result", text))


def _serve(pipe: Connection, load: Callable[[], Work], output: Path) -> None:
    """What a worker does: photo after photo, until it is told to end or the one who tells is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    if not FORKS:
        warnings.simplefilter("ignore")  # a fork has the filters of the command line
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    parent = os.getppid()
    desk = PhotoDesk(load, output, _Wire(pipe))
    try:
        while os.getppid() == parent:
            if pipe.poll(1.0):
                pipe.send(("done", desk.do(pipe.recv())))
    except (EOFError, BrokenPipeError):
        return


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """End by an exception, so that temporary files are removed."""
    raise SystemExit(128 + number)
