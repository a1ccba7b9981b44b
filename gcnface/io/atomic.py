"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gcnface.errors import OutputError


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A temporary folder inside ``folder`` whose files move into ``folder`` when the block ends without an error.

    ``folder`` is created when missing. Each file is renamed, which replaces an older one in a single step. When the
    block raises, nothing of it stays behind.

    Yields:
        The temporary folder to write into.

    Raises:
        OutputError: the folder cannot be created or written to, or a file in it cannot be replaced.
    """
    created = _create_folder(folder)
    try:
        stage = Path(tempfile.mkdtemp(prefix=".gcnface-", dir=folder))
    except OSError as error:
        _remove_empty(created)
        raise _output_error(folder, error) from error
    try:
        yield stage
        for path in sorted(stage.iterdir()):
            os.replace(path, folder / path.name)
    except OSError as error:
        raise _output_error(folder, error) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        _remove_empty(created)


def check_writable(folder: Path) -> None:
    """Create ``folder`` when missing and try a file in it.

    Raises:
        OutputError: no file can be written there.
    """
    _create_folder(folder)
    try:
        with tempfile.TemporaryFile(prefix=".gcnface-", dir=folder):
            pass
    except OSError as error:
        raise _output_error(folder, error) from error


def _create_folder(folder: Path) -> list[Path]:
    """Create the folder and its parents; those that were missing, innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
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


def _output_error(folder: Path, error: OSError) -> OutputError:
    """The user's view of a failed write."""
    reason = error.strerror or str(error)
    return OutputError(folder, f"cannot be written to ({reason})", "choose another output folder")
