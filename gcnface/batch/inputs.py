"""From what the user typed to a list of photos, and from photos to names of results."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gcnface.errors import GcnfaceError, PhotoError
from gcnface.io.files import open_input
from gcnface.io.images import is_own_picture

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif"})
"""What is taken from a folder. A file that is named itself is tried whatever its suffix."""

RESULT_ENDINGS = ("", "_overlay", "_source", "_confidence")
"""What follows a result's name in the pictures (.png) that are written beside it."""


@dataclass(frozen=True)
class Inputs:
    """What was found.

    Attributes:
        photos: in the order given, each once.
        errors: one for every argument that leads nowhere.
    """

    photos: tuple[Path, ...]
    errors: tuple[GcnfaceError, ...]


def collect_photos(arguments: Sequence[str]) -> Inputs:
    """Resolve files, folders (their own photos, not those of their subfolders) and glob patterns (``**`` included).

    Pictures that gcnface drew are no photos: folders and patterns pass over them, and one that is named is an error.
    """
    photos: dict[Path, Path] = {}
    errors: list[GcnfaceError] = []
    for argument in arguments:
        try:
            for path in _expand(argument):
                photos.setdefault(_resolved(path), path)
        except GcnfaceError as error:
            errors.append(error)
    return Inputs(tuple(photos.values()), tuple(errors))


def _expand(argument: str) -> list[Path]:
    """The files that one argument means; raises GcnfaceError when there is none."""
    check_named(argument)
    path = Path(argument)
    try:
        if path.is_dir():
            return _photos_in(path)
        if path.exists():
            return [_named_photo(path)]
    except OSError as error:
        raise PhotoError(path, f"cannot be looked at ({error.strerror})", "check the path") from error
    if not glob.has_magic(argument):
        raise PhotoError(path, "no such file", "check the path")
    matches = [Path(match) for match in sorted(glob.glob(argument, recursive=True))]
    files = [match for match in matches if match.is_file()]
    photos = [file for file in files if not is_own_picture(file)]
    if not photos:
        what = "matches nothing but pictures that gcnface drew" if files else "matches no file"
        raise PhotoError(path, what, "check the pattern")
    return photos


def check_named(argument: str) -> None:
    """Raise GcnfaceError of an empty word, which would mean the current folder to the system."""
    if not argument.strip():
        raise GcnfaceError("an empty word stands where a photo is expected; name a file, a folder or a pattern")


def _named_photo(path: Path) -> Path:
    """A file that the user named, if it is one and not a result."""
    open_input(path, PhotoError, "give a file that holds a photo").close()
    if is_own_picture(path):
        raise PhotoError(path, "is a picture that gcnface drew, not a photo", "name the photo it came from")
    return path


def _photos_in(folder: Path) -> list[Path]:
    """Photos of a folder by name, as `photos_among` has them; raises PhotoError when there is none."""
    found = photos_among(folder, folder.iterdir())
    if not found:
        raise PhotoError(folder, "holds no photo", f"name a folder with {', '.join(sorted(PHOTO_SUFFIXES))} files")
    return found


def photos_among(folder: Path, paths: Iterable[Path]) -> list[Path]:
    """Those of the paths below a folder that are photos, sorted.

    Photos are files whose suffix is one of `PHOTO_SUFFIXES`, that are not hidden nor in a hidden folder, and that
    gcnface did not draw itself.
    """
    return [
        path
        for path in sorted(paths)
        if path.suffix.lower() in PHOTO_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
        and not is_own_picture(path)
    ]


def _resolved(path: Path) -> Path:
    """The real path, or the path itself where that cannot be found out (a loop of links, for one)."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()


@dataclass
class ResultNames:
    """Hands out names under which results do not overwrite each other, nor any of the photos.

    Attributes:
        folder: where the results go.
        photos: never overwritten.
        endings: what may follow a name in the pictures (.png) that a result consists of.
    """

    folder: Path
    photos: Iterable[Path]
    endings: tuple[str, ...] = RESULT_ENDINGS
    _taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._protected = {_resolved(path) for path in self.photos}

    def claim(self, wanted: str) -> str:
        """``wanted``, or the first of wanted_2, wanted_3, ... that is free."""
        wanted = "".join(letter if letter.isprintable() else "_" for letter in wanted)
        wanted = "photo" if wanted in ("", ".", "..") else wanted
        name, count = wanted, 1
        while not self._is_free(name):
            count += 1
            name = f"{wanted}_{count}"
        self._taken.update(self._stems(name))
        return name

    def _is_free(self, name: str) -> bool:
        """Whether no earlier result and no photo has a file that a result of this name would write."""
        pictures = (_resolved(self.folder / f"{name}{ending}.png") for ending in self.endings)
        return self._taken.isdisjoint(self._stems(name)) and self._protected.isdisjoint(pictures)

    def _stems(self, name: str) -> tuple[str, ...]:
        """Stems of a result's files, as file systems that ignore case see them."""
        return tuple(f"{name}{ending}".casefold() for ending in ("", *self.endings))
