"""``gcnface align`` with an aligner that knows the answer."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gcnface import cli
from gcnface.cli import commands
from gcnface.dense import aligner as dense
from gcnface.dense.aligned_face import OUTPUTS, file_names
from gcnface.names import QUALITY_FLOOR
from tests.gcnface.dense_stub import TURNED, drawn, exact_aligner, shared_model


@pytest.fixture(scope="module")
def face():
    return exact_aligner([TURNED], texture_size=64)(drawn(shared_model()[0], [TURNED]))[0]


@pytest.fixture
def loads(monkeypatch, face):
    """Stands in for the networks: as many faces as the photo is hundreds of pixels wide; 666 px are too much."""
    made = []

    def aligner(photo, *, on_stage=None):
        if photo.shape[1] == 666:
            raise RuntimeError("too much")
        on_stage("detect")
        return [face] * (photo.shape[1] // 100)

    monkeypatch.setattr(dense, "load_aligner", lambda *options: made.append(options) or aligner)
    return made


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()

    def make(name, width=120):
        Image.fromarray(np.full((40, width, 3), 99, np.uint8)).save(folder / name)
        return str(folder / name)

    return make


def run(*words):
    return cli.main(["align", *map(str, words)])


def test_no_flag_is_all_of_them(loads, photos, tmp_path, capsys):
    assert run(photos("a.png"), "-o", tmp_path / "out") == 0
    assert sorted(os.listdir(tmp_path / "out")) == [
        "a_depth.json",
        "a_depth.png",
        "a_kpt.txt",
        "a_kpt468.txt",
        "a_mesh.glb",
        "a_overlay.png",
        "a_pose.json",
        "a_position_map.npy",
        "a_texture.png",
    ]
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert "a.png -> " in out
    assert not err


def test_chosen_outputs_and_options(loads, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("render.devices.resolve_device", torch.device)
    words = ["--pose", "--kpt", "--all-faces", "--device", "cuda:1", "--texture-size", 512, "-q"]
    assert run(photos("a.png", 230), "-o", tmp_path / "out", *words) == 0
    names = [f"{face}_{file}" for face in ("a", "a_face2") for file in ("kpt.txt", "kpt468.txt", "pose.json")]
    assert sorted(os.listdir(tmp_path / "out")) == sorted(names)
    assert loads == [("cuda:1", 512, True, "joint", QUALITY_FLOOR)]


def test_one_photos_failure_is_not_anothers(loads, photos, tmp_path, capsys):
    wrong = [str(tmp_path / "missing.jpg"), photos("nobody.png", 50), photos("bug.png", 666)]
    assert run(wrong[0], photos("a.png"), *wrong[1:], photos("b.png"), "-o", tmp_path / "out", "--pose") == 1
    assert sorted(os.listdir(tmp_path / "out")) == ["a_pose.json", "b_pose.json"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    for line, path in zip(lines, wrong, strict=True):
        assert line.startswith(f"gcnface: {path}: ")


def test_results_beside_the_photos_replace_none(loads, photos, tmp_path):
    photos("a_depth.png"), photos("a.jpg")
    folder = tmp_path / "photos"
    before = (folder / "a_depth.png").read_bytes()
    assert run(folder / "a.jpg", folder / "a_depth.png", "-o", folder, "--depth") == 0
    assert (folder / "a_depth.png").read_bytes() == before
    assert (folder / "a_2_depth.png").exists()
    assert (folder / "a_depth_depth.png").exists()


def test_weights_that_are_missing_are_told_once(photos, tmp_path, capsys, monkeypatch):
    def fail(*options):
        raise ValueError("position_map.safetensors: missing")

    monkeypatch.setattr(dense, "load_aligner", fail)
    assert run(photos("a.png"), photos("b.png"), "-o", tmp_path / "out") == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "networks cannot be loaded" in line


@pytest.mark.parametrize("words", ["a.jpg", "a.jpg -o out --texture-size 10", "a.jpg -o out --mask", "-o out"])
def test_wrong_usage_is_two(words, capsys):
    with pytest.raises(SystemExit) as caught:
        run(*words.split())
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: gcnface")


def test_outputs_are_those_that_faces_can_save():
    assert all(f"--{name}" in commands.end_of_help(commands.align) for name in OUTPUTS)


def test_manual_names_every_flag_and_file():
    manual = (Path(__file__).parents[3] / "docs" / "align.md").read_text(encoding="utf-8")
    words = [*(f"--{name}" for name in OUTPUTS), *file_names("NAME")]
    assert [word for word in words if f"`{word}`" not in manual] == []
