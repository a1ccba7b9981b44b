"""The parser of the commands: argparse, whose errors also say what may have been meant."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from gcnface.system.own_packages import errors_module

_INVALID_CHOICE = re.compile(r"invalid choice: '(?P<word>.*)' \(choose from (?P<choices>.*)\)")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question to put behind an error about a word, or nothing when no known word is near."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


class Parser(argparse.ArgumentParser):
    """Asks "did you mean ...?" of unknown commands, options and choices.

    It repeats the user's words in its errors, but nothing that a terminal would obey.
    """

    _words: tuple[str, ...] = ()

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse; words that are not known are an error of the command that they were given to, with its usage."""
        self._words = tuple(args or ())
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and what may have been meant, and leave with status 2."""
        wrong = _INVALID_CHOICE.search(message)
        if wrong is not None:
            message += did_you_mean(wrong["word"], re.findall(r"[^\s,']+", wrong["choices"]))
        for word in self._unknown_options():
            hint = did_you_mean(word, self._option_string_actions)
            message += hint if not hint or word in message else f"; {word} is not known{hint}"
        super().error(errors_module().printable(message))

    def _unknown_options(self) -> list[str]:
        """Long options among the words that are neither an option nor the beginning of one."""
        known = tuple(self._option_string_actions)
        given = [word.split("=")[0] for word in self._words if word.startswith("--") and len(word) > 2]
        return [word for word in given if not any(option.startswith(word) for option in known)]
