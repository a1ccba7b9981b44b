"""The command line. What a command needs is imported when the command runs, so that help comes at once."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType

from gcnface.cli.parser import Parser
from gcnface.system.own_packages import check_own_packages
from gcnface.system.signals import leaving_on_signals, status_of_signals
from gcnface.system.streams import final_status, guarded_streams
from gcnface.version import __version__

COMMANDS = ("refine", "render", "align", "flatten", "prepare", "evaluate")
"""Modules of `gcnface.cli`, in the order of the help."""

_DESCRIPTION = "From one photograph to a textured 3D face mesh."
_EPILOG = "gcnface COMMAND -h tells what a command takes and writes, with examples."


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
            status = 130
        except SystemExit as leaving:
            raise SystemExit(final_status(leaving.code or 0)) from None
        except Exception:
            if not status_of_signals():
                raise
            status = 1
        status = status_of_signals() or status
        if status == 130:
            sys.stderr.write("gcnface: interrupted\n")
        return final_status(status)


def _obey(words: Sequence[str]) -> int:
    """Run a command; the exit status."""
    if _hidden() or _nowhere():
        return 1
    if words[:1] == ["train"]:
        return _train(words[1:])
    parser = build_parser()
    options = parser.parse_args(words)
    if options.command is None:
        parser.print_help()
        return 2
    return _run(options)


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


def _train(words: Sequence[str]) -> int:
    from gcnface.cli.train import main as train

    return train(words)


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command but ``train``, which reads its own arguments."""
    parser = Parser("gcnface", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"gcnface {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name in COMMANDS:
        module = _command(name)
        command = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=module.DESCRIPTION,
            epilog=module.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
    commands.add_parser("train", help="train the networks", add_help=False)
    return parser


def _command(name: str) -> ModuleType:
    """The module of a command."""
    return importlib.import_module(f"gcnface.cli.{name}")


def _run(options: argparse.Namespace) -> int:
    """A command with parsed arguments; the exit status."""
    from gcnface.errors import GcnfaceError, printable

    # Read by OpenMP when torch is imported. Threads that spin while they wait make a busy machine ten times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # One thread, so that the last digits do not follow their number; several that do not spin are no quicker. Where
    # torch has been imported, whoever did so has chosen.
    if "torch" not in sys.modules:
        os.environ["OMP_NUM_THREADS"] = "1"
    _print_any_name()
    with warnings.catch_warnings():
        if not options.debug:
            warnings.simplefilter("ignore")
        try:
            return _command(options.command).run(options)
        except GcnfaceError as error:
            sys.stderr.write(f"gcnface: {printable(error)}\n")
            return 1


def _print_any_name() -> None:
    """File names may hold what the terminal's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
