"""What runs in a worker, a process of this machine or of a cluster: one task at a time, with one thread."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from gcnface.system.signals import ENDING
from gcnface.system.threads import ONE_THREAD, one_thread

_LOOK_S = 1.0
"""How often a worker looks for its parent."""

_lock = threading.Lock()
kept: dict[str, Callable[[Any], Any]] = {}
"""What does the tasks of the run in hand, with its networks, by the run's key; forks find what their parent keeps."""


class WorkerEndedError(Exception):
    """A worker was told to end, by the signal that is its argument, and takes no more tasks."""


@dataclass
class _State:
    """Attributes: busy, while a task is done; ended, the signal that told this process to end, or 0."""

    busy: bool = False
    ended: int = 0


_state = _State()


@dataclass(frozen=True)
class TaskResult:
    """What came of a task.

    Attributes:
        task: as it was given.
        value: that the work returned; None after an error.
        error: that it raised, or a `WorkerLostError` where its process ended; None where all went well.
    """

    task: Any
    value: Any = None
    error: Exception | None = None


def attempt(do: Callable[[Any], Any], task: Any) -> TaskResult:
    """Do a task; errors become values."""
    try:
        return TaskResult(task, do(task))
    except Exception as error:
        return TaskResult(task, error=error)


def call(key: str, do: Callable[[Any], Any] | None, task: Any) -> TaskResult:
    """Do a task in a worker. The first `do` of a run is kept, so that what it has loaded serves its next tasks.

    Args:
        key: one for all tasks of a run.
        do: does a task; None in a fork, which has it already.
        task: its argument.

    Raises:
        WorkerEndedError: this process was told to end; what the task had half written is removed.
    """
    with _lock:
        if do is not None and key not in kept:
            os.environ.update(ONE_THREAD)
            one_thread()
            kept.clear()
            kept[key] = do
        try:
            _state.busy = True
            if not _state.ended:
                return attempt(kept[key], task)
        except SystemExit:
            pass
        finally:
            _state.busy = False
        raise WorkerEndedError(_state.ended)


def begin(parent: int, folder: str, quiet: bool) -> None:
    """Called once in every process of this machine that is to work.

    Args:
        parent: process that it ends with.
        folder: to work in.
        quiet: without warnings.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if hasattr(signal, "pthread_sigmask"):  # the parent blocked them until all this was done
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, *ENDING))
    os.chdir(folder)
    gc.freeze()  # loky collects garbage every second: not among what was loaded, nor copying its pages to a fork
    if quiet:
        warnings.simplefilter("ignore")


def _end(number: int, frame: FrameType | None) -> None:
    """Break off the task in hand and refuse all others; the parent ends the process when it has tidied up."""
    first, _state.ended = not _state.ended, number
    if first and _state.busy:
        raise SystemExit(128 + number)


def _end_with(parent: int) -> None:
    """End this process, whatever it is at, when its parent is gone (POSIX; elsewhere parents keep their number)."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)
