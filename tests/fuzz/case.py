"""A hostile input, what must come of it, and the shelves that hold them."""

import enum
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gcnface.errors import printable

MARKER = "executed"
"""A file of this name, in the folder of an input, means that code in the input was run."""

Random = np.random.Generator


class Expect(enum.Enum):
    """What must come of an input; never is it a crash, a traceback, a hang, a NaN or a file left behind."""

    SUCCEED = "must succeed"
    REFUSE = "must be refused"
    EITHER = "may succeed or be refused"


SUCCEED, REFUSE, EITHER = Expect


@dataclass(frozen=True)
class Input:
    """What is handed to the program.

    Attributes:
        argument: a path, words, an array; each kind has its own.
        named: what a refusal must name; empty where there is nothing to name.
    """

    argument: Any
    named: str = ""


@dataclass(frozen=True)
class Case:
    """A hostile input.

    Attributes:
        kind: which shelf it stands on.
        name: unique on its shelf.
        expect: what must come of it.
        make: makes it in a folder of its own, which is the working folder while it is tried.
    """

    kind: str
    name: str
    expect: Expect
    make: Callable[[Path, Random], Input]

    @property
    def key(self) -> str:
        """Its name among all."""
        return f"{self.kind}/{self.name}"

    def made(self, folder: Path, seed: int) -> Input:
        """The input; the same seed gives the same bytes, whatever else is made."""
        return self.make(folder, np.random.default_rng([seed, zlib.crc32(self.key.encode())]))


@dataclass
class Shelf:
    """The inputs of one kind."""

    kind: str
    cases: list[Case] = field(default_factory=list)

    def add(self, name: str, expect: Expect, make: Callable[[Path, Random], Input]) -> None:
        """One input."""
        assert all(case.name != name for case in self.cases), name
        self.cases.append(Case(self.kind, name, expect, make))

    def case(self, name: str, expect: Expect) -> Callable:
        """The same as a decorator."""

        def keep(make: Callable[[Path, Random], Input]) -> Callable[[Path, Random], Input]:
            self.add(name, expect, make)
            return make

        return keep

    def add_file(self, name: str, expect: Expect, content: Callable[[Random], bytes], label: str = "") -> None:
        """A file of this name and content; `label` where the name is none to print."""
        self.add(label or name, expect, partial(_written, name, content))

    def file(self, name: str, expect: Expect) -> Callable:
        """The same as a decorator."""

        def keep(content: Callable[[Random], bytes]) -> Callable[[Random], bytes]:
            self.add_file(name, expect, content)
            return content

        return keep


def _written(name: str, content: Callable[[Random], bytes], folder: Path, rng: Random) -> Input:
    path = folder / name
    path.write_bytes(content(rng))
    return file_input(path)


def file_input(path: Path) -> Input:
    """A path, which a refusal must name as far as a terminal may show it."""
    return Input(path, printable(path.name))


class Payload:
    """Pickled, it would write `MARKER` where it is unpickled."""

    def __reduce__(self) -> tuple:
        return open, (MARKER, "w")


def truncated(content: bytes, rng: Random) -> bytes:
    """The first tenth to nine tenths."""
    return content[: int(len(content) * rng.uniform(0.1, 0.9))]


def flipped(content: bytes, rng: Random, start: int = 0, stop: int | None = None, count: int = 4) -> bytes:
    """Some bytes of a part replaced."""
    changed = bytearray(content)
    for place in rng.integers(start, len(content) if stop is None else min(stop, len(content)), count):
        changed[place] ^= int(rng.integers(1, 256))
    return bytes(changed)
