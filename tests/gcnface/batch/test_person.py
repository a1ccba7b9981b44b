"""``gcnface refine --same-person``: one result of all photos, or one line and nothing at all."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gcnface
from gcnface import api, cli
from gcnface.batch import person as person_command
from gcnface.batch.person import refine_person
from gcnface.cli.program import status_of
from gcnface.errors import NoFaceError
from gcnface.options import ReconstructionOptions, RefineOptions
from tests.gcnface.results import make_reconstruction


class FakeFuser:
    """Doubts photos of 200 px, finds no face in those of 50 px, breaks at 666 px."""

    def __init__(self, how):
        self.how, self.names = how, []

    def __call__(self, photos, *, on_stage=None, on_photo=None, on_doubt=None):
        for photo in photos:
            on_photo and on_photo(photo.name)
            on_stage and on_stage("detect")
            width = photo.pixels.shape[1]
            if width == 50:
                raise NoFaceError(photo.name, "shows no face", "take another")
            if width == 200 and on_doubt:
                on_doubt(f"{photo.name}: does not look like the person")
            if width == 666:
                raise RuntimeError("first line\nsecond line")
        self.names = [photo.name for photo in photos]
        return make_reconstruction()


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()

    def make(name, width=120):
        Image.fromarray(np.full((40, width, 3), 99, np.uint8)).save(tmp_path / "photos" / name)
        return str(tmp_path / "photos" / name)

    return make


def run(arguments, output, formats=("json",), **options):
    wanted = RefineOptions(photos=arguments, output=output, formats=formats, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(person_command, "load_person_reconstructor", FakeFuser)
        return status_of(refine_person, wanted)


def test_one_result_named_after_the_first_photo(photos, tmp_path, capsys):
    names = [photos("b.png"), photos("a.png"), photos("c.png")]
    assert run(names, tmp_path / "out", ("glb", "json")) == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["b.glb", "b.json"]
    out, err = capsys.readouterr()
    assert out.startswith(f"{', '.join(names)} -> {tmp_path / 'out' / 'b'} (glb json)")
    assert not err


def test_a_folder_is_a_person(photos, tmp_path):
    photos("a.png"), photos("b.png")
    assert run([str(tmp_path / "photos")], tmp_path / "out") == 0
    assert os.listdir(tmp_path / "out") == ["a.json"]


def test_results_beside_the_photos_leave_them_alone(photos, tmp_path):
    path = Path(photos("a.png"))
    before = path.read_bytes()
    assert run([str(path), photos("b.png")], path.parent, ("obj",)) == 0
    assert path.read_bytes() == before
    assert (path.parent / "a_2.obj").exists()


@pytest.mark.parametrize(("name", "width"), [("nobody.png", 50), ("bug.png", 666), ("missing", 0), ("broken", 0)])
def test_one_bad_photo_is_one_line_and_nothing_is_written(photos, tmp_path, capsys, name, width):
    bad = photos(name, width) if width else str(tmp_path / f"{name}.jpg")
    if name == "broken":
        Path(bad).write_bytes(b"no picture")
    assert run([photos("a.png"), bad, photos("b.png")], tmp_path / "out") == 1
    out, err = capsys.readouterr()
    assert err.startswith("gcnface: ")
    assert err.count("\n") == 1
    assert bad in err
    assert not out
    assert not (tmp_path / "out").exists() or not os.listdir(tmp_path / "out")


def test_a_doubt_is_one_line_and_the_result_is_written(photos, tmp_path, capsys):
    assert run([photos("a.png"), photos("other.png", 200)], tmp_path / "out", quiet=True) == 0
    assert os.listdir(tmp_path / "out") == ["a.json"]
    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1
    assert err.startswith("gcnface: warning: ")
    assert "other.png: does not look like" in err


def test_the_flag_reaches_the_fusion(monkeypatch):
    seen = []
    monkeypatch.setattr(person_command, "refine_person", lambda options: seen.append(options) or 0)
    assert cli.main("refine --same-person a.jpg b.jpg -o out --formats npz --no-fit".split()) == 0
    what = {"photos": ("a.jpg", "b.jpg"), "output": Path("out"), "formats": ("npz",)}
    assert seen == [RefineOptions(**what, fit=False, same_person=True)]


def test_flags_that_do_not_go_together(capsys):
    for words in ("--all-faces", "--adapt 3"):
        with pytest.raises(SystemExit) as caught:
            cli.main(f"refine --same-person {words} a.jpg -o out".split())
        assert caught.value.code == 2
        assert f"error: {words.split()[0]} works on" in capsys.readouterr().err


def test_from_python(photos, monkeypatch):
    made = []

    def load(options):
        made.append(FakeFuser(options))
        return made[-1]

    monkeypatch.setattr(api, "load_person_reconstructor", load)
    result = gcnface.reconstruct_person([photos("a.png"), np.zeros((8, 9, 3), np.uint8)], texture_size=256)
    assert isinstance(result, gcnface.Reconstruction)
    assert made[0].how == ReconstructionOptions(texture_size=256)
    assert [name.name for name in made[0].names] == ["a.png", "photo 2, given as an array"]
    with pytest.warns(gcnface.DifferentPersonWarning, match="other.png"):
        gcnface.reconstruct_person([photos("other.png", 200)])
    with pytest.raises(ValueError, match="no photo given"):
        gcnface.reconstruct_person([])
