"""What is said of errors that nobody foresaw."""

from __future__ import annotations

from gcnface.errors import GcnfaceError, printable


def failed(subject: object, error: Exception) -> str:
    """The line about something that an error stopped."""
    return f"{printable(subject)}: failed ({reason(error)}); run again with --debug to see where"


def reason(error: Exception) -> str:
    """What a user can make of an error; those that were not foreseen are named by their type."""
    if isinstance(error, GcnfaceError):
        return str(error)
    if isinstance(error, ImportError) and "cannot open shared object file" in str(error):
        return f"{error}; OpenCV needs system libraries, on Debian and Ubuntu: apt install libgl1 libglib2.0-0"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
