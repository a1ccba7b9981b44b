"""Files that a user names: opened here, and only when they are files, so that nothing waits on a pipe or a device."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from gcnface.errors import FileError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


LARGEST_BYTES = 4_000_000_000
"""No input comes near; a file that claims more, such as a sparse one of terabytes, would be read for hours."""


def open_input(path: str | Path, error: type[FileError] = FileError, remedy: str = "give a file") -> BinaryIO:
    """Open a regular file for reading, at once or not at all.

    What it is is asked before it is opened, since opening some devices has effects, and again afterwards, since another
    program may have changed it in between; opening a pipe without waiting never blocks.

    Args:
        path: the file.
        error: what is raised when it cannot be opened.
        remedy: what to do when it is something else than a file.

    Raises:
        FileError: of the kind `error`: there is no such file, it is none, is larger than `LARGEST_BYTES`, or may not be
            read.
    """
    path = Path(path)
    try:
        _check_regular(path, os.stat(path), error, remedy)
        file = open(path, "rb", opener=_without_waiting)
    except FileNotFoundError as cause:
        raise error(path, "no such file", f"check the path, or {remedy}") from cause
    except (OSError, ValueError) as cause:
        reason = getattr(cause, "strerror", None) or str(cause)
        raise error(path, f"cannot be opened ({reason})", "check the path and the permissions") from cause
    try:
        _check_regular(path, os.fstat(file.fileno()), error, remedy)
    except FileError:
        file.close()
        raise
    return file


def _check_regular(path: Path, found: os.stat_result, error: type[FileError], remedy: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise error(path, f"is {_KINDS.get(stat.S_IFMT(found.st_mode), 'something else')}, not a file", remedy)
    if found.st_size > LARGEST_BYTES:
        raise error(path, f"is too large ({found.st_size / 1e9:.0f} GB)", remedy)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
