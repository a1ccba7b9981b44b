"""Which photos are measured, and whom they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gcnface.data.faces import read_table
from gcnface.errors import GcnfaceError
from gcnface.options import SubjectOptions
from gcnface.preparing.layouts import detect_layout, find_sources, read_identities


@dataclass(frozen=True)
class Subject:
    """A photo to measure.

    Attributes:
        file: the photo.
        name: what it is called in its folder.
        person: whom it shows.
        held_out: whether no training may use this person; None of plain photos, of which nobody has said.
    """

    file: Path
    name: str
    person: str
    held_out: bool | None


@dataclass(frozen=True)
class Subjects:
    """What was found.

    Attributes:
        chosen: in the order given.
        errors: one for every argument that leads nowhere.
        notes: what a reader of the report should know about the choice.
    """

    chosen: tuple[Subject, ...]
    errors: tuple[GcnfaceError, ...]
    notes: tuple[str, ...]


def choose_subjects(arguments: Sequence[str], choice: SubjectOptions | None = None) -> Subjects:
    """The photos that the arguments mean.

    Args:
        arguments: image files, glob patterns, folders of photos (a subfolder is a person), folders that `gcnface
            prepare` reads (annotated ones, CelebA, 300W-LP) or has written.
        choice: which are wanted; None takes all but drawn ones.

    Raises:
        GcnfaceError: the table of people cannot be read, or held-out people are asked for where nobody is.
    """
    choice = choice or SubjectOptions()
    identities = read_identities(choice.people)
    found: dict[Path, Subject] = {}
    errors: list[GcnfaceError] = []
    for argument in arguments:
        try:
            for subject in _subjects(argument, identities, choice):
                found.setdefault(subject.file, subject)
        except GcnfaceError as error:
            errors.append(error)
    subjects = list(found.values())
    if choice.held_out:
        if subjects and all(s.held_out is None for s in subjects):
            raise GcnfaceError(
                "--held-out: of plain photos nobody can tell who was trained on; give an annotated or prepared folder"
            )
        subjects = [s for s in subjects if s.held_out]
    subjects = subjects[: choice.limit]
    trained = sum(s.held_out is False for s in subjects)
    note = (
        f"{trained} of {len(subjects)} photos show people whom the networks may have been trained on; "
        "--held-out leaves them out"
    )
    return Subjects(tuple(subjects), tuple(errors), (note,) if trained else ())


def _subjects(argument: str, identities: dict[str, str], choice: SubjectOptions) -> list[Subject]:
    """The photos of one argument that can be used."""
    folder = Path(argument)
    if (folder / "table.csv").is_file() and (folder / "canvases.npy").is_file():
        return _prepared(folder, identities, choice)
    layout = detect_layout(folder)
    sources = [
        s for s in find_sources([argument], layout, identities) if not s.dropped and (choice.drawn or not s.drawn)
    ]
    if not sources:
        raise GcnfaceError(f"{argument}: holds no photo that can be used; --drawn takes drawn faces as well")
    return [Subject(s.file, s.name, s.identity, None if layout == "photos" else s.validation) for s in sources]


def _prepared(folder: Path, identities: dict[str, str], choice: SubjectOptions) -> list[Subject]:
    """The photos that a prepared data set was made of."""
    subjects = []
    for row in read_table(folder):
        file, name = Path(row["file"]), row["name"]
        if (choice.drawn or row["drawn"] != "1") and file.is_file():
            person = identities.get(name, identities.get(file.name, row["identity"]))
            subjects.append(Subject(file, name, person, row["validation"] == "1"))
    if not subjects:
        raise GcnfaceError(f"{folder}: none of the photos it was made of is where it was; name their folder instead")
    return subjects
