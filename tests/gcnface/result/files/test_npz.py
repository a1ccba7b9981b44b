import json
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

import gcnface
from gcnface.errors import GcnfaceError
from gcnface.result.files.npz import FILE_LAYOUT
from gcnface.result.mesh import ARRAY_FIELDS
from gcnface.result.quality import FaceQuality, QualityMeasures
from tests.gcnface.results import ARRAYS, PHOTO_HW, make_reconstruction

DOCUMENTED = {
    "vertices_cam": ("V", 3),
    "faces": ("F", 3),
    "px_from_cam": (3, 3),
    "vertex_rgb": ("V", 3),
    "vertex_rgb_coarse": ("V", 3),
    "vertex_albedo": ("V", 3),
    "visible": ("V",),
    "landmarks68": (68, 3),
    "landmarks468": (468, 3),
    "lighting": (9, 3),
    "identity": (80,),
    "expression": (3,),
    "albedo": (40,),
    "rotation": (3,),
    "translation": (3,),
    "crop_from_photo": (3, 3),
}


@pytest.fixture
def path(tmp_path):
    make_reconstruction().save(tmp_path, "ball", ["npz"])
    return tmp_path / "ball.npz"


def test_everything_comes_back_equal(path):
    written, read = make_reconstruction(), gcnface.load(path)
    for name in ARRAYS:
        assert np.array_equal(getattr(read, name), getattr(written, name)), name
        assert getattr(read, name).dtype == getattr(written, name).dtype
    for name in ARRAY_FIELDS:
        assert np.array_equal(getattr(read.mesh, name), getattr(written.mesh, name)), name
    assert read.photo_hw == PHOTO_HW
    for name in ("expression_names", "photo_hw", "photo_names", "face_model", "timings", "provenance"):
        assert getattr(read, name) == getattr(written, name)
    assert read.figures["psnr"] == 31.5
    assert np.isnan(read.figures["broken"])
    assert read.photo is None


def test_the_quality_comes_back(tmp_path):
    quality = FaceQuality(0.42, ("near profile",), QualityMeasures(yaw_deg=77.5))
    replace(make_reconstruction(), quality=quality).save(tmp_path, "ball", ["npz"])
    read = gcnface.load(tmp_path / "ball.npz").quality
    assert (read.value, read.reasons, read.measures.named()) == (0.42, ("near profile",), {"yaw_deg": 77.5})


def test_older_files_tell_no_quality(path):
    assert gcnface.load(path).quality is None


def test_no_field_is_forgotten():
    origin = {"photo_hw", "photo_names", "face_model"}
    known = {*ARRAYS, *origin, "mesh", "expression_names", "timings", "figures", "provenance", "photo", "quality"}
    assert {field.name for field in fields(make_reconstruction())} == known


def test_plain_numpy_reads_the_documented_arrays(path):
    sizes = {"V": len(make_reconstruction().mesh.vertices), "F": len(make_reconstruction().faces)}
    with np.load(path, allow_pickle=False) as arrays:
        for name, shape in DOCUMENTED.items():
            assert arrays[name].shape == tuple(sizes.get(size, size) for size in shape), name


def test_every_array_is_documented(path):
    text = (Path(__file__).parents[4] / "docs" / "outputs.md").read_text()
    with np.load(path) as arrays:
        assert [name for name in arrays.files if f"`{name}`" not in text] == []


def test_the_documented_shapes_are_those_that_files_are_held_to():
    text = (Path(__file__).parents[4] / "docs" / "outputs.md").read_text()
    rows = [row.split("|")[1:3] for row in text.split("## NAME.npz")[1].splitlines() if row.startswith("| `")]
    found = {}
    for keys, shapes in rows:
        found.update(zip(re.findall(r"`(\w+)`", keys), re.findall(r"\(([^)]*)\)", shapes) or [""], strict=True))
    assert {key: shape.replace(",", " ").split() for key, shape in found.items()} == {
        key: layout.shape.split() for key, layout in FILE_LAYOUT.items()
    }


