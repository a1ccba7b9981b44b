"""What the command line shows while it works: a bar on stderr, results on stdout, one line an error."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from gcnface.errors import printable

if TYPE_CHECKING:
    from rich.progress import Progress


def tell_nobody(what: object) -> None:
    """Photos and stages are told to nobody where a photo is done in another process."""


class Reporter:
    """Tells the user where the work stands.

    Args:
        photos: how many there are; None for too many to count.
        quiet: no bar and no results, errors alone.
        debug: a stack trace with every error.
    """

    def __init__(self, photos: int | None, *, quiet: bool = False, debug: bool = False) -> None:
        self._photos, self._quiet, self._debug = photos, quiet, debug
        self._bar: Progress | None = None
        self._begun = 0

    def expect(self, photos: int) -> None:
        """How many photos there are, where that is known only now."""
        self._photos = photos

    @contextmanager
    def running(self, stages: int) -> Iterator[None]:
        """Show a bar, on a terminal only, while the block runs; ``stages`` is how many a photo has."""
        if self._quiet or not sys.stderr.isatty():
            yield
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (
            SpinnerColumn(),
            TextColumn("{task.fields[place]} [bold]{task.fields[photo]}[/] {task.fields[stage]}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
        )
        console = Console(stderr=True)
        # Redirection would send results, which belong to stdout, to the bar's stderr.
        with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as bar:
            self._bar, self._stages = bar, stages
            total = self._photos and self._photos * stages
            self._task = bar.add_task("", total=total, place="", photo="", stage="starting")
            try:
                yield
            finally:
                self._bar = None

    def photo(self, path: Path) -> None:
        """A photo begins."""
        self._begun += 1
        if self._bar is not None:
            from rich.markup import escape

            done = (self._begun - 1) * self._stages
            place = f"{self._begun}/{self._photos}" if self._photos else str(self._begun)
            self._bar.update(self._task, completed=done, place=place, photo=escape(printable(path.name)), stage="")

    def stage(self, name: str) -> None:
        """A stage of the photo begins; a photo with more stages than announced stays at its end."""
        if self._bar is not None:
            done = self._bar.tasks[0].completed
            self._bar.update(self._task, stage=name, completed=min(done + 1, self._begun * self._stages))

    def result(self, text: str) -> None:
        """A line about a finished photo, to stdout."""
        if not self._quiet:
            self._write(printable(text), sys.stdout)

    def note(self, text: str) -> None:
        """One line to stderr that nothing need be done about."""
        if not self._quiet:
            self._write(f"gcnface: {text}", sys.stderr)

    def warning(self, text: str) -> None:
        """One line to stderr about something that does not stop the work."""
        self._write(f"gcnface: warning: {' '.join(text.split())}", sys.stderr)

    def error(self, error: BaseException, text: str | None = None) -> None:
        """One line to stderr, the error's own or ``text``; with ``debug`` the stack trace follows."""
        self.failure(text or str(error), "".join(traceback.format_exception(error)))

    def failure(self, text: str, trace: str) -> None:
        """One line to stderr; with ``debug`` the stack trace follows."""
        self._write(f"gcnface: {' '.join(text.split())}", sys.stderr)
        if self._debug:
            self._write(trace, sys.stderr)

    def _write(self, text: str, stream: TextIO) -> None:
        """Lines that do not tear the bar, nor tell the terminal to do anything."""
        text = "\n".join(printable(line) for line in text.rstrip("\n").split("\n"))
        if self._bar is not None and stream.isatty():
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            stream.write(text + "\n")
            stream.flush()
