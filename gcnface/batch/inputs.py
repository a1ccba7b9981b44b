"""From what the user typed to photos, one after the other, and from photos to names of results.

Nothing here grows with the number of photos but the names of results, one short text a photo.
"""

from __future__ import annotations

import glob
import heapq
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

from gcnface.errors import GcnfaceError, PhotoError
from gcnface.io.files import open_input
from gcnface.io.images import is_own_picture

Item = TypeVar("Item")

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif"})
"""What is taken from a folder. A file that is named itself is tried whatever its suffix."""

RESULT_ENDINGS = ("", "_overlay", "_source", "_confidence")
"""What follows a result's name in the pictures (.png) that are written beside it."""

CHUNK = 20_000
"""Names of a folder that are held at once; a larger folder is read once for each so many."""

_OF_FACE = re.compile(r"(.+)_face\d+")


@dataclass(frozen=True)
class Inputs:
    """What was found.

    Attributes:
        photos: in the order of the arguments, those of a folder by name, each once; found as they are taken.
        errors: one for every argument that leads nowhere.
    """

    photos: Iterator[Path]
    errors: tuple[GcnfaceError, ...]


def collect_photos(arguments: Sequence[str]) -> Inputs:
    """Resolve files, folders (their own photos, not those of their subfolders) and glob patterns (``**`` included).

    Pictures that gcnface drew are no photos: folders and patterns pass over them, and one that is named is an error.
    A link to a photo that a folder gives anyway is left out.
    """
    sources: list[Path | list[Path]] = []
    errors: list[GcnfaceError] = []
    for argument in arguments:
        try:
            sources.append(_expand(argument))
        except GcnfaceError as error:
            errors.append(error)
    return Inputs(_each_once(sources), tuple(errors))


def _photos_in(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Each photo in a folder, read from the disk now, and whether it is a plain file and no link to one."""
    for name, is_plain in _sorted_names(folder):
        path = folder / name
        if (is_plain or path.is_file()) and not is_own_picture(path):
            yield path, is_plain


def _sorted_names(folder: Path) -> Iterator[tuple[str, bool]]:
    """Names in a folder that photos may have, sorted, `CHUNK` at a time; and whether they are plain files."""
    last = ""
    while True:
        with os.scandir(folder) as found:
            entries = (entry for entry in found if entry.name > last and _may_be_photo(entry.name))
            names = heapq.nsmallest(CHUNK, ((entry.name, entry.is_file(follow_symlinks=False)) for entry in entries))
        yield from names
        if len(names) < CHUNK:
            return
        last = names[-1][0]


def _may_be_photo(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in PHOTO_SUFFIXES


def _each_once(sources: Iterable[Path | list[Path]]) -> Iterator[Path]:
    """All photos of folders and lists; only links and files that come from no folder are remembered one by one."""
    folders: set[Path] = set()
    others: set[Path] = set()
    for source in sources:
        folder = _resolved(source) if isinstance(source, Path) else None
        if folder in folders:
            continue
        folders |= {folder} if folder else set()
        for path, is_plain in _photos_in(source) if isinstance(source, Path) else ((path, False) for path in source):
            if folder and is_plain:
                if not others or folder / path.name not in others:
                    yield path
                continue
            target = _resolved(path)
            if target not in others and not (target.parent in folders and _may_be_photo(target.name)):
                others.add(target)
                yield path


def _expand(argument: str) -> Path | list[Path]:
    """The folder or the files that one argument means; raises GcnfaceError when there is no photo."""
    check_named(argument)
    path = Path(argument)
    try:
        if path.is_dir():
            if next(_photos_in(path), None) is None:
                remedy = f"name a folder with {', '.join(sorted(PHOTO_SUFFIXES))} files"
                raise PhotoError(path, "holds no photo", remedy)
            return path
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


def photos_among(folder: Path, paths: Iterable[Path]) -> list[Path]:
    """Those of the paths below a folder that are photos, sorted.

    Photos are files whose suffix is one of `PHOTO_SUFFIXES`, that are not hidden nor in a hidden folder, and that
    gcnface did not draw itself.
    """
    return [
        path
        for path in sorted(paths)
        if _may_be_photo(path.name)
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


def shard(text: str | None, every: Iterable[Item]) -> Iterator[Item]:
    """Of ``K/N`` every N-th item from the K-th on, as `gcnface.options.BatchOptions` has it; all without a text."""
    which, of = map(int, (text or "1/1").split("/"))
    return islice(every, which - 1, None, of)


@dataclass
class ResultNames:
    """Hands out names under which results do not overwrite each other, nor pictures that gcnface did not draw.

    Attributes:
        folder: where the results go.
        endings: what may follow a name in the pictures (.png) that a result consists of.
        all_faces: a photo may have results NAME_face2, NAME_face3, ... beside NAME; none of these is given to another.
    """

    folder: Path
    endings: tuple[str, ...] = RESULT_ENDINGS
    all_faces: bool = False
    _taken: set[str] = field(default_factory=set)
    _with_faces: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._looks = self.folder.is_dir() and any(self.folder.iterdir())  # what comes later into an empty one is ours

    def claim(self, wanted: str) -> str:
        """``wanted``, or the first of wanted_2, wanted_3, ... that is free."""
        wanted = "".join(letter if letter.isprintable() else "_" for letter in wanted)
        wanted = "photo" if wanted in ("", ".", "..") else wanted
        name, count = wanted, 1
        while self._is_taken(name) or (self._looks and in_the_way(self.folder, name, self.endings)):
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name.casefold())
        if self.all_faces:
            self._with_faces.update(_photos_of(self._bases(name)))
        return name

    def _is_taken(self, name: str) -> bool:
        """Whether a file of a result of this name, in whatever case, may be one of an earlier result."""
        bases = self._bases(name)
        if not self._taken.isdisjoint(bases) or not self._with_faces.isdisjoint(bases):
            return True
        return self.all_faces and not self._taken.isdisjoint(_photos_of(bases))

    def _bases(self, name: str) -> set[str]:
        """Names of results that would share a file with this one."""
        files = [f"{name}{ending}".casefold() for ending in ("", *self.endings)]
        return {file.removesuffix(ending) for file in files for ending in ("", *self.endings)}


def _photos_of(names: set[str]) -> set[str]:
    """The results beside which results of these names would be further faces."""
    return {found[1] for name in names if (found := _OF_FACE.fullmatch(name))}


def in_the_way(folder: Path, name: str, endings: Sequence[str]) -> bool:
    """Whether a result of this name would overwrite a picture that gcnface did not draw, such as a photo."""
    pictures = (os.path.join(folder, f"{name}{ending}.png") for ending in endings)
    return any(os.path.isfile(picture) and not is_own_picture(Path(picture)) for picture in pictures)
