"""Kinds of values that options take: how each is written, read and shown. Nothing heavy is imported.

A kind stands in the type of a record's field, ``Annotated[int, Whole(64, 8192, metavar="PX")]``. It reads what Python,
a configuration file or the command line gives; what it has read it reads again unchanged.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from string import Formatter
from typing import Any

FIELD = re.compile(r"\{([a-z]\w*)\}")
"""A field's name in the text of an `OptionError`."""


class OptionError(ValueError):
    """A value that an option cannot have, or options that do not go together.

    Args:
        text: one line in which ``{name}`` stands for a field, ``{0}`` for the first of the values.
        values: to be filled in.
    """

    def __init__(self, text: str, *values: object) -> None:
        self.text, self.values = text, values
        super().__init__(self.spelled({name: name for name in FIELD.findall(text)}))

    def spelled(self, spellings: Mapping[str, str]) -> str:
        """The line, its fields spelled as the user knows them."""
        return Formatter().vformat(self.text, self.values, spellings)


class WrongValueError(Exception):
    """A kind cannot take a value; the message says what it expects."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question to put behind an error about a word, or nothing when no known word is near."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Any text.

    Attributes:
        metavar: stands for the value in the help.
        flag: the option, where it is not the field's name with hyphens; "" for words without an option.
        short: a second flag of one letter.
        group: heading in the help.
        often: the words that follow the option, or come without one, are several values.
        is_path: they are names of files or folders.
    """

    metavar: str = "TEXT"
    flag: str | None = None
    short: str | None = None
    group: str = "options"
    often: bool = False
    is_path: bool = False

    def read(self, value: Any) -> Any:
        """The value as the record keeps it.

        Raises:
            WrongValueError: it is none of this kind.
        """
        if not isinstance(value, str):
            raise WrongValueError("a text")
        return value

    def show(self, value: Any) -> str:
        """A value as it is typed."""
        return str(value)

    def choice(self) -> str:
        """Which values there are, where few words say it; for the help and for errors."""
        return ""


@dataclass(frozen=True, kw_only=True)
class Switch(Kind):
    """Yes or no."""

    def read(self, value: Any) -> bool:
        """True or False."""
        if not isinstance(value, bool):
            raise WrongValueError("true or false")
        return value

    def show(self, value: Any) -> str:
        """In a word."""
        return "yes" if value else "no"


@dataclass(frozen=True)
class Whole(Kind):
    """A whole number within bounds.

    Attributes:
        least: it can be.
        most: it can be.
        even: it must be.
    """

    least: int = 0
    most: int | None = None
    even: bool = False
    _: KW_ONLY
    metavar: str = "N"

    def read(self, value: Any) -> int:
        """The number."""
        if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,18}", value):
            value = int(value)
        most = math.inf if self.most is None else self.most
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not self.least <= value <= most or (self.even and value % 2):
            raise WrongValueError(self.choice() or f"a number, {self.least} or more")
        return int(value)

    def choice(self) -> str:
        """Its bounds, where there are two."""
        what = "an even number" if self.even else "a number"
        return "" if self.most is None else f"{what} from {self.least} to {self.most}"


@dataclass(frozen=True)
class Real(Kind):
    """A finite number within bounds.

    Attributes:
        least: it can be.
        most: it can be.
        what: it is, in the plural.
    """

    least: float = -math.inf
    most: float = math.inf
    what: str = "numbers"
    _: KW_ONLY
    metavar: str = "X"

    def read(self, value: Any) -> float:
        """The number."""
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not (math.isfinite(number) and self.least <= number <= self.most):
            bounds = f" from {self.least:g} to {self.most:g}" if math.isfinite(self.least) else ""
            raise WrongValueError(f"{self.what}{bounds}")
        return number

    def show(self, value: Any) -> str:
        """Without zeros behind the point."""
        return f"{value:g}"


@dataclass(frozen=True)
class OneOf(Kind):
    """One of some names."""

    names: Sequence[str]

    def read(self, value: Any) -> str:
        """The name."""
        if not isinstance(value, str) or value not in self.names:
            raise WrongValueError(self.choice() + did_you_mean(str(value), self.names))
        return value

    def choice(self) -> str:
        """The names."""
        return f"one of {', '.join(self.names)}"


@dataclass(frozen=True)
class SomeOf(Kind):
    """Some of several names, each once, in the order given: "a,b" or a list.

    Attributes:
        names: to choose from.
        switches: each name is an option of its own, with this sentence.
    """

    names: Sequence[str]
    switches: Mapping[str, str] | None = None
    _: KW_ONLY
    metavar: str = "A,B,..."

    def read(self, value: Any) -> tuple[str, ...]:
        """The names."""
        given = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
        wanted = tuple(dict.fromkeys(str(word).strip().lower() for word in given if str(word).strip()))
        unknown = [word for word in wanted if word not in self.names]
        if unknown or not wanted:
            hints = "".join(did_you_mean(word, self.names) for word in unknown)
            raise WrongValueError(self.choice() + hints)
        return wanted

    def choice(self) -> str:
        """The names."""
        return f"some of {','.join(self.names)}"

    def show(self, value: Any) -> str:
        """With commas."""
        return "all" if tuple(value) == tuple(self.names) else ",".join(value)


