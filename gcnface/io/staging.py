"""Hidden folders that files are written into before they appear, and those that killed runs left behind.

A stage is locked as long as its process lives; the system lets go of the lock however the process ends. So the next run
into a folder can tell what nobody will finish from what another process is at work on.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]

PREFIX = ".gcnface-"
ABANDONED_S = 86400.0
"""Where locks tell nothing, a stage of this age is taken for left behind."""

_NAME = re.compile(re.escape(PREFIX) + r"[a-z0-9_]{8}")
_LOCK = "lock"
_SWEPT: set[Path] = set()


@contextmanager
def stage(folder: Path) -> Iterator[Path]:
    """A new hidden folder in ``folder``, removed when the block ends; what killed runs left there goes before.

    Raises:
        OSError: it cannot be made.
    """
    sweep(folder)
    path, lock = _claimed(folder)
    try:
        yield path
    finally:
        try:
            _remove(path)
        finally:  # once more: a second signal may have come between, and Windows removes no open file
            os.close(lock)
            _remove(path)


def sweep(folder: Path) -> None:
    """Remove the stages in a folder whose processes are gone; a process looks once."""
    place = folder.resolve()
    if place in _SWEPT:
        return
    _SWEPT.add(place)
    for path in place.glob(f"{PREFIX}*"):
        if _NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            _remove_abandoned(path)


def _remove(path: Path) -> None:
    """Remove a stage, its lock last: whoever is killed in between leaves one that the next run can tell."""
    for part in path.glob("*"):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        elif part.name != _LOCK:
            part.unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)


def _claimed(folder: Path) -> tuple[Path, int]:
    """A new stage and its lock, which this process holds."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
        try:
            lock = os.open(path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        except FileNotFoundError:  # another process has taken the empty folder for left behind
            continue
        except OSError:
            shutil.rmtree(path, ignore_errors=True)
            raise
        # Another process may have come between the two steps and taken the stage for left behind.
        if _try_lock(lock) is not False and (path / _LOCK).exists():
            os.write(lock, socket.gethostname().encode())
            return path, lock
        os.close(lock)
        shutil.rmtree(path, ignore_errors=True)


def _remove_abandoned(path: Path) -> None:
    """Remove a stage unless a living process may own it."""
    try:
        lock = os.open(path / _LOCK, os.O_RDWR)
    except OSError:
        if _is_old(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):  # empty: its process died before it had the lock, or after it had let go of it
                path.rmdir()
        return
    try:
        # Locks may not reach from one machine to another.
        free = _try_lock(lock) if os.read(lock, 300) == socket.gethostname().encode() else None
        if free or (free is None and _is_old(path)):
            _remove(path)
    finally:
        os.close(lock)


def _try_lock(lock: int) -> bool | None:
    """Lock an open file: True when it was free, False when another has it, None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > ABANDONED_S
    except OSError:
        return False
