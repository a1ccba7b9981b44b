import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from gcnface import cli
from gcnface.batch import render as render_command
from gcnface.options import RenderOptions
from gcnface.result.files.overlay import BACKGROUND
from tests.gcnface.results import make_head, make_reconstruction


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    make_reconstruction(photo=False).save(folder, "ball", ["npz"])
    return folder / "ball.npz"


@pytest.fixture(scope="module")
def head_npz(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    make_head().save(folder, "head", ["npz"])
    return folder / "head.npz"


def run(*words):
    return cli.main(["render", *map(str, words)])


def test_a_picture_with_a_transparent_background(npz, tmp_path, capsys):
    assert run(npz, "-o", tmp_path / "new" / "a.png", "--size", 96) == 0
    picture = Image.open(tmp_path / "new" / "a.png")
    assert (picture.mode, picture.size) == ("RGBA", (96, 96))
    assert picture.getpixel((0, 0)) == (0, 0, 0, 0)
    assert picture.getpixel((48, 48))[3] == 255
    out, err = capsys.readouterr()
    assert out.startswith(f"{npz} -> {tmp_path / 'new' / 'a.png'} (96 x 96 px), ")
    assert not err


@pytest.mark.parametrize(
    ("background", "expected"),
    [("white", (255, 255, 255)), ("#102030", (16, 32, 48)), ("picture", (10, 200, 30)), (None, None)],
)
def test_backgrounds(npz, tmp_path, background, expected):
    Image.new("RGB", (70, 50), (10, 200, 30)).save(tmp_path / "behind.png")
    words = ["--background", tmp_path / "behind.png" if background == "picture" else background] if background else []
    assert run(npz, "-o", tmp_path / "a.jpg", "--size", "80x60", "-q", *words) == 0
    picture = np.asarray(Image.open(tmp_path / "a.jpg"), float)
    assert picture.shape == (60, 80, 3)
    assert np.allclose(picture[0, 0], expected or np.array(BACKGROUND) * 255, atol=4)


def test_the_photo_s_view(npz, tmp_path):
    face = make_reconstruction(photo=False)
    path = tmp_path / "x.npz"
    from dataclasses import replace

    replace(face, photo_hw=(240, 320)).save(tmp_path, "x", ["npz"])
    assert run(path, "-o", tmp_path / "a.png", "--view", "photo", "--size", 160) == 0
    assert Image.open(tmp_path / "a.png").size == (160, 120)
    assert run(npz, "-o", tmp_path / "b.png", "--view", "photo") == 1


def test_light_pose_and_expression_reach_the_picture(head_npz, tmp_path):
    def picture(*words):
        assert run(head_npz, "-o", tmp_path / "a.png", "--size", 64, "-q", *words) == 0
        return np.asarray(Image.open(tmp_path / "a.png"), float)

    plain = picture()
    other = [
        picture("--light", "left"),
        picture("--yaw", -30),
        picture("--pitch", 20),
        picture("--roll", 20),
        picture("--expression", "jawOpen=1", "mouthSmileLeft=0.5"),
        picture("--neutral"),
        picture("--yaw", 30, "--light-follows"),
    ]
    for k, one in enumerate(other):
        assert np.abs(one - plain).max() > 4, k
        assert all(np.abs(one - two).max() > 4 for two in other[:k]), k
    assert np.array_equal(picture("--expression", "jawOpen=0"), plain)


def test_the_same_as_from_python(head_npz, tmp_path):
    assert run(head_npz, "-o", tmp_path / "a.png", "--size", 64, "--yaw", 25, "--light", "top", "-q") == 0
    drawing = make_head().relit("top").rotated(yaw=25, upright=True).draw(64)
    found = np.asarray(Image.open(tmp_path / "a.png"), float) / 255
    assert np.abs(found - drawing.rgba).max() < 0.02


def test_a_turntable(npz, tmp_path, capsys):
    assert run(npz, "--turntable", tmp_path / "a.mp4", "--size", 64, "--seconds", "0.2", "--background", "red") == 0
    assert "(6 frames, " in capsys.readouterr().out
    reader = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    seen = [reader.read()[1] for _ in range(6)]
    assert not reader.read()[0]
    assert np.abs(seen[0].astype(int) - seen[-1]).mean() < 2
    assert seen[0][2, 2, 2] > 200 > 60 > seen[0][2, 2, 0]
    assert os.listdir(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["missing.npz", "-o", "a.png"], "no such file; pass the NAME.npz"),
        (["NPZ", "-o", "a.png", "--light", "sunste"], "did you mean sunset"),
        (["NPZ", "-o", "a.png", "--light", "missing.json"], "no such file"),
        (["NPZ", "-o", "a.png", "--expression", "jawOpne=1"], r"'jawOpne' (near: jawOpen)"),
        (["NPZ", "-o", "a.png", "--background", "nothing"], "neither a colour nor a file"),
        (["NPZ", "-o", "a.png", "--background", "missing.png"], "no such file"),
        (["NPZ", "-o", "NPZ/a.png"], "cannot be written to"),
        (["NPZ", "--turntable", "NPZ/a.mp4", "--seconds", "0.1"], "cannot be written to"),
    ],
)
def test_errors_are_one_line(npz, tmp_path, capsys, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    assert run(*(word.replace("NPZ", str(npz)) for word in words), "--size", 32) == 1
    err = capsys.readouterr().err
    assert err.startswith("gcnface: ")
    assert says in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        "",
        "a.npz",
        "a.npz -o a.gif",
        "a.npz --turntable a.avi",
        "a.npz -o a.png --yaw left",
        "a.npz -o a.png --expression jawOpen",
        "a.npz -o a.png --expression jawOpen=wide",
        "a.npz -o a.png --size 9",
        "a.npz -o a.png --size 9000x100",
        "a.npz -o a.png --view side",
        "a.npz -o a.jpg --background transparent",
        "a.npz --turntable a.mp4 --background Transparent",
        "a.npz --turntable a.mp4 --seconds 0",
    ],
)
def test_wrong_usage_is_two(words, capsys):
    try:
        status = run(*words.split())
    except SystemExit as leaving:
        status = leaving.code
    assert status == 2
    assert "error: " in capsys.readouterr().err


