"""The command line: `commands` are functions of typed options, `parser` reads these, `program` runs and tells."""

from gcnface.cli.program import COMMANDS, main

__all__ = ["COMMANDS", "main"]
