"""Several processes that share tasks, one thread each; what becomes of one that is killed, stopped or left alone.

On Linux they are forked after the networks have been loaded, so they start at once and share what was loaded (see
`gcnface.system.threads` for why that is safe); elsewhere each starts afresh and loads its own. They share nothing
else: tasks go out and words come back through one pipe each.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from gcnface.system.signals import ENDING, leave_on_signals

if TYPE_CHECKING:
    from multiprocessing.context import ForkContext, SpawnContext

FORKS = sys.platform == "linux"
LOOK_S = 1.0
"""How often workers are looked at, and look for their parent."""
LOOKS_STOPPED = 5
"""Looks in a row that find a worker stopped before something is done about it."""
_PATIENCE_S = 10.0
"""How long a worker that was told to end may tidy up."""
_KILL = 9
_CRASHES = (signal.SIGSEGV, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, getattr(signal, "SIGBUS", None))

Do = Callable[[Any], Any]
"""Does one task."""

Begin = Callable[["Line"], Do]
"""Called in each worker before its first task."""


class Kind(Enum):
    """What has happened to a task."""

    BEGUN = auto()
    SAID = auto()
    ASKED = auto()
    CONTINUED = auto()
    DONE = auto()
    LOST = auto()


@dataclass(frozen=True)
class Fate:
    """How a process ended before its time.

    Attributes:
        how: it ended.
        alone: whether the task may do better with fewer processes beside it.
    """

    how: str
    alone: bool = True


@dataclass(frozen=True)
class Event:
    """Something that happened to a task.

    Attributes:
        kind: of event.
        task: its place among the tasks.
        what: the worker said, asked or has for a result; of a lost task the `Fate` of its process.
        answer: takes the answer to what was asked.
    """

    kind: Kind
    task: int
    what: Any = None
    answer: Callable[[Any], None] | None = None


@dataclass(frozen=True)
class Line:
    """A worker's end of its pipe."""

    pipe: Connection

    def say(self, what: Any) -> None:
        """Tell it."""
        self.pipe.send((Kind.SAID, what))

    def ask(self, what: Any) -> Any:
        """Ask it, and wait for the answer."""
        self.pipe.send((Kind.ASKED, what))
        return self.pipe.recv()


def share(tasks: Iterable[Any], begin: Begin, workers: int) -> Generator[Event, None, None]:
    """Do all tasks in several processes and tell what happens as it happens.

    A process that ends before its task is done costs this task alone, and another takes its place. There is no limit
    to the time that a task may take: a large picture on a busy machine takes many times as long as a small one on an
    idle machine, and every step of a task is one that ends. Only a process that is stopped would never end: it is made
    to go on, and killed when it is stopped again.

    Args:
        tasks: taken as workers get free; when they end early, those under way are still finished.
        begin: gives what does a task; picklable where processes cannot be forked.
        workers: how many processes. They end with the generator.
    """
    context = multiprocessing.get_context("fork") if FORKS else multiprocessing.get_context("spawn")
    yield from _Crew(iter(tasks), begin, context).all(workers)


