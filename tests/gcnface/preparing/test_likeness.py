"""Who looks like a held-out person trains nothing, under whatever name and in whatever order photos come."""

import csv

import numpy as np
import pytest

from gcnface.data.faces import is_validation, load_prepared
from gcnface.errors import FileError
from gcnface.preparing import likeness
from gcnface.preparing.likeness import ALIKE, FILE, hold_out_alike, read_alike
from gcnface.preparing.shards import rows_of, write_table
from tests.gcnface.annotated_folder import write_prepared_faces


def unit(*numbers):
    vector = np.zeros(512, np.float32)
    vector[: len(numbers)] = numbers
    return vector / np.linalg.norm(vector)


def names_of(held_out):
    return (name for index in range(1000) if is_validation(name := f"person{index}") == held_out)


@pytest.fixture
def folder(tmp_path):
    """Six faces: a held-out one, another photo of it under another name, with a second photo that looks otherwise,
    somebody else, a drawn face that looks like the first, and one just below the bound."""
    data = write_prepared_faces(tmp_path)
    held_out, other = names_of(held_out=True), names_of(held_out=False)
    twin, somebody, drawn, near = (next(other) for _ in range(4))
    near_first = unit(ALIKE - 0.01, np.sqrt(1 - (ALIKE - 0.01) ** 2))
    people = [
        (next(held_out), "0", unit(1)),
        (twin, "0", unit(1, 0, 0.1)),
        (twin, "0", unit(0, 0, 1)),
        (somebody, "0", unit(0, 0, 0, 1)),
        (drawn, "1", unit(1)),
        (near, "0", near_first),
    ]
    rows = [
        {
            "name": f"{k}.jpg",
            "identity": name,
            "drawn": flag,
            "validation": str(int(is_validation(name))),
            "file": str(k),
        }
        for k, (name, flag, _) in enumerate(people)
    ]
    for path in data.glob("*.npy"):
        array = np.load(path)
        np.save(path, array[np.arange(len(rows)) % len(array)])
    np.save(data / "embeddings.npy", np.stack([embedding for *_, embedding in people]))
    write_table(data / "table.csv", rows)
    return data


def test_all_photos_of_a_lookalike_are_held_out_and_no_others(folder):
    alike = hold_out_alike(folder)
    assert [(likeness.name, likeness.like) for likeness in alike] == [("1.jpg", "0.jpg")]
    assert alike[0].similarity == pytest.approx(1 / np.sqrt(1.01), abs=1e-4)
    assert load_prepared(folder).validation.tolist() == [True, True, True, False, False, False]
    assert read_alike(folder) == alike


def test_a_second_look_changes_nothing_and_holds_out_nobody_further(folder):
    np.save(
        folder / "embeddings.npy", np.stack([unit(1), unit(1, 0.5), unit(0, 1), unit(0, 0, 1), unit(1), unit(1, 3)])
    )
    first = hold_out_alike(folder)
    before = (folder / "table.csv").read_bytes(), (folder / FILE).read_bytes()
    assert hold_out_alike(folder) == first
    assert ((folder / "table.csv").read_bytes(), (folder / FILE).read_bytes()) == before
    assert not load_prepared(folder).validation[5]  # like 1.jpg and 2.jpg, which are held out by likeness alone


def test_who_no_longer_looks_alike_trains_again(folder):
    hold_out_alike(folder)
    np.save(folder / "embeddings.npy", np.stack([unit(*np.eye(6)[k]) for k in range(6)]))
    assert hold_out_alike(folder) == []
    assert load_prepared(folder).validation.tolist() == [True, False, False, False, False, False]


def test_faces_come_in_blocks(folder, monkeypatch):
    whole = likeness.find_alike(load_prepared(folder), load_prepared(folder).validation)
    monkeypatch.setattr(likeness, "_BLOCK", 2)
    assert likeness.find_alike(load_prepared(folder), load_prepared(folder).validation) == whole


def test_without_embeddings_or_held_out_people_nothing_happens(folder):
    rows = [row | {"validation": "0"} for row in rows_of(load_prepared(folder))]
    write_table(folder / "table.csv", rows)
    assert hold_out_alike(folder) == []
    (folder / "embeddings.npy").unlink()
    assert hold_out_alike(folder) == []
    assert not (folder / FILE).exists()


def test_a_damaged_list_is_named(folder):
    with (folder / FILE).open("w", newline="") as file:
        csv.writer(file).writerows([["name", "like", "similarity"], ["1.jpg", "0.jpg", "much"]])
    with pytest.raises(FileError, match=f"{FILE}: cannot be read"):
        hold_out_alike(folder)
