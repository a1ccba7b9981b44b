import gc
import os
import shutil
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gcnface.batch import inputs as inputs_module
from gcnface.batch import loop
from gcnface.batch.inputs import ResultNames, collect_photos
from gcnface.batch.loop import PhotoResult
from gcnface.batch.worker import TaskResult
from gcnface.errors import GcnfaceError
from gcnface.evaluation.people import choose_subjects
from gcnface.io.images import write_image
from gcnface.options import BatchOptions
from gcnface.preparing.layouts import find_sources


@pytest.fixture
def folder(tmp_path):
    for name in ("b.jpg", "a.PNG", "notes.txt", ".hidden.jpg", "sub/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def names(inputs):
    return [path.name for path in inputs.photos]


def test_a_folder_gives_its_photos_without_subfolders(folder):
    inputs = collect_photos([str(folder)])
    assert names(inputs) == ["a.PNG", "b.jpg"]
    assert not inputs.errors


def test_patterns(folder):
    assert names(collect_photos([f"{folder}/*.jpg"])) == ["b.jpg"]
    assert names(collect_photos([f"{folder}/**/*.jpg"])) == ["b.jpg", "c.jpg"]


def test_a_file_with_the_letters_of_a_pattern_is_that_file(folder):
    (folder / "me[1].jpg").write_bytes(b"")
    assert names(collect_photos([f"{folder}/me[1].jpg"])) == ["me[1].jpg"]


def test_a_named_file_is_tried_whatever_its_suffix(folder):
    assert names(collect_photos([str(folder / "notes.txt")])) == ["notes.txt"]


def test_each_photo_once(folder):
    (folder / "link.jpg").symlink_to(folder / "b.jpg")
    inputs = collect_photos([str(folder / "b.jpg"), str(folder), f"{folder}/b*", os.path.relpath(folder / "b.jpg")])
    assert names(inputs) == ["b.jpg", "a.PNG"]


def test_a_link_gives_way_to_the_photo_that_a_folder_gives(folder):
    (folder / "a_link.jpg").symlink_to(folder / "b.jpg")
    (folder / "sub" / "to_b.jpg").symlink_to(folder / "b.jpg")
    (folder / "sub" / "to_text.jpg").symlink_to(folder / "notes.txt")
    assert names(collect_photos([str(folder), str(folder / "sub"), str(folder)])) == [
        "a.PNG",
        "b.jpg",
        "c.jpg",
        "to_text.jpg",
    ]
    assert names(collect_photos([str(folder / "sub"), str(folder)])) == ["c.jpg", "to_b.jpg", "to_text.jpg", "a.PNG"]


def test_a_large_folder_is_read_in_pieces_in_the_same_order(folder, monkeypatch):
    for number in range(25):
        (folder / f"{number * 7 % 25}.jpg").write_bytes(b"")
    whole = names(collect_photos([str(folder)]))
    assert whole == sorted(whole)
    monkeypatch.setattr(inputs_module, "CHUNK", 4)
    assert names(collect_photos([str(folder)])) == whole


@pytest.mark.slow
@pytest.mark.parametrize("count", [40_000, pytest.param(200_000, marks=pytest.mark.exhaustive)])
def test_many_thousand_photos_are_never_held_at_once(count, tmp_path, monkeypatch):
    """All that grows is the set of names that have been given away; headers of files are not what is measured."""
    monkeypatch.setattr(inputs_module, "is_own_picture", lambda path: False)
    monkeypatch.setattr(inputs_module, "CHUNK", count // 10)  # 20,000 of 200,000, as it is
    memory = Path("/dev/shm")  # makes files in a tenth of the time
    folder = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else tmp_path))
    for number in range(count):
        os.mknod(folder / f"photo{number:06}.jpg")
    handed = []

    def stub(do, tasks, **how):
        handed.append(0)
        for task in tasks:
            handed[0] += 1
            yield TaskResult(task, PhotoResult())

    monkeypatch.setattr(loop, "run_tasks", stub)
    options = BatchOptions(photos=(str(folder),), output=tmp_path / "out", workers=2, shard="3/16")
    gc.collect()
    gc.freeze()  # else cycles are collected the later the more objects other tests have left
    tracemalloc.start()
    try:
        assert loop.work_through(options, loop.ResultFiles(lambda name: [name]), lambda: None) == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.unfreeze()
        shutil.rmtree(folder)
    assert handed == [count // 16]
    assert peak < 200 * count


def test_every_argument_that_leads_nowhere_is_named_and_the_others_stay(folder):
    (folder / "empty").mkdir()
    wrong = [str(folder / "no.jpg"), f"{folder}/*.gif", str(folder / "empty")]
    inputs = collect_photos([wrong[0], str(folder / "b.jpg"), *wrong[1:]])
    assert names(inputs) == ["b.jpg"]
    texts = [str(error) for error in inputs.errors]
    assert [text.startswith(path) for text, path in zip(texts, wrong, strict=True)] == [True] * 3
    assert ["no such file" in texts[0], "matches no file" in texts[1], "holds no photo" in texts[2]] == [True] * 3


def test_a_name_too_long_for_the_system_is_an_error_not_a_crash(folder):
    assert len(collect_photos(["x" * 5000]).errors) == 1


def claims(wanted, folder="out", **options):
    registry = ResultNames(Path(folder), **options)
    return [registry.claim(name) for name in wanted]


def test_equal_stems_get_different_names():
    assert claims(["a", "a", "a", "b"]) == ["a", "a_2", "a_3", "b"]
    assert claims(["a", "A"]) == ["a", "A_2"]
    assert claims(["a_2", "a", "a"]) == ["a_2", "a", "a_3"]


def test_a_texture_does_not_replace_an_overlay():
    assert claims(["a", "a_overlay"]) == ["a", "a_overlay_2"]
    assert claims(["a_overlay", "a"]) == ["a_overlay", "a_2"]


def test_further_faces_have_names_that_no_photo_gets():
    assert claims(["a", "a_face2", "a_face2_overlay"], all_faces=True) == ["a", "a_face2_2", "a_face2_overlay_2"]
    assert claims(["a_face2", "a"], all_faces=True) == ["a_face2", "a_2"]
    assert claims(["a", "a_face2"]) == ["a", "a_face2"]


def test_pictures_that_gcnface_did_not_draw_are_never_overwritten(tmp_path):
    for name in ("me.png", "you.jpg", "her_overlay.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    write_image(tmp_path / "us.png", np.zeros((8, 8, 3), np.float32))
    assert claims(["me", "you", "her", "us"], tmp_path) == ["me_2", "you", "her_2", "us"]
    assert claims(["me"], tmp_path / "out") == ["me"]


def test_names_hold_no_control_characters():
    assert claims(["a\nb", "c\udcff"]) == ["a_b", "c_"]


def test_names_avoid_photos_that_any_of_the_pictures_would_replace(tmp_path):
    photos = [tmp_path / "a.jpg", tmp_path / "a_depth.png"]
    for photo in photos:
        photo.write_bytes(b"")
    assert ResultNames(tmp_path, ("_depth", "_texture")).claim("a") == "a_2"
    assert ResultNames(tmp_path).claim("a") == "a"


def test_pictures_of_two_results_never_share_a_name(tmp_path):
    names = ResultNames(tmp_path, ("_depth",))
    assert [names.claim("a"), names.claim("a_depth"), names.claim("a")] == ["a", "a_depth_2", "a_2"]


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_word_does_not_mean_the_current_folder(folder, monkeypatch, empty):
    monkeypatch.chdir(folder)
    inputs = collect_photos([empty, "b.jpg"])
    assert names(inputs) == ["b.jpg"]
    assert [str(error)[:13] for error in inputs.errors] == ["an empty word"]
    with pytest.raises(GcnfaceError, match="an empty word stands where a photo is expected"):
        find_sources([empty], "auto", {})
    assert len(choose_subjects([empty]).errors) == 1


def test_pipes_and_devices_are_no_photos(folder):
    os.mkfifo(folder / "pipe.jpg")
    inputs = collect_photos([str(folder / "pipe.jpg"), "/dev/zero", str(folder)])
    assert names(inputs) == ["a.PNG", "b.jpg"]
    assert ["is a pipe" in str(inputs.errors[0]), "is a device" in str(inputs.errors[1])] == [True, True]
    assert [source.name for source in find_sources([str(folder)], "photos", {})] == ["a.PNG", "b.jpg", "sub/c.jpg"]


@pytest.fixture
def refined(folder):
    """A folder that holds results beside its photos."""
    for name in ("b.png", "b_overlay.png", "sub/c_flat.png", "drawn.jpg", "drawn.webp"):
        write_image(folder / name, np.zeros((8, 8, 3), np.float32))
    Image.new("RGB", (8, 8)).save(folder / "plain.png")
    return folder


def test_results_are_not_taken_for_photos(refined):
    assert names(collect_photos([str(refined)])) == ["a.PNG", "b.jpg", "plain.png"]
    assert names(collect_photos([f"{refined}/**/*.*g"])) == ["b.jpg", "plain.png", "c.jpg"]
    expected = ["a.PNG", "b.jpg", "plain.png", "sub/c.jpg"]
    assert [source.name for source in find_sources([str(refined)], "photos", {})] == expected
    assert [subject.name for subject in choose_subjects([str(refined)]).chosen] == expected


@pytest.mark.parametrize("name", ["b_overlay.png", "drawn.jpg", "drawn.webp"])
def test_a_result_that_is_named_is_refused_in_one_line(refined, name):
    inputs = collect_photos([str(refined / name), f"{refined}/*_overlay.*"])
    assert not list(inputs.photos)
    named, pattern = (str(error) for error in inputs.errors)
    assert named == f"{refined / name}: is a picture that gcnface drew, not a photo; name the photo it came from"
    assert "matches nothing but pictures that gcnface drew" in pattern


@pytest.mark.parametrize("wanted", ["", ".", ".."])
def test_names_that_are_folders_are_none_for_results(tmp_path, wanted):
    assert ResultNames(tmp_path).claim(wanted) == "photo"
