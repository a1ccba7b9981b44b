"""Folders of photographs as they come: plain ones, annotated ones, CelebA, 300W-LP."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gcnface import names
from gcnface.batch.inputs import PHOTO_SUFFIXES, check_named, collect_photos, photos_among
from gcnface.data.faces import is_validation
from gcnface.errors import GcnfaceError, PhotoError
from gcnface.io.files import open_input
from gcnface.preparing.sources import Annotation, Source

CELEBA_FOLDERS = {
    "img_align_celeba": "list_landmarks_align_celeba.txt",
    "img_celeba": "list_landmarks_celeba.txt",
}
"""Photo folders of CelebA (Liu et al. 2015) and the table of each one's five points."""
W300LP_FOLDERS = ("AFW", "HELEN", "IBUG", "LFPW")
"""Folders of 300W-LP; each may have a NAME_Flip beside it."""

Identities = Mapping[str, str]


def find_sources(arguments: Sequence[str], layout: str, identities: Identities) -> list[Source]:
    """All photographs that the arguments mean, each file once.

    Args:
        arguments: files, folders and glob patterns.
        layout: a key of `LAYOUTS` or "auto".
        identities: by name or file name; they win over the layout's own.

    Raises:
        GcnfaceError: an argument leads nowhere or is not laid out as it should be.
    """
    found: dict[Path, Source] = {}
    for argument in arguments:
        check_named(argument)
        chosen = detect_layout(Path(argument)) if layout == "auto" else layout
        if chosen != "photos" and not Path(argument).is_dir():
            raise GcnfaceError(f"{argument}: is no folder; the layout {chosen} needs one")
        for source in LAYOUTS[chosen](argument, identities):
            found.setdefault(source.file, source)
    return list(found.values())


def detect_layout(folder: Path) -> str:
    """The layout of a folder by what lies in it; "photos" when nothing else fits."""
    if _annotated_kinds(folder):
        return "annotated"
    if _celeba_photos(folder) is not None:
        return "celeba"
    if any(next(part.glob("*.mat"), None) for part in _w300lp_parts(folder)):
        return "300w-lp"
    return "photos"


def read_identities(path: Path | None) -> dict[str, str]:
    """Whom each photo shows, from a table with the columns file and identity; empty without one.

    Raises:
        GcnfaceError: the table cannot be read or lacks the columns.
    """
    rows = [] if path is None else read_rows(path, "give a CSV file file,identity")
    try:
        return {row["file"]: row["identity"] for row in rows}
    except KeyError as error:
        raise GcnfaceError(f"{path}: has no column {error}; give a CSV file with the columns file,identity") from error


