"""Errors of a parser in one line that also says what may have been meant."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn, cast

from gcnface.kinds import did_you_mean


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
