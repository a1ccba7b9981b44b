"""NumPy arrays out of files that nobody vouches for: what a file says of an array is looked at before it is unpacked.

NumPy's own reader unpacks what the header asks for, whatever that is, and every entry of an archive that is named.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    rb"\{'descr': '([<>|][biufU]\d{1,9})', 'fortran_order': (False|True), "
    rb"'shape': \(((?:\d{1,18}, ?)*(?:\d{1,18})?)\), \} *\n"
)
"""What `numpy.save` writes of plain arrays; others are structured, or pickled objects."""
_BYTES = {"b": (1,), "u": (1,), "i": (4, 8), "f": (4, 8)}
"""Sizes of the numbers that our files hold, by kind; text has any length."""
_HARMLESS_FLAGS = 0b1000_0000_1110
"""Of a zip entry: how hard it was packed, sizes behind the data, a name in UTF-8. Others mean encryption or patches."""


@dataclass(frozen=True)
class Header:
    """What an array's file says of it.

    Attributes:
        dtype: its type.
        shape: its shape.
        fortran: whether its first index runs fastest.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool

    @property
    def nbytes(self) -> int:
        """How many bytes follow."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes]) -> Header:
    """Read the beginning of a .npy file.

    Raises:
        ValueError: it is none, or not of plain numbers or text.
    """
    start = stream.read(len(_MAGIC) + 2)
    text = stream.read(int.from_bytes(start[-2:], "little")) if start.startswith(_MAGIC) else b""
    found = _HEADER.fullmatch(text)
    if not found:
        raise ValueError("it is no plain array")
    kind, size = found[1][1:2].decode(), int(found[1][2:])
    if size not in _BYTES.get(kind, (size,)):
        raise ValueError(f"it is an array of {found[1].decode()}")
    shape = tuple(int(side) for side in found[3].split(b",") if side.strip())
    return Header(np.dtype(found[1].decode()), shape, found[2] == b"True")


def read_content(stream: IO[bytes], header: Header) -> NDArray[Any]:
    """Read the array behind its header, and find the stream's end there.

    Truth values come as uint8, so that bytes other than 0 and 1 can be found.

    Raises:
        ValueError: there is less, or more.
    """
    content = bytearray(stream.read(header.nbytes))
    if len(content) != header.nbytes or stream.read(1):
        raise ValueError(f"it does not hold what {header.shape} of {header.dtype} take")
    dtype = np.dtype(np.uint8) if header.dtype.kind == "b" else header.dtype
    return np.frombuffer(content, dtype).reshape(header.shape, order="F" if header.fortran else "C")


class Archive:
    """A .npz file whose arrays are looked at before any is read; see `opened`."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        self._entries: dict[str, list[zipfile.ZipInfo]] = {}
        for entry in file.infolist():
            self._entries.setdefault(entry.filename, []).append(entry)

    @property
    def names(self) -> list[str]:
        """Names of what it holds."""
        return [name.removesuffix(".npy") for name in self._entries if name.endswith(".npy")]

    def header(self, name: str) -> Header:
        """What the file says of an array.

        Raises:
            ValueError: there is no such array or there are two, it is packed in a way that numpy does not use, or its
                size is not that of its header.
        """
        with self._opened(name) as stream:
            header = read_header(stream)
            size = stream.tell() + header.nbytes
        if self._entry(name).file_size != size:
            raise ValueError(f"{name} has another size than its header says")
        return header

    def read(self, name: str) -> NDArray[Any]:
        """Read an array; look at its `header` before.

        Raises:
            ValueError: as for `header`, or the array is cut off.
            zipfile.BadZipFile: its checksum is wrong.
        """
        with self._opened(name) as stream:
            return read_content(stream, read_header(stream))

    @contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        entry = self._entry(name)
        try:
            with self._file.open(entry) as stream:
                yield stream
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    def _entry(self, name: str) -> zipfile.ZipInfo:
        entries = self._entries.get(f"{name}.npy", [])
        if len(entries) != 1:
            raise ValueError(f"{name} is there twice" if entries else f"{name} is missing")
        entry = entries[0]
        packed = entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if not packed or entry.flag_bits & ~_HARMLESS_FLAGS:
            raise ValueError(f"{name} is packed in another way or encrypted")
        return entry


@contextmanager
def opened(file: BinaryIO) -> Iterator[Archive]:
    """The archive in an opened .npz file.

    Raises:
        zipfile.BadZipFile: it is no archive.
    """
    with zipfile.ZipFile(file) as archive:
        yield Archive(archive)
