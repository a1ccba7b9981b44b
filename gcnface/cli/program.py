"""The command line: words in, exit status out. Here alone errors become lines on stderr and exit statuses.

What a command needs is imported when the command runs, so that help comes at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import ModuleType
from typing import Any, get_type_hints

from gcnface.cli.friendly import Friendly
from gcnface.kinds import did_you_mean
from gcnface.system.own_packages import check_own_packages
from gcnface.system.signals import leaving_on_signals, status_of_signals
from gcnface.system.streams import final_status, guarded_streams
from gcnface.version import __version__

COMMANDS = {
    "refine": "turn photos into textured 3D faces",
    "render": "draw a face in another light, pose or expression",
    "align": "find points, pose, depth and texture of faces, quickly",
    "flatten": "lay the faces of photos out flat, all in the same way",
    "prepare": "make a training set out of photos",
    "evaluate": "measure methods against each other on photos",
    "train": "train the networks",
    "completion": "print a script by which a shell completes commands and options",
}
"""Modules of `gcnface.cli`, in the order of the help."""

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses, beside 128 + n for signal n and 141 where the reader of stdout has left."""

_LISTED = "\n".join(f"  {name:<11} {what}" for name, what in COMMANDS.items())
_RENDERER = "--renderer"


class TopParser(Friendly, argparse.ArgumentParser):
    """Knows what stands before the command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status.

    Args:
        arguments: without the program's name; None takes those of the process.

    Raises:
        SystemExit: for help, version and wrong usage (status 2).
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    with guarded_streams(), leaving_on_signals():
        try:
            status = _obey(words)
        except KeyboardInterrupt:
            status = INTERRUPTED
        except SystemExit as leaving:
            raise SystemExit(final_status(leaving.code or DONE)) from None
        except Exception:
            if not status_of_signals():
                raise
            status = FAILED
        status = status_of_signals() or status
        if status == INTERRUPTED:
            sys.stderr.write("gcnface: interrupted\n")
        return final_status(status)


def _obey(words: Sequence[str]) -> int:
    """Run a command; the exit status."""
    if _hidden() or _nowhere():
        return FAILED
    parser, place = top_parser(), _place_of_command(words)
    parser.words = words[:place]
    given = parser.parse_args(words[:place])
    if place == len(words):
        parser.print_help()
        return USAGE
    name = words[place]
    if name not in COMMANDS:
        parser.error(f"there is no command {name!r}; choose from {', '.join(COMMANDS)}{did_you_mean(name, COMMANDS)}")
    command = importlib.import_module(f"gcnface.cli.{name}")
    if hasattr(command, "main"):
        return int(command.main(words[place + 1 :]))
    return _Run(command, name, words[place + 1 :], given.renderer)()


@dataclass
class _Run:
    """One run of a command that has a record of options."""

    command: ModuleType
    name: str
    words: Sequence[str]
    renderer: str | None
    options: Any = None

    def __call__(self) -> int:
        """The exit status."""
        _prepare_process()
        from gcnface.errors import GcnfaceError

        try:
            return self._run()
        except GcnfaceError as error:
            return self._fail(error, str(error))
        except Exception as error:
            if status_of_signals():
                raise
            from gcnface.batch.failures import failed

            return self._fail(error, failed(self._subject(), error))

    def _run(self) -> int:
        from gcnface.cli.parser import read_options

        record = get_type_hints(self.command.run)["options"]
        self.options = read_options(record, self.name, self.command.EPILOG, self.words)
        with warnings.catch_warnings(), _drawn_by(self.renderer):
            if not self.options.debug:
                warnings.simplefilter("ignore")
            return int(self.command.run(self.options))

    def _subject(self) -> str:
        """What the command was given to work on."""
        photos = getattr(self.options, "photos", None) or [getattr(self.options, "face", self.name)]
        return ", ".join(map(str, photos))

    def _fail(self, error: Exception, line: str) -> int:
        from gcnface.batch.progress import Reporter

        Reporter(0, debug=getattr(self.options, "debug", "--debug" in self.words)).error(error, line)
        return FAILED


def _prepare_process() -> None:
    """Settings that are read when torch is imported, and streams that take any file name."""
    # Read by OpenMP when torch is imported. Threads that spin while they wait make a busy machine ten times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # One thread, so that the last digits do not follow their number; several that do not spin are no quicker. Where
    # torch has been imported, whoever did so has chosen.
    if "torch" not in sys.modules:
        os.environ["OMP_NUM_THREADS"] = "1"
    for stream in (sys.stdout, sys.stderr):  # file names may hold what the terminal's encoding lacks
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _drawn_by(renderer: str | None) -> AbstractContextManager[Any]:
    """The rasterizer that was asked for, while the command runs."""
    if renderer is None:
        return nullcontext()
    from render.backends import use_backend

    return use_backend(renderer)


def top_parser() -> TopParser:
    """The parser of what stands before the command."""
    from render.backends import BACKENDS

    parser = TopParser(
        "gcnface",
        usage="gcnface [-h] [--version] [--renderer NAME] COMMAND ...",
        description=f"From one photograph to a textured 3D face mesh.\n\ncommands:\n{_LISTED}",
        epilog="gcnface COMMAND -h tells what a command takes and writes, with examples.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gcnface {__version__}")
    parser.add_argument(_RENDERER, choices=BACKENDS, metavar="NAME", help=f"rasterizer: {' or '.join(BACKENDS)}")
    return parser


def _place_of_command(words: Sequence[str]) -> int:
    """Where the first word stands that is no option, nor belongs to one."""
    places = (n for n, word in enumerate(words) if word[:1] != "-" and words[n - 1 : n] != [_RENDERER])
    return next(places, len(words))


def _nowhere() -> bool:
    """Whether the current folder has been removed, which stderr is told: libraries end the process then."""
    try:
        os.getcwd()
    except FileNotFoundError:
        sys.stderr.write("gcnface: the current folder is no longer there; change to another (cd)\n")
        return True
    return False


def _hidden() -> bool:
    """Whether a file of the user's hides a package that gcnface is made of, which stderr is told."""
    try:
        check_own_packages()
    except ImportError as error:
        sys.stderr.write(f"gcnface: {error}\n")
        return True
    return False
