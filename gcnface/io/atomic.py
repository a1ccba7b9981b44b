"""Files that appear whole and together, or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gcnface.errors import OutputError
from gcnface.io.staging import PREFIX, stage

_REMEDIES = {
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.ENOSPC: "free some space on the disk, or choose another output folder",
    errno.EDQUOT: "free some space on the disk, or choose another output folder",
    errno.EFBIG: "choose an output folder on a disk that takes larger files",
}
_REMEDY = "choose another output folder"


@contextmanager
def staged(folder: Path, last: str | None = None) -> Iterator[Path]:
    """A temporary folder inside ``folder`` whose files move into ``folder`` when the block ends without an error.

    ``folder`` is created when missing. When the block raises, or one of the files cannot take its place, nothing of
    them stays behind and older files of these names are as they were. Only a process that is killed (or a machine that
    stops) while the files move, which takes about a millisecond, leaves some of them; ``last`` tells then.

    Args:
        folder: where the files go.
        last: name of the file that marks the others as complete: an older one goes before the others move, the new one
            comes after them.

    Yields:
        The temporary folder to write into.

    Raises:
        OutputError: the folder cannot be created or written to, or a file in it cannot be written or replaced.
    """
    created = _create_folder(folder)
    try:
        with stage(folder) as place:
            new, old = place / "new", place / "old"
            new.mkdir()
            old.mkdir()
            yield new
            _move_in(new, old, folder, last)
    except OSError as error:
        path = _concerned(error, folder)
        raise _output_error(path, error, "cannot be written to" if path == folder else "cannot be written") from error
    finally:
        _remove_empty(created)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Have errors of the block that name no file, such as that of a full disk, name this one."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno or 0, error.strerror or str(error), str(path)) from error


def check_writable(folder: Path) -> list[Path]:
    """Create ``folder`` when missing and try a file in it.

    Returns:
        The folders that were created, innermost first.

    Raises:
        OutputError: no file can be written there.
    """
    created = _create_folder(folder)
    try:
        with tempfile.TemporaryFile(prefix=PREFIX, dir=folder):
            return created
    except OSError as error:
        _remove_empty(created)
        raise _output_error(folder, error) from error


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """`check_writable`; a folder that was created for it and is empty when the block ends goes again.

    Raises:
        OutputError: no file can be written there.
    """
    created = check_writable(folder)
    try:
        yield
    finally:
        _remove_empty(created)


def _move_in(new: Path, old: Path, folder: Path, last: str | None) -> None:
    """Move all files of ``new`` into the folder, or none; ``old`` keeps what they replace until all are there."""
    names = sorted(os.listdir(new), key=lambda name: (name == last, name))
    for name in names:
        if (folder / name).is_dir():
            raise OutputError(folder / name, "is a folder where a file is to be", "move it away or choose another name")
    try:
        if last in names and os.path.lexists(folder / last):
            os.replace(folder / last, old / last)
        for name in names:
            _keep(folder / name, old / name)
            os.replace(new / name, folder / name)
    except BaseException:
        for name in names:
            _take_back(name, new, old, folder)
        raise


def _keep(path: Path, copy: Path) -> None:
    """Keep a file that is about to be replaced: by a second name, or moved where the disk knows no second names."""
    if not os.path.lexists(path):
        return
    if not path.is_symlink():
        with suppress(OSError):
            os.link(path, copy)
            return
    os.replace(path, copy)


def _take_back(name: str, new: Path, old: Path, folder: Path) -> None:
    """Undo what was done to one name."""
    with suppress(OSError):
        if os.path.lexists(old / name):
            os.replace(old / name, folder / name)
        elif not os.path.lexists(new / name):
            (folder / name).unlink()


def _create_folder(folder: Path) -> list[Path]:
    """Create the folder and its parents; those that were missing, innermost first."""
    missing: list[Path] = []
    try:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove_empty(missing)
        raise _output_error(folder, error) from error
    return missing


def _remove_empty(folders: list[Path]) -> None:
    """Remove those folders that are empty."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def _concerned(error: OSError, folder: Path) -> Path:
    """The file in the folder that an error is about, or the folder where it does not tell."""
    for name in (error.filename2, error.filename):
        if isinstance(name, str | os.PathLike):
            path = Path(os.fspath(name))
            if path.parent == folder or path.parent.parent.parent == folder:
                return folder / path.name
    return folder


def _output_error(path: Path, error: OSError, what: str = "cannot be written to") -> OutputError:
    """The user's view of a failed write."""
    reason = error.strerror or str(error)
    return OutputError(path, f"{what} ({reason})", _REMEDIES.get(error.errno or 0, _REMEDY))
