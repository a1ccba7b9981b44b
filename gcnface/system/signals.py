"""Signals that end a process, as exceptions, so that what it has half written is removed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Told to end, and terminal closed."""

_came: list[int] = []
"""Signals that have raised an exception: a library that is just being imported may make another of it."""


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """Let the signals of `ENDING` raise SystemExit in a block, and Ctrl-C be remembered.

    Those that are ignored (as ``nohup`` has it) stay so; outside the main thread, where signals cannot be caught,
    nothing is done.
    """
    _came.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (*ENDING, signal.SIGINT)}
    for number in ENDING:
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, _leave)
    if before[signal.SIGINT] is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def status_of_signals() -> int:
    """The exit status of a process that signals have ended, or 0 where none has come."""
    return 128 + _came[-1] if _came else 0


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    for other in ENDING:
        signal.signal(other, _stay)
    _came.append(number)
    raise SystemExit(128 + number)


def _stay(number: int, frame: FrameType | None) -> None:
    """The process is leaving; a second signal must not break off the tidying up."""


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    _came.append(number)
    raise KeyboardInterrupt
