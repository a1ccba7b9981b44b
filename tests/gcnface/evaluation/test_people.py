import shutil

import numpy as np
import pytest
from PIL import Image

from gcnface.data.faces import COLUMNS, is_validation
from gcnface.errors import GcnfaceError
from gcnface.evaluation.people import choose_subjects
from gcnface.options import SubjectOptions


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 20, 3), 99, np.uint8)).save(path)
    return path


@pytest.fixture
def plain(tmp_path):
    for name in ("alone.jpg", "anna/1.jpg", "anna/2.jpg", "bert/1.jpg"):
        picture(tmp_path / "plain" / name)
    return tmp_path / "plain"


@pytest.fixture
def prepared(tmp_path):
    """As `gcnface prepare` leaves it, as far as the evaluation reads it."""
    folder = tmp_path / "prepared"
    folder.mkdir()
    (folder / "canvases.npy").write_bytes(b"")
    lines = [",".join(COLUMNS)]
    for name, drawn, validation in (("a.jpg", 0, 1), ("b.jpg", 0, 0), ("c.jpg", 1, 1), ("d.jpg", 0, 1)):
        path = picture(tmp_path / "source" / name)
        lines.append(f"{name},person {name[0]},{drawn},{validation},{path}")
    (tmp_path / "source" / "d.jpg").unlink()
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_subfolder_is_a_person_and_any_other_photo_its_own(plain):
    found = choose_subjects([str(plain)])
    assert {s.name: s.person for s in found.chosen} == {
        "alone.jpg": "alone",
        "anna/1.jpg": "anna",
        "anna/2.jpg": "anna",
        "bert/1.jpg": "bert",
    }
    assert {s.held_out for s in found.chosen} == {None}
    assert found.notes == ()


def test_a_table_of_people_wins(plain, tmp_path):
    table = tmp_path / "who.csv"
    table.write_text("file,identity\nalone.jpg,anna\nanna/2.jpg,cleo\n")
    people = {s.name: s.person for s in choose_subjects([str(plain)], SubjectOptions(people=table)).chosen}
    assert people == {"alone.jpg": "anna", "anna/1.jpg": "anna", "anna/2.jpg": "cleo", "bert/1.jpg": "bert"}


def test_each_photo_once_and_no_more_than_asked_for(plain):
    twice = choose_subjects([str(plain), str(plain / "alone.jpg")])
    assert len(twice.chosen) == 4
    assert len(choose_subjects([str(plain)], SubjectOptions(limit=2)).chosen) == 2


def test_an_argument_that_leads_nowhere_does_not_stop_the_others(plain, tmp_path):
    found = choose_subjects([str(tmp_path / "gone.jpg"), str(plain)])
    assert len(found.chosen) == 4
    assert "gone.jpg" in str(found.errors[0])


def test_of_plain_photos_nobody_is_held_out(plain):
    with pytest.raises(GcnfaceError, match="--held-out"):
        choose_subjects([str(plain)], SubjectOptions(held_out=True))


def test_prepared_faces_know_who_is_held_out(prepared):
    found = choose_subjects([str(prepared)])
    assert [(s.name, s.held_out) for s in found.chosen] == [("a.jpg", True), ("b.jpg", False)]
    assert "1 of 2 photos" in found.notes[0]
    held_out = choose_subjects([str(prepared)], SubjectOptions(held_out=True))
    assert [s.name for s in held_out.chosen] == ["a.jpg"]
    assert held_out.notes == ()
    assert [s.name for s in choose_subjects([str(prepared)], SubjectOptions(drawn=True)).chosen] == [
        "a.jpg",
        "b.jpg",
        "c.jpg",
    ]


def test_prepared_faces_without_their_photos_are_refused(prepared):
    shutil.rmtree(prepared.parent / "source")
    found = choose_subjects([str(prepared)])
    assert found.chosen == ()
    assert "where it was" in str(found.errors[0])


def test_annotated_people_are_held_out_by_the_rule_of_the_trainings(tmp_path):
    names = [f"{k:05d}.jpg" for k in range(30)]
    for name in names:
        picture(tmp_path / "photos" / name)
    arrays = {"points5": np.zeros((30, 5, 2)), "landmarks468": np.zeros((30, 468, 3))}
    np.savez(tmp_path / "photos_landmarks.npz", name=np.array(names), **arrays)
    found = choose_subjects([str(tmp_path)], SubjectOptions(held_out=True)).chosen
    assert [s.name for s in found] == [name for name in names if is_validation(name[:-4])]
    assert 0 < len(found) < 30
