"""What users of gcnface may have to hear; each message is one line that names the file and the remedy."""

from __future__ import annotations

from pathlib import Path


class GcnfaceError(Exception):
    """Base of all errors that gcnface raises for the user's sake rather than the programmer's."""


class _FileError(GcnfaceError):
    """Something about one file.

    Args:
        path: the file.
        what: is wrong with it, continuing the sentence that the path begins.
        remedy: what to do about it.
    """

    def __init__(self, path: str | Path, what: str, remedy: str) -> None:
        super().__init__(" ".join(f"{path}: {what}; {remedy}".split()))
        self.path, self.what, self.remedy = Path(path), what, remedy


class PhotoError(_FileError):
    """A photo is missing or cannot be read."""


class NoFaceError(_FileError):
    """A photo shows no face that can be found."""


class OutputError(_FileError):
    """A result cannot be written."""


class DifferentPersonWarning(UserWarning):
    """Photos that were given as one person's seem to show two."""
