"""What users may have to hear: one root for all packages; a message names the file and the remedy in one line."""

from __future__ import annotations

from pathlib import Path


def printable(text: object) -> str:
    """Text as one line that is safe on a terminal: what a terminal would obey (control characters) is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))


class GcnfaceError(Exception):
    """Base of all errors that are raised for the user's sake rather than the programmer's."""


class FileError(GcnfaceError):
    """Something about one file.

    Args:
        path: the file.
        what: is wrong with it, continuing the sentence that the path begins.
        remedy: what to do about it.
    """

    def __init__(self, path: str | Path, what: str, remedy: str) -> None:
        super().__init__(f"{printable(path)}: {_line(what)}; {_line(remedy)}")
        self.path, self.what, self.remedy = Path(path), what, remedy

    def __reduce__(self) -> tuple[type, tuple[Path, str, str]]:
        """Made again from its parts where it crosses from one process to another."""
        return type(self), (self.path, self.what, self.remedy)


class PhotoError(FileError):
    """A photo is missing or cannot be read."""


class VideoError(FileError):
    """A video or a camera is missing or cannot be read."""


class NoFaceError(FileError):
    """A photo shows no face that can be found."""


class LowQualityError(NoFaceError):
    """What is found in a photo cannot be believed to be a face, or to be found right.

    Args:
        path: the photo.
        what: is wrong with it, continuing the sentence that the path begins.
        remedy: what to do about it.
        quality: `gcnface.FaceQuality` of the face, where it is known.
    """

    def __init__(self, path: str | Path, what: str, remedy: str, quality: object = None) -> None:
        super().__init__(path, what, remedy)
        self.quality = quality

    def of(self, path: str | Path) -> LowQualityError:
        """The same of a photo whose name is known by now."""
        return type(self)(path, self.what, self.remedy, self.quality)

    def __reduce__(self) -> tuple[type, tuple[Path, str, str, object]]:  # type: ignore[override]
        """Made again from its parts where it crosses from one process to another."""
        return type(self), (self.path, self.what, self.remedy, self.quality)


class OutputError(FileError):
    """A result cannot be written."""


class ResultError(FileError):
    """A file of results cannot be read back."""


class WeightsError(FileError, ValueError):
    """A file of weights, or a checkpoint, is missing, damaged or of something else."""


class DeviceError(GcnfaceError, ValueError):
    """A device that this machine does not have, or that torch here cannot use."""


class MissingPackageError(GcnfaceError, ImportError):
    """A package that gcnface works without, and that is asked for by name, is not installed."""


class DivergedError(GcnfaceError):
    """A training's loss or weights are no longer finite."""


class LowQualityWarning(UserWarning):
    """Some of the faces that were asked for are left out, since they cannot be believed."""


class DifferentPersonWarning(UserWarning):
    """Photos that were given as one person's seem to show two."""


def _line(text: str) -> str:
    return printable(" ".join(text.split()))
