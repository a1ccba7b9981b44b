"""Each layout as it comes: whom a photo shows, who is held out, which points are known."""

import os

import numpy as np
import pytest
from scipy.io import savemat

from gcnface.data.faces import is_validation
from gcnface.errors import GcnfaceError
from gcnface.preparing.layouts import detect_layout, find_sources, read_identities
from gcnface.preparing.sources import annotation_of, five_of_68
from tests.gcnface.annotated_folder import DRAWN, HELD_OUT, PEOPLE, write_annotated_folder


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def sources(folder, layout="auto", identities=None):
    return {source.name: source for source in find_sources([str(folder)], layout, identities or {})}


def test_plain_folder(tmp_path):
    touch(tmp_path, "anna/1.jpg", "anna/2.JPG", "team/bert/x.png", f"{HELD_OUT}.jpg", "notes.txt", ".cache/y.jpg")
    found = sources(tmp_path)
    people = {name: source.identity for name, source in found.items()}
    assert people == {
        "anna/1.jpg": "anna",
        "anna/2.JPG": "anna",
        "team/bert/x.png": "team/bert",
        f"{HELD_OUT}.jpg": HELD_OUT,
    }
    assert [name for name, source in found.items() if source.validation] == [f"{HELD_OUT}.jpg"]


def test_a_table_says_whom_a_photo_shows(tmp_path):
    touch(tmp_path, "anna/1.jpg", "x.jpg", "y.jpg")
    (tmp_path / "who.csv").write_text(f"file,identity\n1.jpg,{HELD_OUT}\nx.jpg,carl\n")
    found = sources(tmp_path, identities=read_identities(tmp_path / "who.csv"))
    assert [found[name].identity for name in ("anna/1.jpg", "x.jpg", "y.jpg")] == [HELD_OUT, "carl", "y"]
    assert found["anna/1.jpg"].validation


@pytest.mark.parametrize("text", [None, "name,who\na,b\n"])
def test_a_table_that_cannot_be_used_is_named(tmp_path, text):
    if text:
        (tmp_path / "who.csv").write_text(text)
    with pytest.raises(GcnfaceError, match=r"who\.csv.*file,identity"):
        read_identities(tmp_path / "who.csv")


def test_pipes_are_read_as_no_table(tmp_path):
    """Not the table of people, nor those of the data sets, nor landmarks: opening one would wait for ever."""
    os.mkfifo(tmp_path / "who.csv")
    with pytest.raises(GcnfaceError, match="is a pipe, not a file; give a CSV file file,identity"):
        read_identities(tmp_path / "who.csv")
    touch(tmp_path / "people", "photos/a.jpg")
    os.mkfifo(tmp_path / "people" / "photos_landmarks.npz")
    touch(tmp_path / "stars", "img_align_celeba/000001.jpg")
    os.mkfifo(tmp_path / "stars" / "list_landmarks_align_celeba.txt")
    touch(tmp_path / "turned", "AFW/a.jpg")
    os.mkfifo(tmp_path / "turned" / "AFW" / "a.mat")
    for folder in ("people", "stars"):
        with pytest.raises(GcnfaceError, match="is a pipe, not a file"):
            sources(tmp_path / folder)
    with pytest.raises(GcnfaceError, match="is a pipe, not a file"):
        annotation_of(sources(tmp_path / "turned")["AFW/a.jpg"])


