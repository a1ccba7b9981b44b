"""``gcnface completion``: a script by which a shell completes commands, options and names."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gcnface.cli.program import COMMANDS, DONE, top_parser

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
    """One parser of all commands, which says by what each option can be completed."""
    import shtab

    from gcnface.cli import commands
    from gcnface.cli.parser import add_options, record_of
    from gcnface.options import kinds_of

    tree = top_parser()
    branches = tree.add_subparsers(metavar="COMMAND")
    for name, summary in COMMANDS.items():
        branch, command = branches.add_parser(name, help=summary), getattr(commands, name, None)
        if command is None:
            continue
        add_options(branch, record_of(command))
        kinds = kinds_of(record_of(command))
        for action in branch._actions:
            kind = kinds.get(action.dest)
            if action.nargs != 0 and kind is not None and kind.names:
                action.choices = kind.names
            elif kind is not None and kind.is_path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return tree