@dataclass(frozen=True, kw_only=True)
class Reals(Kind):
    """Several numbers, each once: "30,45" or a list.

    Attributes:
        each: the kind of one.
    """

    each: Real
    metavar: str = "A,B"

    def read(self, value: Any) -> tuple[float, ...]:
        """The numbers."""
        given = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
        numbers = tuple(dict.fromkeys(self.each.read(word) for word in given if str(word).strip()))
        if not numbers:
            raise WrongValueError(self.each.what)
        return numbers

    def show(self, value: Any) -> str:
        """With commas."""
        return ",".join(self.each.show(number) for number in value)


@dataclass(frozen=True, kw_only=True)
class Numbers(Kind):
    """Numbers by name: words NAME=X, or a mapping.

    Attributes:
        each: the kind of one number.
        switches: each name is an option of its own, with this sentence; None takes any name.
    """

    each: Kind
    switches: Mapping[str, str] | None = None
    metavar: str = "NAME=X"

    def read(self, value: Any) -> dict[str, Any]:
        """By name."""
        pairs = value.items() if isinstance(value, Mapping) else [_pair(word) for word in value]
        found = {}
        for name, number in pairs:
            if self.switches is not None and name not in self.switches:
                raise WrongValueError(f"some of {', '.join(self.switches)}{did_you_mean(name, self.switches)}")
            try:
                found[name] = self.each.read(number)
            except WrongValueError as error:
                raise WrongValueError(f"{error} behind {name}=") from None
        return found


def _pair(word: Any) -> tuple[str, str]:
    name, sign, value = str(word).partition("=")
    if not name.strip() or not sign:
        raise WrongValueError("NAME=X, such as jawOpen=0.6")
    return name.strip(), value


@dataclass(frozen=True)
class File(Kind):
    """A file or a folder.

    Attributes:
        suffixes: one of which it must have; any, where there are none.
    """

    suffixes: tuple[str, ...] = ()
    _: KW_ONLY
    metavar: str = "FILE"
    is_path: bool = True

    def read(self, value: Any) -> Path:
        """Its path; an empty word, such as an empty variable of a shell gives, would be the current folder."""
        if not isinstance(value, str | Path) or not str(value).strip():
            raise WrongValueError("a path")
        path = Path(value)
        if self.suffixes and path.suffix.lower() not in self.suffixes:
            raise WrongValueError(f"a name that ends with {', '.join(self.suffixes)}")
        return path


@dataclass(frozen=True, kw_only=True)
class Words(Kind):
    """One or more words."""

    often: bool = True
    is_path: bool = True

    def read(self, value: Any) -> tuple[str, ...]:
        """The words."""
        words = (value,) if isinstance(value, str | Path) else tuple(value) if isinstance(value, list | tuple) else ()
        if not words:
            raise WrongValueError("one or more")
        return tuple(str(word) for word in words)


@dataclass(frozen=True, kw_only=True)
class Device(Kind):
    """Where networks run; it must be there."""

    metavar: str = "DEVICE"

    def read(self, value: Any) -> str:
        """Its name.

        Raises:
            DeviceError: the name is not known, or this machine has no such device.
        """
        from render.devices import check_device

        check_device(value)
        return str(value)


@dataclass(frozen=True)
class Like(Kind):
    """A text of a certain form.

    Attributes:
        pattern: that all of it must match.
        form: that form, in words.
    """

    pattern: str
    form: str

    def read(self, value: Any) -> str:
        """The text."""
        if not isinstance(value, str) or not re.fullmatch(self.pattern, value, re.ASCII):
            raise WrongValueError(self.form)
        return value


@dataclass(frozen=True)
class Size(Kind):
    """A picture's side in px, or "WIDTHxHEIGHT", which is kept as (height, width)."""

    least: int
    most: int
    _: KW_ONLY
    metavar: str = "PX"

    def read(self, value: Any) -> int | tuple[int, int]:
        """A side, or height and width."""
        if isinstance(value, str):
            found = re.fullmatch(r"(\d{1,9})(?:[xX](\d{1,9}))?", value)
            sides = [int(side) for side in found.groups() if side][::-1] if found else []
        else:
            sides = list(value) if isinstance(value, list | tuple) else [value]
        if len(sides) not in (1, 2) or not all(type(s) is int and self.least <= s <= self.most for s in sides):
            raise WrongValueError(f"PX or WIDTHxHEIGHT, {self.least} to {self.most} a side")
        return sides[0] if len(sides) == 1 else (sides[0], sides[1])
