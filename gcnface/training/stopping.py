"""Ctrl-C, SIGTERM and SIGHUP as one exception, so that a training ends tidily whichever of them comes.

Inside `gcnface.system.signals`, whose exceptions Lightning treats differently: of a
KeyboardInterrupt it makes status 1.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from gcnface.system.signals import ENDING


class Stopped(BaseException):
    """A signal asked the process to end.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def status(self) -> int:
        """The exit status that shells expect."""
        return 128 + self.number


@contextmanager
def signals_stop() -> Iterator[None]:
    """Raise `Stopped` where the first signal comes, but for those that are ignored; in threads none can be caught."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    known = [number for number in (signal.SIGINT, *ENDING) if signal.getsignal(number) != signal.SIG_IGN]

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        for other in known:
            signal.signal(other, _stay)
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in known}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stay(number: int, frame: FrameType | None) -> None:
    """The process is leaving; a second signal must not break off the tidying up."""
