"""The command line: one module a command.

A command offers ``SUMMARY``, ``DESCRIPTION``, ``EPILOG``, ``add_arguments(parser)`` and ``run(options)``, which gives
the exit status. Nothing heavy is imported before ``run``, so that help comes at once.
"""

from gcnface.cli.program import COMMANDS, build_parser, main

__all__ = ["COMMANDS", "build_parser", "main"]
