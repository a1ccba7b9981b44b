"""Names that a photo may have, in every format that writes names."""

import json
import os
import re
import struct

import numpy as np
import pytest
import trimesh

import gcnface
from gcnface.batch.inputs import ResultNames
from gcnface.errors import OutputError
from gcnface.result.files.bundle import file_names
from gcnface.result.files.obj import companion_stem
from tests.gcnface.results import make_mesh, make_reconstruction

PLAIN = ["ball", "photo.v2", "Müller", "写真", "a_b-c", "x+y(1)", "a,b", "émile"]
ODD = [
    "my photo",
    " blank ",
    "a#b",
    "a\\b",
    "back\\",
    'say "cheese"',
    "it's",
    "-rf",
    "100%",
    "%41",
    "a&b",
    "<b>",
    "a;b",
    "a:b",
    "$HOME",
    "what?",
    "*",
    "a\u00a0b",
    "{}",
    "{companion}",
    "name\nv 1 2 3",
    "tab\tbed",
    "\x1b[31m",
    "surrogate\udcff",
]


def references(path):
    """What an OBJ file and its material refer to, as readers find it that end a name at a blank or a comment."""
    text = path.read_text(encoding="utf-8")
    materials = re.findall(r"^mtllib (.*)$", text, re.MULTILINE)
    assert len(materials) == 1
    textures = re.findall(r"^map_Kd (.*)$", (path.parent / materials[0]).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(textures) == 1
    for name in (*materials, *textures):
        assert re.split(r"[\s#\\]", name)[0] == name
        assert not name.startswith("-")
    return path.parent / materials[0], path.parent / textures[0]


@pytest.mark.parametrize("name", PLAIN + ODD)
def test_an_obj_of_any_name_finds_its_material_and_texture(tmp_path, name):
    paths = make_reconstruction().save(tmp_path, name, ["obj"])
    assert sorted(paths) == sorted(tmp_path.iterdir())
    assert list(references(paths[0])) == paths[1:]
    read = trimesh.load(paths[0], process=False)
    assert read.faces.shape == make_mesh().faces.shape
    assert np.array_equal(np.asarray(read.visual.material.image)[..., :3], make_mesh().texture_8bit)


@pytest.mark.parametrize("name", PLAIN)
def test_plain_names_stay(name):
    assert file_names(name, ["obj"]) == [f"{name}.obj", f"{name}.mtl", f"{name}.png"]


def test_two_names_never_become_one():
    names = ["a b", "a_b", "a#b", "a\\b", "a  b", "a__b", "a'b"]
    assert len({companion_stem(name) for name in names}) == len(names)


def test_odd_names_do_not_replace_each_other_nor_a_photo(tmp_path):
    for name in ("a b", "a_b"):
        make_mesh().save(tmp_path / f"{name}.obj")
    assert len(list(tmp_path.iterdir())) == 6
    (tmp_path / f"{companion_stem('c d')}.png").write_bytes(b"my photo")
    with pytest.raises(OutputError, match="is in the way"):
        make_mesh().save(tmp_path / "c d.obj")


@pytest.mark.parametrize("name", ODD)
def test_the_other_formats_carry_any_name(tmp_path, name):
    result = make_reconstruction()
    paths = result.save(tmp_path, name, ["glb", "html", "json", "npz", "ply"])
    glb = paths[0].read_bytes()
    length = struct.unpack("<I", glb[12:16])[0]
    assert json.loads(glb[20 : 20 + length])["meshes"][0]["name"] == name
    title = re.search(r"<title>(.*?)</title>", paths[1].read_text(encoding="utf-8"), re.DOTALL)[1]
    assert not set(title) & set("<>\"'\n\x1b")
    assert json.loads(paths[2].read_text(encoding="utf-8"))["name"] == name
    assert np.array_equal(gcnface.load(paths[3]).mesh.uv, result.mesh.uv)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "/tmp/a", "a\0b"])
def test_a_name_that_leaves_its_folder_is_refused(tmp_path, name):
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="name is .*; expected what files can be called, without a folder"):
        make_reconstruction().save(tmp_path / "out", name, ["npz"])
    assert os.listdir(tmp_path) == ["out"]
    assert not os.listdir(tmp_path / "out")


def test_the_names_that_photos_get_are_such(tmp_path):
    names = ResultNames(tmp_path)
    for wanted in (*PLAIN, *ODD):
        make_reconstruction().save(tmp_path, names.claim(wanted), ["json"])