def test_the_file_draws_the_face_back_over_the_photo(path):
    with np.load(path) as arrays:
        point = arrays["px_from_cam"] @ arrays["vertices_cam"][0]
    assert np.allclose(point[:2] / point[2], make_reconstruction().px_from_cam[:2, 2], atol=120)


def test_numpy_numbers_in_the_figures_are_fine(tmp_path):
    result = replace(make_reconstruction(), figures={"psnr": np.float32(31)}, timings={"fit": np.float64(2)})
    result.save(tmp_path, "x", ["npz", "json"])
    assert gcnface.load(tmp_path / "x.npz").figures == {"psnr": 31.0}


def test_a_loaded_result_is_saved_again(path, tmp_path):
    gcnface.load(path).save(tmp_path / "again", "ball", ["npz", "glb", "json"])
    assert np.array_equal(gcnface.load(tmp_path / "again" / "ball.npz").mesh.uv, make_reconstruction().mesh.uv)


@pytest.mark.parametrize("content", [None, b"", b"not a zip", "other npz", "cut off"])
def test_what_cannot_be_read_is_one_line(tmp_path, path, content):
    bad = tmp_path / "bad.npz"
    if content == "other npz":
        np.savez(bad, a=1)
    elif content == "cut off":
        bad.write_bytes(path.read_bytes()[:5000])
    elif content is not None:
        bad.write_bytes(content)
    with pytest.raises(GcnfaceError, match=r"bad.npz: .*gcnface refine") as caught:
        gcnface.load(bad)
    assert "\n" not in str(caught.value)


def test_a_file_from_before_several_photos_is_read(tmp_path, path):
    arrays = dict(np.load(path))
    for name in ("skin_tone", "texel_photo", "texel_confidence", "vertex_light"):
        del arrays[name]
    np.savez(tmp_path / "old.npz", **arrays)
    read = gcnface.load(tmp_path / "old.npz")
    assert np.array_equal(read.texel_photo, np.isin(read.texel_source, (1, 2)))
    assert np.array_equal(read.texel_confidence, np.where(read.texel_source == 1, 255, 0))
    assert read.vertex_light is None
    assert np.allclose(read.shading, 1, atol=1e-5)


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ({"photo": "a.jpg"}, ("a.jpg",)),
        ({"photo": "a.jpg", "photos": ["a.jpg", "b.jpg"]}, ("a.jpg", "b.jpg")),
        ({"photo": 7}, ()),
        ({}, ()),
    ],
)
def test_a_file_that_tells_its_photo_in_the_provenance_alone_is_read(tmp_path, path, told, names):
    arrays = dict(np.load(path))
    known = json.loads(str(arrays["metadata"]))
    for name in ("photo_hw", "photo_names", "face_model"):
        del known[name]
    known["provenance"] = {**told, "photo_hw": [30, 40], "face_model": "old"}
    np.savez(tmp_path / "old.npz", **{**arrays, "metadata": np.array(json.dumps(known))})
    read = gcnface.load(tmp_path / "old.npz")
    assert (read.photo_hw, read.photo_names, read.face_model) == ((30, 40), names, "old")


def test_nothing_is_read_from_the_provenance_of_a_newer_file(tmp_path):
    told = {"photo_hw": [9, 9], "photos": ["x.jpg"], "face_model": "x"}
    replace(make_reconstruction(), photo_names=("a.jpg",), provenance=told).save(tmp_path, "x", ["npz"])
    read = gcnface.load(tmp_path / "x.npz")
    assert (read.photo_hw, read.photo_names, read.face_model) == (PHOTO_HW, ("a.jpg",), "ball")


def test_a_newer_format_says_so(tmp_path, path):
    arrays = dict(np.load(path))
    arrays["metadata"] = np.array(json.dumps({**json.loads(str(arrays["metadata"])), "format": 99}))
    np.savez(tmp_path / "new.npz", **arrays)
    with pytest.raises(GcnfaceError, match="format 99.*install a newer"):
        gcnface.load(tmp_path / "new.npz")
