"""Standard streams that may be closed, full or left by their reader without harm to the work."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

READER_GONE = 141
"""Exit status after ``gcnface ... | head -1``: that of a program which the signal SIGPIPE ends."""


class GuardedStream:
    """A stream that gives up writing at the first error and remembers it; all else is that of the stream itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write it, if that can be done."""
        self._attempt(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Flush what was written, if that can be done."""
        self._attempt(self._stream.flush)

    def _attempt(self, act: Callable[..., object], *arguments: object) -> None:
        if self.error is None:
            try:
                act(*arguments)
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Drop what the stream still holds: the interpreter would fail with it at its end, a fork at its beginning."""
        self.error = error
        with suppress(OSError, ValueError):
            _lead_nowhere(self._stream.fileno())
            self._stream.flush()
        if self is sys.stdout and not isinstance(error, BrokenPipeError):
            why = error.strerror or str(error)
            sys.stderr.write(f"gcnface: results cannot be listed on stdout ({why}); files are written all the same\n")


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Guard stdout and stderr, and open them where the process was started without."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (
        GuardedStream(stream or _opened(descriptor)) for descriptor, stream in enumerate(before, start=1)
    )
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def reader_gone() -> bool:
    """Whether whoever read stdout has left, so that nobody waits for more."""
    return isinstance(getattr(sys.stdout, "error", None), BrokenPipeError)


def final_status(status: Any) -> Any:
    """The exit status, given that of the work, once stdout has been flushed."""
    sys.stdout.flush()
    if reader_gone():
        return READER_GONE
    return status or int(getattr(sys.stdout, "error", None) is not None)


def _opened(descriptor: int) -> TextIO:
    """A stream to nowhere at a closed descriptor: else the next file opened would be stdout to all libraries."""
    _lead_nowhere(descriptor)
    return open(descriptor, "w", encoding="utf-8", closefd=False)


def _lead_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    if nowhere != descriptor:
        os.close(nowhere)
