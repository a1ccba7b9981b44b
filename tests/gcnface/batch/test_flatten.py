"""``gcnface flatten`` with a flattener that is quick: files, names, the mean, failures, the exit status."""

import numpy as np
import pytest
import torch
from PIL import Image

from gcnface import cli
from gcnface.batch import flatten as flatten_command
from gcnface.batch.flatten import flatten_photos
from gcnface.dense.flattener import FlattenedFace
from gcnface.errors import NoFaceError
from gcnface.options import FlattenOptions

SIZE = 16


class FakeFlattener:
    """Flattens to the photo's first colour, seen on its half; a photo 33 px wide has no face, one of 66 px breaks."""

    def __init__(self, device, *, size, detector, least_quality):
        self.size = size

    def __call__(self, photo, *, name, on_stage):
        on_stage("detect")
        if photo.shape[1] == 33:
            raise NoFaceError(name, "shows no face that can be found", "try another")
        if photo.shape[1] == 66:
            raise RuntimeError("broken")
        mask = np.zeros((self.size, self.size), bool)
        mask[:, : self.size // 2 if photo[0, 0, 0] < 0.5 else self.size] = True
        texture = photo[0, 0] * mask[..., None]
        zero = np.zeros(3, np.float32)
        return FlattenedFace(
            texture.astype(np.float32), mask, zero, 1.0, zero[:2], zero, zero, np.zeros((468, 2)), np.eye(3)
        )


@pytest.fixture
def photo(tmp_path):
    def make(name, gray=100, width=20):
        path = tmp_path / "photos" / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((20, width, 3), gray, np.uint8)).save(path)
        return str(path)

    return make


def run(photos, output, make=FakeFlattener, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flatten_command, "Flattener", make)
        return flatten_photos(FlattenOptions(photos=photos, output=output, size=SIZE, **options))


def read(path):
    return np.asarray(Image.open(path)).astype(int)


def test_every_photo_gives_its_picture(photo, tmp_path, capsys):
    out = tmp_path / "out"
    assert run([photo("a.png"), photo("b.png", 200)], out) == 0
    assert sorted(path.name for path in out.iterdir()) == ["a_flat.png", "b_flat.png"]
    picture = read(out / "a_flat.png")
    assert picture.shape == (SIZE, SIZE, 4)
    assert (picture[:, : SIZE // 2] == [100, 100, 100, 255]).all()
    assert (picture[:, SIZE // 2 :] == 0).all()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "a_flat.png, 50 % seen" in lines[0]


def test_mean_of_one_person(photo, tmp_path, capsys):
    out = tmp_path / "out"
    assert run([photo("a.png"), photo("b.png", 200)], out, mean="anna") == 0
    mean, mask = read(out / "anna_mean.png"), read(out / "anna_mean_mask.png")
    assert (mean[:, : SIZE // 2] == [150, 150, 150, 255]).all()
    assert (mean[:, SIZE // 2 :] == [200, 200, 200, 255]).all()
    assert (mask[:, : SIZE // 2] == 255).all()
    assert (mask[:, SIZE // 2 :] == 128).all()
    assert "2 photos -> " in capsys.readouterr().out.splitlines()[-1]


def test_failures_leave_the_others_and_the_mean(photo, tmp_path, capsys):
    out = tmp_path / "out"
    names = [photo("empty.png", width=33), photo("a.png"), photo("broken.png", width=66), "missing.png"]
    assert run(names, out, mean="anna") == 1
    assert sorted(path.name for path in out.iterdir()) == ["a_flat.png", "anna_mean.png", "anna_mean_mask.png"]
    errors = capsys.readouterr().err
    for text in ("empty.png: shows no face", "broken.png: failed (RuntimeError: broken)", "missing.png: no such file"):
        assert text in errors


def test_no_face_at_all_gives_no_mean(photo, tmp_path):
    assert run([photo("empty.png", width=33)], tmp_path / "out", mean="anna") == 1
    assert not list((tmp_path / "out").glob("*mean*"))


def test_no_photo_is_replaced(photo, tmp_path):
    folder = tmp_path / "photos"
    paths = [photo("a.png"), photo("a_flat.png", 7), photo("anna_mean.png", 9), photo("sub_a.jpg")]
    before = {path: (tmp_path / "photos" / path).read_bytes() for path in ("a.png", "a_flat.png", "anna_mean.png")}
    assert run(paths, folder, mean="anna") == 0
    for name, content in before.items():
        assert (folder / name).read_bytes() == content
    assert {"a_2_flat.png", "anna_2_mean.png", "a_flat_flat.png"} <= {path.name for path in folder.iterdir()}


def test_quiet_says_nothing(photo, tmp_path, capsys):
    assert run([photo("a.png")], tmp_path / "out", mean="anna", quiet=True) == 0
    assert capsys.readouterr().out == ""


def test_missing_networks_stop_the_run(photo, tmp_path, capsys):
    def fail(device, *, size, detector, least_quality):
        raise ValueError("stn.safetensors: localiser weights are missing")

    assert run([photo("a.png"), photo("b.png")], tmp_path / "out", fail) == 1
    assert capsys.readouterr().err.count("weights are missing") == 1


def test_arguments_reach_the_command(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("render.devices.resolve_device", torch.device)
    monkeypatch.setattr(flatten_command, "flatten_photos", lambda options: asked.append(options) or 0)
    words = ["flatten", "a.jpg", "b.jpg", "-o", str(tmp_path), "--size", "128", "--mean", "anna", "-q"]
    assert cli.main([*words, "--device", "mps"]) == 0
    assert asked == [
        FlattenOptions(photos=["a.jpg", "b.jpg"], output=tmp_path, size=128, mean="anna", device="mps", quiet=True)
    ]


@pytest.mark.parametrize(
    "words", [["--size", "63"], ["--size", "8"], ["--size", "big"], ["--mean", "a/b"], ["--mean", ""], ["--frame", "1"]]
)
def test_wrong_usage_is_two(words, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["flatten", "a.jpg", "-o", "out", *words])
    assert caught.value.code == 2
    assert words[0] in capsys.readouterr().err
