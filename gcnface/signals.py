"""Signals that end a process, as exceptions, so that what it has half written is removed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Told to end, and terminal closed. Ctrl-C is an exception already."""


def leave_on_signals() -> None:
    """Let the signals of `ENDING` raise SystemExit, but for those that are ignored (as ``nohup`` has it)."""
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """The same for a block; outside the main thread, where signals cannot be caught, nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING}
    leave_on_signals()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    for other in ENDING:
        signal.signal(other, _stay)
    raise SystemExit(128 + number)


def _stay(number: int, frame: FrameType | None) -> None:
    """The process is leaving; a second signal must not break off the tidying up."""
