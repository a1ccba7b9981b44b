import json
from dataclasses import replace

import numpy as np
import pytest

from gcnface.errors import OutputError
from gcnface.result.files.registry import FORMATS
from render.shapes import ShapeError
from tests.gcnface.results import make_reconstruction

NAMES = [
    "ball.glb",
    "ball.obj",
    "ball.mtl",
    "ball.png",
    "ball.ply",
    "ball_overlay.png",
    "ball.npz",
    "ball.json",
    "ball.html",
    "ball_source.png",
    "ball_confidence.png",
]


def test_all_formats(tmp_path):
    paths = make_reconstruction().save(tmp_path / "out", "ball")
    assert [path.name for path in paths] == NAMES
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("kind", FORMATS)
def test_one_format(tmp_path, kind):
    paths = make_reconstruction().save(tmp_path, "ball", [kind])
    assert sorted(tmp_path.iterdir()) == sorted(paths)


@pytest.mark.parametrize("kind", ["glb", "obj", "ply", "html", "npz", "json"])
def test_one_file_holds_what_the_set_holds(tmp_path, kind):
    face = make_reconstruction()
    paths = face.save(str(tmp_path / "one" / f"ball.{kind}"))
    together = face.save(tmp_path / "set", "ball", kind)
    assert [path.name for path in paths] == [path.name for path in together]
    assert sorted((tmp_path / "one").iterdir()) == sorted(paths)
    if kind != "json":  # that tells how long writing took
        assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in together]


def test_one_file_leaves_its_neighbours(tmp_path):
    face = make_reconstruction()
    before = {path: path.read_bytes() for path in face.save(tmp_path, "ball", ["json", "npz", "ply"])}
    assert face.save(tmp_path / "ball.GLB", formats="glb") == [tmp_path / "ball.GLB"]
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.suffix != ".GLB"} == before


@pytest.mark.parametrize(
    ("names", "stem"), [((), "face"), (("me.v2.jpg", "b.jpg"), "me.v2"), (("the photo given as an array",), "face")]
)
def test_a_set_is_called_as_the_photo(tmp_path, names, stem):
    face = replace(make_reconstruction(photo=False), photo_names=names)
    paths = face.save(tmp_path / "a", formats=["npz", "ply"])
    assert [path.name for path in paths] == [f"{stem}.npz", f"{stem}.ply"]
    every = [name.replace("ball", stem) for name in NAMES if "overlay" not in name]
    assert [path.name for path in face.save(tmp_path / "b")] == every


@pytest.mark.parametrize(
    ("path", "options", "says"),
    [
        ("face.stl", {}, r"face.stl: a face cannot be saved as .stl; use .glb, .obj, .ply, .html, .npz, .json"),
        ("face.png", {}, "cannot be saved as .png"),
        ("face.glb", {"formats": ["glb", "npz"]}, r"formats is glb, npz for one file"),
        ("face.glb", {"formats": "npz"}, r"formats is npz for one file"),
        ("out", {"formats": "stl"}, r"unknown format stl; expected"),
    ],
)
def test_what_cannot_be_saved_writes_nothing(tmp_path, path, options, says):
    with pytest.raises(ValueError, match=says):
        make_reconstruction().save(tmp_path / path, **options)
    assert not list(tmp_path.iterdir())


def test_folders_may_have_a_suffix(tmp_path):
    (tmp_path / "run.v2").mkdir()
    assert make_reconstruction().save(tmp_path / "run.v2", formats="ply") == [tmp_path / "run.v2" / "face.ply"]
    assert make_reconstruction().save(tmp_path / "b.glb", "x", "ply") == [tmp_path / "b.glb" / "x.ply"]


def test_what_the_repl_shows_is_one_short_line():
    face = replace(make_reconstruction(), photo_names=("a\n.jpg",))
    assert repr(face) == "<Reconstruction of a\\n.jpg: 336 vertices, 3 blendshapes, texture 64 x 64 px>"
    assert repr(face.mesh) == f"<TexturedMesh: 336 vertices, {len(face.faces)} faces, texture 64 x 64 px>"


