"""Label maps of a teacher: whole or not there, and told from those of other faces."""

import os

import numpy as np
import pytest
import torch

from gcnface.building import parsing_teacher
from gcnface.building.parsing_teacher import relabel
from gcnface.data.faces import UNKNOWN, PreparedFaces
from gcnface.errors import FileError
from gcnface.training.label_maps import load_label_maps

LANDMARKS = np.random.default_rng(0).uniform(0, 288, (6, 468, 3)).astype(np.float32)


def faces(landmarks=LANDMARKS, people="abcdef"):
    labels = np.zeros((6, 288, 288), np.uint8)
    labels[:, 0] = UNKNOWN
    return PreparedFaces(
        canvases=np.zeros((6, 288, 288, 3), np.uint8),
        labels=labels,
        landmarks=landmarks,
        names=np.array(list(people)),
        drawn=np.zeros(6, bool),
        validation=np.zeros(6, bool),
        identities=np.array(list(people)),
        files=np.array([f"{name}.jpg" for name in people]),
        canvas_from_photo=np.tile(np.eye(3), (6, 1, 1)),
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A teacher that knows nothing but noses."""
    monkeypatch.setattr(parsing_teacher, "enlarged_canvas", lambda photo, matrix: torch.zeros(3, 576, 576))
    monkeypatch.setattr(
        parsing_teacher, "teacher_labels", lambda teacher, images: np.full((len(images), 288, 288), 5, np.uint8)
    )


def test_maps_are_those_of_the_teacher_where_the_photo_is(tmp_path):
    relabel(None, faces(), tmp_path / "teacher.npy")
    maps = load_label_maps(tmp_path / "teacher.npy", faces())
    assert (maps[:, 1:] == 5).all()
    assert (maps[:, 0] == UNKNOWN).all()


@pytest.mark.parametrize("other", [faces(LANDMARKS[::-1]), faces(people="abcdeg")])
def test_maps_of_other_faces_are_refused(tmp_path, other):
    relabel(None, faces(), tmp_path / "teacher.npy")
    with pytest.raises(FileError, match=r"teacher\.npy: holds label maps of other faces; make it with"):
        load_label_maps(tmp_path / "teacher.npy", other)


def test_a_relabelling_that_breaks_off_leaves_no_file(tmp_path, monkeypatch):
    def broken(photo, matrix):
        raise KeyboardInterrupt

    monkeypatch.setattr(parsing_teacher, "enlarged_canvas", broken)
    with pytest.raises(KeyboardInterrupt):
        relabel(None, faces(), tmp_path / "teacher.npy")
    assert not os.listdir(tmp_path)


def test_a_file_without_a_note_is_held_to_the_number_of_faces(tmp_path):
    np.save(tmp_path / "own.npy", np.zeros((6, 288, 288), np.uint8))
    assert load_label_maps(tmp_path / "own.npy", faces()).shape == (6, 288, 288)
    (tmp_path / "page.npy").write_text("<html>")
    with pytest.raises(FileError, match=r"page\.npy: holds no label maps"):
        load_label_maps(tmp_path / "page.npy", faces())