def test_arguments_reach_the_options(monkeypatch):
    seen = []
    monkeypatch.setattr(render_command, "render", lambda options: seen.append(options) or 0)
    words = "a.npz -o b.png --turntable c.mp4 --yaw -3 --pitch 4 --roll 5 --light top --light-follows --neutral -q"
    more = "--expression jawOpen=0.5 mouthClose=1 --expression jawLeft=-1 --view photo --size 40x30 --background red"
    assert run(*words.split(), *more.split(), "--seconds", "2", "--debug") == 0
    units = {"jawOpen": 0.5, "mouthClose": 1.0, "jawLeft": -1.0}
    paths = (Path("a.npz"), Path("b.png"), Path("c.mp4"))
    face, output, video = paths
    turn = {"yaw": -3.0, "pitch": 4.0, "roll": 5.0, "light": "top", "light_follows": True, "seconds": 2.0}
    look = {"expression": units, "neutral": True, "view": "photo", "size": (30, 40), "background": "red"}
    said = {"quiet": True, "debug": True}
    assert seen == [RenderOptions(face=face, output=output, turntable=video, **turn, **look, **said)]


def changed(npz, path, **changes):
    """A copy of a result with some arrays changed."""
    with np.load(npz) as archive:
        np.savez(path, **{**archive, **changes})
    return path


@pytest.mark.parametrize("key", ["vertices", "normals", "rotation", "lighting", "vertex_light", "translation", "uv"])
def test_a_face_of_nan_is_one_line_and_no_picture(npz, tmp_path, capsys, key):
    with np.load(npz) as archive:
        bad = changed(npz, tmp_path / "bad.npz", **{key: np.full_like(archive[key], np.nan)})
    assert run(bad, "-o", tmp_path / "a.png", "--turntable", tmp_path / "a.mp4", "--size", 32) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"gcnface: {bad}: cannot be read as a reconstruction (")
    assert err.count("\n") == 1
    assert os.listdir(tmp_path) == ["bad.npz"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deep.json", b"[" * 100_000),
        ("nan.json", b"[[NaN, 1, 2]]"),
        ("latin.json", b"\xe9"),
        ("flat.json", b"[1, 2, 3]"),
        ("cut.npz", b"PK\x03\x04"),
        ("cut.npy", b"\x93NUMPY\x01\x00\xff\xff{"),
        ("huge.hdr", b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 60000 +X 120000\n"),
        ("cut.png", b"\x89PNG\r\n\x1a\n"),
    ],
)
def test_a_bad_light_is_named_and_not_the_face(npz, tmp_path, capsys, name, content):
    (tmp_path / name).write_bytes(content)
    assert run(npz, "-o", tmp_path / "a.png", "--light", tmp_path / name, "--size", 32) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"gcnface: {tmp_path / name}: ")
    assert err.count("\n") == 1
    assert str(npz) not in err


def test_what_the_face_does_not_know_names_its_file(npz, tmp_path, capsys):
    assert run(npz, "-o", tmp_path / "a.png", "--view", "photo") == 1
    assert capsys.readouterr().err.startswith(f"gcnface: {npz}: the size of this face's photo is not known")


def test_a_face_whose_units_are_not_known_is_drawn_but_not_changed(head_npz, tmp_path, capsys):
    bare = changed(head_npz, tmp_path / "bare.npz", expression_names=np.zeros(0, np.str_))
    assert run(bare, "-o", tmp_path / "a.png", "--size", 32, "-q") == 0
    assert run(bare, "-o", tmp_path / "b.png", "--neutral", "--size", 32) == 1
    assert "units are not those of" in capsys.readouterr().err
    with np.load(head_npz) as archive:
        rotated = changed(head_npz, tmp_path / "turned.npz", expression_names=archive["expression_names"][::-1])
    assert run(rotated, "-o", tmp_path / "b.png", "--expression", "jawOpen=1", "--size", 32) == 1
    assert "units are not those of" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["folder.png", "a" * 300 + ".png"])
def test_a_picture_that_cannot_be_is_named(npz, tmp_path, capsys, place):
    (tmp_path / "folder.png").mkdir()
    assert run(npz, "-o", tmp_path / place, "--size", 32) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"gcnface: {tmp_path / place}: ")
    assert "move it away" in err or "shorter name" in err
    assert os.listdir(tmp_path) == ["folder.png"]
