"""What is computed once and kept: every cache knows what it was made from, so that none is taken for another.

A cache bears the digest of all it was made from in its name, and a record of it in words: things made from other
pictures, weights, settings or by another version of the code lie beside each other, and runs that want the same share.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from gcnface.errors import FileError
from gcnface.io.atomic import staged
from gcnface.version import __version__

RECORD = "made_from.json"


def fingerprint(*parts: object) -> str:
    """A digest of contents: networks' states, tensors, arrays, records and sequences of such, words and numbers.

    Raises:
        TypeError: a part is of another kind.
    """
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()[:32]


def fingerprint_of_rows(array: NDArray, rows: Iterable[int]) -> str:
    """A digest of some rows of an array that may be mapped: only these are read, one at a time."""
    digest = hashlib.sha256()
    for row in rows:
        _feed(digest, array[row])
    return digest.hexdigest()[:32]


def _feed(digest: hashlib._Hash, part: object) -> None:
    """Kind and size go before the contents, so that no two parts run into each other."""
    if isinstance(part, nn.Module):
        _feed(digest, [item for pair in sorted(part.state_dict().items()) for item in pair])
    elif isinstance(part, Tensor):
        _feed(digest, part.detach().cpu().numpy())
    elif isinstance(part, np.ndarray) and part.dtype.kind in "biuf":
        digest.update(f"{part.dtype.str}{part.shape}".encode())
        digest.update(part.tobytes())
    elif is_dataclass(part) and not isinstance(part, type):
        _feed(digest, [item for field in fields(part) for item in (field.name, getattr(part, field.name))])
    elif isinstance(part, np.ndarray | list | tuple):
        digest.update(f"{len(part)} of ".encode())
        for one in part:
            _feed(digest, one)
    elif isinstance(part, np.generic):
        _feed(digest, part.item())
    elif isinstance(part, str | int | float | None):
        digest.update(f"{part!r};".encode(errors="surrogateescape"))
    else:
        raise TypeError(f"a {type(part).__name__} has no fingerprint")


@dataclass(frozen=True)
class Cache:
    """A place for what was computed from certain things, and from no others.

    Attributes:
        parent: folder that may hold such places for other things as well.
        kind: of what is computed, the beginning of the place's name.
        made_from: digests of data and weights, settings, the number of the code's version.
    """

    parent: Path
    kind: str
    made_from: Mapping[str, str | int]

    @property
    def record(self) -> str:
        """What it was made from, as text."""
        return json.dumps({"gcnface": __version__, **self.made_from}, indent=1, sort_keys=True)

    @property
    def path(self) -> Path:
        """Of the folder, or, with the ending .npz, of the file."""
        return self.parent / f"{self.kind}-{fingerprint(self.record)[:16]}"

    @property
    def complete(self) -> bool:
        """Whether the folder holds all of it; `finish` says so."""
        try:
            return (self.path / RECORD).read_text() == self.record
        except OSError:
            return False

    def finish(self) -> None:
        """Note that the folder holds all of it: the last file that is written there."""
        with staged(self.path) as stage:
            (stage / RECORD).write_text(self.record)

    def arrays(self, make: Callable[[], Mapping[str, NDArray]]) -> dict[str, NDArray]:
        """The arrays of the file, which are made and written first where there is none.

        Raises:
            FileError: the file is damaged.
        """
        path = self.path.with_name(f"{self.path.name}.npz")
        if not path.exists():
            made = make()
            with staged(path.parent) as stage:
                np.savez(stage / path.name, **made)  # type: ignore[arg-type]
        try:
            with np.load(path, allow_pickle=False) as archive:
                return dict(archive)
        except Exception as error:  # a damaged archive fails in many ways
            raise FileError(path, "is a damaged cache", "delete it; it is made anew") from error
