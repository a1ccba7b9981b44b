"""The command line: words in, exit status out. Here alone errors become lines on stderr and exit statuses.

What a command needs is imported when the command runs, so that help comes at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NoReturn, cast

from gcnface.names import did_you_mean
from gcnface.system.own_packages import check_own_packages
from gcnface.system.signals import leaving_on_signals, status_of_signals
from gcnface.system.streams import final_status, guarded_streams
from gcnface.version import __version__

COMMANDS = {
    "refine": "turn photos into textured 3D faces",
    "render": "draw a face in another light, pose or expression",
    "align": "find points, pose, depth and texture of faces, quickly",
    "track": "follow faces through a video or before a camera",
    "flatten": "lay the faces of photos out flat, all in the same way",
    "prepare": "make a training set out of photos",
    "evaluate": "measure methods against each other on photos",
    "train": "train the networks",
    "completion": "print a script by which a shell completes commands and options",
}
"""Functions of `gcnface.cli.commands`, in the order of the help."""
_READ_THEMSELVES = ("train", "completion")
"""Modules of `gcnface.cli` whose `main` takes the words."""

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses, beside 128 + n for signal n and 141 where the reader of stdout has left."""

_LISTED = "\n".join(f"  {name:<11} {what}" for name, what in COMMANDS.items())
_RENDERER = "--renderer"


class Friendly:
    """Mixed into a parser: asks "did you mean ...?" of unknown options, in one line that no terminal obeys."""

    words: Sequence[str] = ()

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong and what may have been meant, and leave with status 2."""
        from gcnface.errors import printable

        known = tuple(self._option_string_actions)  # type: ignore[attr-defined]
        for word in dict.fromkeys(word.split("=")[0] for word in self.words if re.match("--.", word)):
            like = [flag for flag in known if flag.startswith("--no-") == word.startswith("--no-")]
            hint = "" if word in known else did_you_mean(word, like)
            message += hint if not hint or word in message else f"; {word} is not known{hint}"
        line = printable(" ".join(message.split()))
        argparse.ArgumentParser.error(cast(argparse.ArgumentParser, self), line)


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
    hindrance = _hindrance()
    if hindrance:
        sys.stderr.write(f"gcnface: {hindrance}\n")
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
    return _run(name, words[place + 1 :], given.renderer)


def _run(name: str, words: Sequence[str], renderer: str | None) -> int:
    """Run a command; the exit status, also after what it raises."""
    reads_itself = name in _READ_THEMSELVES
    if not reads_itself:
        _prepare_process()
    try:
        with ExitStack() as stack:
            if renderer is not None:
                from render.backends import use_backend

                stack.enter_context(use_backend(renderer))
            if reads_itself:
                return int(importlib.import_module(f"gcnface.cli.{name}").main(words))
            from gcnface.cli import commands, parser

            command = getattr(commands, name)
            options = parser.read_options(command, words)
            stack.enter_context(warnings.catch_warnings())
            if not options.debug:
                warnings.simplefilter("ignore")
            return status_of(command, options)
    except Exception as error:
        return _failed(error, {"photos": [name], "debug": "--debug" in words})


def status_of(command: Callable[[Any], int], options: Any) -> int:
    """Run a command with its options; the exit status, also after what it raises, which stderr is told."""
    try:
        return int(command(options))
    except Exception as error:
        return _failed(error, vars(options))


def _failed(error: Exception, options: Mapping[str, Any]) -> int:
    """Say what went wrong, in one line about what the command was given to work on; the exit status.

    Raises:
        Exception: the error itself, where it is what a library has made of a signal.
    """
    from gcnface.batch.failures import failed
    from gcnface.batch.progress import Reporter
    from gcnface.errors import GcnfaceError

    if status_of_signals():
        raise error
    foreseen = isinstance(error, GcnfaceError)
    subjects = (options.get(name) for name in ("photos", "face", "video"))
    subject = next(subject for subject in subjects if subject)
    subject = str(subject) if isinstance(subject, str | os.PathLike) else ", ".join(map(str, subject))
    Reporter(0, debug=options["debug"]).error(error, str(error) if foreseen else failed(subject, error))
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


def _hindrance() -> str:
    """What keeps every command from working: no current folder, or a user's file that hides a package of gcnface."""
    try:
        os.getcwd()  # without it libraries end the process
        check_own_packages()
    except FileNotFoundError:
        return "the current folder is no longer there; change to another (cd)"
    except ImportError as error:
        return str(error)
    return ""
