import json
from dataclasses import replace

import numpy as np
import pytest

from gcnface import reconstruction
from gcnface.commands.refine import FORMATS
from gcnface.errors import OutputError
from gcnface.io import bundle
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


@pytest.mark.parametrize("kind", reconstruction.FORMATS)
def test_one_format(tmp_path, kind):
    paths = make_reconstruction().save(tmp_path, "ball", [kind])
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_unknown_format(tmp_path):
    with pytest.raises(ValueError, match="unknown format stl; expected some of glb"):
        make_reconstruction().save(tmp_path, "ball", ["glb", "stl"])
    assert not list(tmp_path.iterdir())


def test_a_failure_in_the_last_format_leaves_nothing(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "write_summary", full)
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


def test_lists_of_names_agree():
    assert FORMATS == reconstruction.FORMATS