def test_blendshapes_by_name():
    found = make_reconstruction().blendshapes
    assert found == pytest.approx({"jawOpen": 0.1, "smileLeft": 0.2, "smileRight": 0.3})
    assert all(type(value) is float for value in found.values())
    assert replace(make_reconstruction(), expression_names=()).blendshapes == {}


def test_unknown_format(tmp_path):
    with pytest.raises(ValueError, match="unknown format stl; expected some of glb"):
        make_reconstruction().save(tmp_path, "ball", ["glb", "stl"])
    assert not list(tmp_path.iterdir())


def test_a_failure_in_the_last_format_leaves_nothing(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gcnface.result.files.summary.write_json", full)
    with pytest.raises(OutputError, match="No space left"):
        make_reconstruction().save(tmp_path / "out", "ball")
    assert not list(tmp_path.iterdir())


def test_summary(tmp_path):
    make_reconstruction().save(tmp_path, "ball")
    text = (tmp_path / "ball.json").read_text()
    found = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert found["seconds"].keys() == {"detect", "fit", "write"}
    assert found["figures"] == {"psnr": 31.5, "broken": None}
    assert found["expression"]["smileLeft"] == pytest.approx(0.2)
    assert sum(found["mesh"]["texels"].values()) == pytest.approx(1, abs=1e-3)
    assert found["files"] == NAMES
    assert found["provenance"]["face_model"] == "ball"


@pytest.mark.parametrize(("name", "shape"), [("visible", (3,)), ("lighting", (27,)), ("texel_source", (8, 8))])
def test_wrong_shapes_are_named(name, shape):
    with pytest.raises(ShapeError, match=name):
        replace(make_reconstruction(), **{name: np.zeros(shape)})


def test_a_set_is_whole_or_as_it_was(tmp_path):
    """A folder stands where one of the files should: neither new files beside it nor old ones lost."""
    make_reconstruction().save(tmp_path, "ball")
    (tmp_path / "ball.ply").unlink()
    (tmp_path / "ball.ply").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(OutputError, match=r"ball.ply: is a folder"):
        replace(make_reconstruction(), timings={"other": 1.0}).save(tmp_path, "ball")
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_a_full_disk_names_the_file(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gcnface.result.files.npz.write_npz", full)
    with pytest.raises(OutputError, match=r"ball.npz: cannot be written \(No space left on device\); free some space"):
        make_reconstruction().save(tmp_path / "out", "ball")


def test_nothing_that_is_no_number_reaches_json(tmp_path):
    odd = {"a": float("nan"), "b": [float("inf"), {"c": -float("inf")}]}
    result = replace(make_reconstruction(), provenance=odd, timings={"fit": float("nan")}, figures={"x": float("inf")})
    paths = result.save(tmp_path, "ball", ["json", "glb"])
    found = json.loads(paths[0].read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert found["provenance"] == {"a": None, "b": [None, {"c": None}]}
    assert found["seconds"]["fit"] is None
    assert not {b"NaN", b"Infinity"} & set(paths[1].read_bytes().replace(b":", b" ").replace(b",", b" ").split())


NAN = float("nan")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"vertices_cam": np.full((336, 3), NAN)}, "vertices_cam holds numbers that are not finite"),
        ({"vertex_rgb": np.full((336, 3), 3.0)}, "vertex_rgb holds numbers from 3 to 3; expected numbers from -0.01"),
        ({"visible": np.full(336, "yes")}, "visible holds <U3; expected numbers"),
        ({"texel_source": np.full((64, 64), 260)}, "texel_source holds numbers from 260"),
        ({"translation": np.array([0, 0, -5.0])}, "reach -5 mm"),
        ({"px_from_cam": np.zeros((3, 3))}, "px_from_cam cannot be inverted"),
        ({"expression_names": ("a", "b")}, "2 names for 3 units"),
        ({"expression_names": ("a", "b", "b")}, "names twice"),
        ({"vertex_light": np.full((336, 3), NAN)}, "vertex_light holds numbers that are not finite"),
    ],
)
def test_wrong_values_are_named(changes, says):
    with pytest.raises(ValueError, match=says):
        replace(make_reconstruction(), **changes)