@dataclass
class _Worker:
    """A process, the pipe to it, and the task it has."""

    process: BaseProcess
    pipe: Connection
    task: int | None = None
    looks_stopped: int = 0
    continued: bool = False
    given_up: bool = False

    def tell_to_end(self) -> None:
        """Terminate it; it removes what it has half written."""
        self.process.terminate()
        self.send("SIGCONT")  # one that is stopped would not hear of it

    def end(self) -> None:
        """Wait until it has ended."""
        self.process.join(_PATIENCE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()

    def send(self, name: str) -> None:
        """Send a signal, if there is such a one and the process still is."""
        with suppress(ProcessLookupError):
            if hasattr(signal, name) and self.process.pid is not None and self.process.is_alive():
                os.kill(self.process.pid, getattr(signal, name))

    def is_stopped(self) -> bool:
        """Whether it is stopped; no where the system does not tell."""
        if self.process.pid is None or not hasattr(os, "waitid"):
            return False
        with suppress(ChildProcessError):
            return os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
        return False

    def fate(self) -> Fate:
        """How its process ended."""
        self.process.join(_PATIENCE_S)
        code = self.process.exitcode
        if self.given_up:
            return Fate("its process was stopped twice and then killed", alone=False)
        if code is None or 0 <= code <= 128:
            return Fate(f"its process ended with exit status {code}")
        number = -code if code < 0 else code - 128
        if number == _KILL:
            return Fate(f"its process was killed (signal {number}, perhaps for want of memory)")
        if number in _CRASHES:
            return Fate(f"its process crashed (signal {number})")
        return Fate(f"its process was told to end (signal {number})", alone=False)


@dataclass
class _Crew:
    """Hands tasks out and takes words in."""

    tasks: Iterator[Any]
    begin: Begin
    context: ForkContext | SpawnContext
    _count: int = 0
    _workers: list[_Worker] = field(default_factory=list)

    def all(self, workers: int) -> Iterator[Event]:
        """Every task."""
        try:
            for _ in range(workers):
                yield from self._hand_out()
            look = time.monotonic() + LOOK_S
            while busy := [worker for worker in self._workers if worker.task is not None]:
                for pipe in wait([worker.pipe for worker in busy], max(0.0, look - time.monotonic())):
                    yield from self._listen(next(worker for worker in busy if worker.pipe is pipe))
                if time.monotonic() >= look:
                    look = time.monotonic() + LOOK_S
                    for worker in busy:
                        yield from self._look_at(worker)
        finally:
            for worker in self._workers:
                worker.tell_to_end()
            for worker in self._workers:
                worker.end()

    def _hand_out(self, worker: _Worker | None = None) -> Iterator[Event]:
        """The next task, if there is one, to a worker that has none, or to a new one."""
        try:
            task = next(self.tasks)
        except StopIteration:
            return
        worker = worker or self._start()
        worker.task, self._count = self._count, self._count + 1
        with suppress(OSError):  # it has just died: that is seen when its word is waited for
            worker.pipe.send(task)
        yield Event(Kind.BEGUN, worker.task)

    def _start(self) -> _Worker:
        here, there = self.context.Pipe()
        process = self.context.Process(target=_serve, args=(there, self.begin), daemon=True)
        process.start()
        there.close()
        self._workers.append(_Worker(process, here))
        return self._workers[-1]

    def _listen(self, worker: _Worker) -> Iterator[Event]:
        """Take in one message."""
        task = worker.task
        if task is None:
            return
        try:
            kind, what = worker.pipe.recv()
        except (EOFError, OSError):
            worker.task = None
            self._workers.remove(worker)
            yield Event(Kind.LOST, task, worker.fate())
            worker.end()
            yield from self._hand_out()
            return
        if kind is Kind.DONE:
            worker.task, worker.continued = None, False
            yield Event(kind, task, what)
            yield from self._hand_out(worker)
        else:
            yield Event(kind, task, what, worker.pipe.send)

    def _look_at(self, worker: _Worker) -> Iterator[Event]:
        """Set going a worker that has been stopped for a while; kill one that is stopped once more."""
        worker.looks_stopped = worker.looks_stopped + 1 if worker.is_stopped() else 0
        if worker.looks_stopped < LOOKS_STOPPED or worker.task is None:
            return
        worker.looks_stopped = 0
        if worker.continued:
            worker.given_up = True
            worker.process.kill()
            return
        worker.continued = True
        worker.send("SIGCONT")
        yield Event(Kind.CONTINUED, worker.task)


def _serve(pipe: Connection, begin: Begin) -> None:
    """What a worker does: task after task, until it is told to end or the one who tells is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is its parent's business
    leave_on_signals()
    _watch_parent()
    if not FORKS:
        warnings.simplefilter("ignore")  # a fork has the filters of the command line
    from gcnface.system.threads import one_thread

    one_thread()
    do = begin(Line(pipe))
    with suppress(EOFError, BrokenPipeError):
        while True:
            pipe.send((Kind.DONE, do(pipe.recv())))


def _watch_parent() -> None:
    """End with the parent, by a thread that takes no signals: those that it took would not wake the worker itself."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING) if hasattr(signal, "pthread_sigmask") else None
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _end_with_parent() -> None:
    """End this process, whatever it is at, when its parent is gone."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    # Forked siblings keep each other's sentinels open, so the parent's number is looked at as well.
    while parent.is_alive() and os.getppid() == parent.pid:
        parent.join(LOOK_S)
    os._exit(1)