def read_rows(path: Path, remedy: str) -> list[dict[str, str]]:
    """Rows of a user's CSV file.

    Raises:
        GcnfaceError: it cannot be read; `remedy` says what to do.
    """
    try:
        with io.TextIOWrapper(open_input(path, remedy=remedy), encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise GcnfaceError(f"{path}: cannot be read ({error}); {remedy}") from error


def plain_photos(argument: str, identities: Identities) -> Iterator[Source]:
    """A file, a pattern, or a folder with all its subfolders; who lies in a subfolder is the person of that name."""
    folder = Path(argument)
    if folder.is_dir():
        paths = photos_among(folder, folder.rglob("*"))
        if not paths:
            raise PhotoError(folder, "holds no photo", f"name a folder with {', '.join(sorted(PHOTO_SUFFIXES))} files")
    else:
        inputs = collect_photos([argument])
        if inputs.errors:
            raise inputs.errors[0]
        paths = list(inputs.photos)
    for path in paths:
        place = path.relative_to(folder) if folder.is_dir() else Path(path.name)
        person = path.stem if len(place.parts) == 1 else place.parent.as_posix()
        yield _source(path, place.as_posix(), person, identities)


def annotated_photos(argument: str, identities: Identities) -> Iterator[Source]:
    """``photos/`` and ``synthetic/`` with their ``*_landmarks.npz`` and ``*_parsing/``, and ``photos.csv``."""
    folder = Path(argument)
    people = {**read_identities(_if_there(folder / "photos.csv")), **identities}
    kinds = _annotated_kinds(folder)
    if not kinds:
        raise GcnfaceError(f"{folder}: holds no photos_landmarks.npz; docs/training.md describes the annotated layout")
    for kind in kinds:
        known = _stored_landmarks(folder / f"{kind}_landmarks.npz")
        on_disk = sorted(path.name for path in (folder / kind).glob("*") if path.suffix.lower() in PHOTO_SUFFIXES)
        for name in dict.fromkeys([*known, *on_disk]):
            labels = folder / f"{kind}_parsing" / f"{Path(name).stem}.png"
            yield replace(
                _source(folder / kind / name, name, Path(name).stem, people if kind == "photos" else {}),
                drawn=kind == "synthetic",
                annotation=known.get(name),
                labels=_if_there(labels),
                dropped="" if name in known else "not annotated",
            )


def celeba(argument: str, identities: Identities) -> Iterator[Source]:
    """CelebA: aligned or in-the-wild photos; the official partition says who is held out."""
    folder = Path(argument)
    photos = _celeba_photos(folder)
    if photos is None:
        raise GcnfaceError(f"{folder}: holds neither img_align_celeba nor img_celeba")
    table = _table(folder, "Anno", CELEBA_FOLDERS[photos.name])
    if table is None:
        raise GcnfaceError(f"{folder}: Anno/{CELEBA_FOLDERS[photos.name]} is missing; it comes with CelebA")
    people = _words(_table(folder, "Anno", "identity_CelebA.txt"))
    parts = _words(_table(folder, "Eval", "list_eval_partition.txt"))
    for name, *numbers in (line.split() for line in _lines(table)[2:] if line.strip()):
        points = np.array(numbers[:10], np.float32).reshape(5, 2)
        held_out = parts[name] != "0" if name in parts else None
        path = photos / name
        yield replace(
            _source(path, name, people.get(name, Path(name).stem), identities, held_out),
            annotation=Annotation(points),
            dropped="" if path.exists() else "no such file",
        )


def w300lp(argument: str, identities: Identities) -> Iterator[Source]:
    """300W-LP: NAME.jpg with NAME.mat; the views and the mirror image of a photo are one person's."""
    folder = Path(argument)
    parts = _w300lp_parts(folder)
    if not parts:
        raise GcnfaceError(f"{folder}: holds none of {', '.join(W300LP_FOLDERS)}")
    for part in parts:
        for path in sorted(part.glob("*.jpg")):
            mat = path.with_suffix(".mat")
            person = re.sub(r"_\d+$", "", path.stem)
            name = path.relative_to(folder).as_posix()
            dropped = "" if mat.exists() else "not annotated"
            yield replace(_source(path, name, person, identities), mat=_if_there(mat), dropped=dropped)


LAYOUTS: dict[str, Callable[[str, Identities], Iterator[Source]]] = dict(
    zip(names.LAYOUTS[1:], (plain_photos, annotated_photos, celeba, w300lp), strict=True)
)
"""What finds the photos, by name; "auto" chooses among them."""


def _source(path: Path, name: str, person: str, identities: Identities, held_out: bool | None = None) -> Source:
    """A source; a table of identities wins, the CRC-32 decides about held-out people where the layout does not."""
    identity = identities.get(name, identities.get(path.name, person))
    return Source(path.resolve(), name, identity, is_validation(identity) if held_out is None else held_out)


def _stored_landmarks(path: Path) -> dict[str, Annotation]:
    try:
        with open_input(path) as file, np.load(file) as data:
            rows = zip(data["name"].tolist(), data["points5"], data["landmarks468"], strict=True)
            return {name: Annotation(points5, landmarks) for name, points5, landmarks in rows}
    except (OSError, ValueError, KeyError) as error:
        raise GcnfaceError(f"{path}: expected the arrays name, points5 and landmarks468 ({error})") from error


def _if_there(path: Path) -> Path | None:
    return path if path.exists() else None


def _annotated_kinds(folder: Path) -> list[str]:
    return [kind for kind in ("photos", "synthetic") if (folder / f"{kind}_landmarks.npz").exists()]


def _celeba_photos(folder: Path) -> Path | None:
    places = (folder / parent / name for name in CELEBA_FOLDERS for parent in ("", "Img"))
    return next((place for place in places if place.is_dir()), None)


def _w300lp_parts(folder: Path) -> list[Path]:
    parts = [name + ending for name in W300LP_FOLDERS for ending in ("", "_Flip")]
    return [folder / name for name in parts if (folder / name).is_dir()]


def _table(folder: Path, part: str, name: str) -> Path | None:
    """A table of CelebA, in its own folder or beside the photos."""
    return _if_there(folder / part / name) or _if_there(folder / name)


def _words(table: Path | None) -> dict[str, str]:
    """Lines "name value" as a dictionary."""
    lines = [] if table is None else [line.split() for line in _lines(table)]
    return {words[0]: words[1] for words in lines if len(words) == 2}


def _lines(table: Path) -> list[str]:
    with io.TextIOWrapper(open_input(table), encoding="utf-8") as file:
        return file.read().splitlines()
