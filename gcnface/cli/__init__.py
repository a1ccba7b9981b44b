"""The command line: one module a command.

A command is a function ``run(options)`` of one of the records of `gcnface.options`, which gives the exit status, and an
``EPILOG`` for its help. Nothing heavy is imported before ``run``, so that help comes at once.
"""

from gcnface.cli.program import COMMANDS, main

__all__ = ["COMMANDS", "main"]
