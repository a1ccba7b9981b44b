"""``gcnface completion``: a script by which a shell completes commands, options and names."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any, get_type_hints

from gcnface.cli.program import COMMANDS, DONE, top_parser
from gcnface.kinds import Kind

SHELLS = ("bash", "zsh", "fish")
USAGE = """\
put this into ~/.bashrc:    eval "$(gcnface completion bash)"
or into ~/.zshrc:           eval "$(gcnface completion zsh)"
or do once:                 gcnface completion fish > ~/.config/fish/completions/gcnface.fish
"""


def main(words: Sequence[str]) -> int:
    """Print the script for a shell; the exit status.

    Raises:
        SystemExit: for help and wrong usage.
    """
    parser = argparse.ArgumentParser(
        "gcnface completion", epilog=USAGE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shell", choices=SHELLS)
    shell = parser.parse_args(words).shell
    import shtab

    sys.stdout.write(shtab.complete(_tree(), shell) + "\n")
    return DONE


def _tree() -> argparse.ArgumentParser:
    """One parser of all commands, which says what each option can be completed by."""
    from gcnface.cli.parser import add_options
    from gcnface.options import kinds_of

    tree = top_parser()
    commands = tree.add_subparsers(metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command, run = commands.add_parser(name, help=summary), _run_of(name)
        if run is not None:
            record = get_type_hints(run)["options"]
            add_options(command, record)
            _add_answers(command, kinds_of(record))
    return tree


def _run_of(name: str) -> Any:
    return getattr(importlib.import_module(f"gcnface.cli.{name}"), "run", None)


def _add_answers(command: argparse.ArgumentParser, kinds: dict[str, Kind]) -> None:
    """Names or files that an option is completed by."""
    import shtab

    for action in command._actions:
        kind = kinds.get(action.dest)
        if action.nargs != 0 and kind is not None and kind.names:
            action.choices = kind.names
        elif kind is not None and kind.is_path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
