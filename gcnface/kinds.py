"""Kinds of values that options take: how each is written, read and shown. Nothing heavy is imported.

A kind stands in the type of a record's field, ``Annotated[int, whole(64, 8192, metavar="PX")]``. It reads what Python,
a configuration file or the command line gives; what it has read it reads again unchanged.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any

from gcnface.names import did_you_mean

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


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of values.

    Attributes:
        read: gives the value as a record keeps it, or raises WrongValueError.
        choice: which values there are, for the help; "" where the sentence of a field says enough.
        names: that can be typed, for completion.
        switches: names that are options of their own, and what is said of each.
        metavar: stands for the value in the help; "" for yes or no.
        flag: the option, where it is not the field's name with hyphens; "" for words without an option.
        short: a second flag of one letter.
        group: heading in the help.
        often: the words that follow the option, or come without one, are several values.
        is_path: they are names of files or folders.
    """

    read: Callable[[Any], Any]
    choice: str = ""
    names: Sequence[str] = ()
    switches: Mapping[str, str] = field(default_factory=dict)
    metavar: str = "TEXT"
    flag: str | None = None
    short: str | None = None
    group: str = "options"
    often: bool = False
    is_path: bool = False


def switch(**how: Any) -> Kind:
    """Yes or no."""
    return Kind(read=lambda value: _which(isinstance(value, bool), value, "true or false"), metavar="", **how)


def text(pattern: str = ".*", form: str = "a text", **how: Any) -> Kind:
    """A text, all of which matches a pattern, which `form` says in words."""

    def read(value: Any) -> str:
        fits = isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII | re.DOTALL)
        return str(_which(fits, value, form))

    return Kind(read=read, **how)


def whole(least: int = 0, most: int | None = None, *, even: bool = False, **how: Any) -> Kind:
    """A whole number within bounds."""
    what = "an even number" if even else "a number"
    bounds = f"{what}, {least} or more" if most is None else f"{what} from {least} to {most}"

    def read(value: Any) -> int:
        number = int(value) if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,18}", value) else value
        fits = isinstance(number, int) and not isinstance(number, bool) and not (even and number % 2)
        return int(_which(fits and least <= number <= (math.inf if most is None else most), number, bounds))

    return Kind(read=read, choice="" if most is None else bounds, **{"metavar": "N", **how})


def real(least: float = -math.inf, most: float = math.inf, what: str = "a number", **how: Any) -> Kind:
    """A finite number within bounds."""
    bounds = what if math.isinf(least) else f"{what} from {least:g} to {most:g}"

    def read(value: Any) -> float:
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        return float(_which(math.isfinite(number) and least <= number <= most, number, bounds))

    return Kind(read=read, **{"metavar": "X", **how})


def one_of(names: Sequence[str], **how: Any) -> Kind:
    """One of some names."""
    choice = f"one of {', '.join(names)}"

    def read(value: Any) -> str:
        return str(_which(value in names, value, choice + did_you_mean(str(value), names)))

    return Kind(read=read, choice=choice, names=names, **how)


def some_of(names: Sequence[str], **how: Any) -> Kind:
    """Some of several names, each once, in the order given: "a,b" or a list."""
    choice = f"some of {','.join(names)}"

    def read(value: Any) -> tuple[str, ...]:
        wanted = tuple(dict.fromkeys(word.lower() for word in _parts(value)))
        unknown = [word for word in wanted if word not in names]
        hints = "".join(did_you_mean(word, names) for word in unknown)
        return tuple(_which(wanted and not unknown, wanted, choice + hints))

    return Kind(read=read, choice=choice, names=names, **{"metavar": "A,B,...", **how})


def several(each: Kind, **how: Any) -> Kind:
    """Values of one kind, each once: "30,45" or a list."""

    def read(value: Any) -> tuple[Any, ...]:
        found = tuple(dict.fromkeys(each.read(word) for word in _parts(value)))
        return tuple(_which(found, found, "one or more"))

    return Kind(read=read, **{"metavar": "A,B", **how})


def by_name(each: Kind, switches: Mapping[str, str] | None = None, **how: Any) -> Kind:
    """Values of one kind by name: words NAME=X or a mapping; any names, or those of options of their own."""

    def read(value: Any) -> dict[str, Any]:
        given = value if isinstance(value, Mapping) else dict(_pair(word) for word in value)
        for name in given:
            known = ", ".join(switches or [name])
            _which(switches is None or name in switches, name, f"some of {known}{did_you_mean(name, switches or ())}")
        return {name: _named(each, name, word) for name, word in given.items() if word is not None}

    return Kind(read=read, switches=switches or {}, **{"metavar": "NAME=X", **how})


def path(suffixes: tuple[str, ...] = (), **how: Any) -> Kind:
    """A file or a folder, with one of some endings; an empty word of a shell would be the current folder."""
    form = f"a name that ends with {', '.join(suffixes)}" if suffixes else "a path"

    def read(value: Any) -> Path:
        given = isinstance(value, str | Path) and str(value).strip()
        return Path(_which(given and (not suffixes or Path(value).suffix.lower() in suffixes), value, form))

    return Kind(read=read, **{"metavar": "FILE", "is_path": True, **how})


def words(**how: Any) -> Kind:
    """One or more words."""

    def read(value: Any) -> tuple[str, ...]:
        found = (value,) if isinstance(value, str | Path) else value
        return tuple(map(str, _which(isinstance(found, list | tuple) and found, found, "one or more")))

    return Kind(read=read, often=True, is_path=True, **how)


def device(**how: Any) -> Kind:
    """Where networks run; DeviceError where this machine has no such device."""

    def read(value: Any) -> str:
        from render.devices import check_device

        check_device(value)
        return str(value)

    return Kind(read=read, **{"metavar": "DEVICE", **how})


def size(least: int, most: int, **how: Any) -> Kind:
    """A picture's side in px, or "WIDTHxHEIGHT", which is kept as (height, width)."""
    form = f"PX or WIDTHxHEIGHT, {least} to {most} a side"
    side = whole(least, most)

    def read(value: Any) -> int | tuple[int, int]:
        sides = re.split("[xX]", value)[::-1] if isinstance(value, str) else value
        try:
            read = [side.read(one) for one in (sides if isinstance(sides, list | tuple) else [sides])]
        except WrongValueError:
            raise WrongValueError(form) from None
        height, width = _which(len(read) in (1, 2), read * 2, form)[:2]
        return height if len(read) == 1 else (height, width)

    return Kind(read=read, **{"metavar": "PX", **how})


def _which(fits: object, value: Any, expected: str) -> Any:
    """The value, if it fits."""
    if not fits:
        raise WrongValueError(expected)
    return value


def _parts(value: Any) -> list[str]:
    """What stands between commas, or in a list."""
    given = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
    return [str(word).strip() for word in given if str(word).strip()]


def _pair(word: Any) -> tuple[str, str]:
    name, sign, value = str(word).partition("=")
    _which(name.strip() and sign, word, "NAME=X, such as jawOpen=0.6")
    return name.strip(), value


def _named(each: Kind, name: str, word: Any) -> Any:
    try:
        return each.read(word)
    except WrongValueError as error:
        raise WrongValueError(f"{error} behind {name}=") from None