def test_each_photo_once(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg")
    arguments = [str(tmp_path / "b.jpg"), str(tmp_path), str(tmp_path / "*.jpg")]
    assert [source.name for source in find_sources(arguments, "auto", {})] == ["b.jpg", "a.jpg"]


def test_annotated_folder(tmp_path):
    folder = write_annotated_folder(tmp_path)
    touch(folder, "photos/new.jpg")
    (folder / "photos_parsing" / "p1.png").unlink()
    assert detect_layout(folder) == "annotated"
    found = sources(folder)
    assert [source.identity for source in found.values()] == [*PEOPLE, "new", *DRAWN]
    assert [source.drawn for source in found.values()] == [False] * 5 + [True] * 3
    assert [source.validation for source in found.values()] == [is_validation(s.identity) for s in found.values()]
    assert found["new.jpg"].dropped == "not annotated"
    assert found["p1.png"].labels is None
    assert found["p2.png"].labels.is_file()
    assert found["p0.png"].annotation.landmarks468.shape == (468, 3)


def celeba(folder, partition=True):
    touch(folder, "Img/img_align_celeba/000001.jpg", "Img/img_align_celeba/000002.jpg", "Anno/x", "Eval/x")
    header = "3\nlefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y ..."
    lines = [f"00000{i}.jpg  69  109  106  113   77  142   73  152  108  {153 + i}" for i in (1, 2, 3)]
    (folder / "Anno/list_landmarks_align_celeba.txt").write_text("\n".join([header, *lines]) + "\n")
    (folder / "Anno/identity_CelebA.txt").write_text("000001.jpg 2880\n000002.jpg 2937\n000003.jpg 2937\n")
    if partition:
        (folder / "Eval/list_eval_partition.txt").write_text("000001.jpg 0\n000002.jpg 2\n000003.jpg 1\n")
    return folder


def test_celeba(tmp_path):
    found = sources(celeba(tmp_path))
    assert [source.identity for source in found.values()] == ["2880", "2937", "2937"]
    assert [source.validation for source in found.values()] == [False, True, True]
    assert found["000003.jpg"].dropped == "no such file"
    expected = [[69, 109], [106, 113], [77, 142], [73, 152], [108, 154]]
    np.testing.assert_array_equal(found["000001.jpg"].annotation.points5, expected)


def test_celeba_without_its_partition_is_split_by_name(tmp_path):
    found = sources(celeba(tmp_path, partition=False))
    assert [source.validation for source in found.values()] == [is_validation(s.identity) for s in found.values()]


def test_celeba_without_landmarks_is_an_error(tmp_path):
    touch(tmp_path, "img_celeba/1.jpg")
    with pytest.raises(GcnfaceError, match=r"list_landmarks_celeba\.txt is missing"):
        sources(tmp_path)


def test_300w_lp(tmp_path):
    touch(tmp_path, "AFW/AFW_1_0.jpg", "AFW/AFW_1_12.jpg", "AFW_Flip/AFW_1_0.jpg", "IBUG/image_2_0.jpg")
    points = np.random.default_rng(0).uniform(0, 450, (68, 2)).astype(np.float32)
    for name in ("AFW/AFW_1_0", "AFW/AFW_1_12", "AFW_Flip/AFW_1_0"):
        savemat(tmp_path / f"{name}.mat", {"pt2d": points.T, "Pose_Para": np.zeros((1, 7))})
    assert detect_layout(tmp_path) == "300w-lp"
    found = sources(tmp_path)
    assert {source.identity for source in found.values()} == {"AFW_1", "image_2"}
    assert [source.dropped for source in found.values()] == ["", "", "", "not annotated"]
    annotation = annotation_of(found["AFW/AFW_1_12.jpg"])
    np.testing.assert_array_equal(annotation.landmarks68, points)
    np.testing.assert_allclose(annotation.points5[0], points[36:42].mean(0), rtol=1e-6)
    np.testing.assert_array_equal(annotation.points5[2:], points[[30, 48, 54]])


def test_a_matlab_file_without_landmarks_is_named(tmp_path):
    touch(tmp_path, "AFW/a_0.jpg")
    savemat(tmp_path / "AFW/a_0.mat", {"pt2d": np.zeros((2, 21))})
    with pytest.raises(GcnfaceError, match=r"a_0\.mat: pt2d has shape \(2, 21\), expected \(2, 68\)"):
        annotation_of(next(iter(sources(tmp_path).values())))


def test_five_of_68_keep_left_and_right():
    points = np.zeros((68, 2), np.float32)
    points[36:42], points[42:48], points[48], points[54] = (-30, 0), (30, 0), (-20, 50), (20, 50)
    five = five_of_68(points)
    assert (five[[0, 3], 0] < 0).all()
    assert (five[[1, 4], 0] > 0).all()


@pytest.mark.parametrize(
    ("layout", "text"), [("annotated", "photos_landmarks"), ("celeba", "img_align"), ("300w-lp", "AFW")]
)
def test_a_folder_of_another_layout_is_an_error(tmp_path, layout, text):
    with pytest.raises(GcnfaceError, match=text):
        sources(touch(tmp_path, "a.jpg"), layout)


def test_a_photo_is_no_folder(tmp_path):
    touch(tmp_path, "a.jpg")
    with pytest.raises(GcnfaceError, match="is no folder"):
        sources(tmp_path / "a.jpg", "celeba")


def test_nowhere(tmp_path):
    with pytest.raises(GcnfaceError, match="no such file"):
        sources(tmp_path / "nowhere")
