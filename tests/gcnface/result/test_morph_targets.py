import json
import struct
from dataclasses import replace

import numpy as np
import pytest

import gcnface
from gcnface.result.morph_targets import SMALLEST_BEND, SMALLEST_MOVE_MM
from tests.gcnface.result.files.test_gltf import dense, read
from tests.gcnface.results import make_head, make_mesh, make_reconstruction


@pytest.fixture(scope="module")
def head():
    return make_head()


@pytest.fixture(scope="module")
def targets(head):
    return tuple(head.mesh.morph_targets)


def applied(mesh, targets, weights):
    vertices = mesh.vertices.copy()
    for target in targets:
        vertices[target.moved] += weights.get(target.name, 0.0) * target.offset_mm
    return vertices


def test_all_units_by_name(head, targets):
    assert tuple(target.name for target in targets) == head.expression_names
    assert len(targets) == 52
    assert len(targets[head.expression_names.index("tongueOut")].moved) == 0


def test_weights_make_the_expression_that_the_same_numbers_make(head, targets):
    """Relative to the face's own expression, and their sum is the model's."""
    weights = {"jawOpen": 0.6, "mouthSmileLeft": 0.5, "browInnerUp": 1.0, "eyeBlinkRight": 0.8}
    expected = head.with_expression(weights).mesh
    tolerance = SMALLEST_MOVE_MM * sum(weights.values())
    assert np.abs(applied(head.mesh, targets, weights) - expected.vertices).max() <= tolerance
    assert np.abs(head.mesh.vertices - expected.vertices).max() > 20
    assert np.array_equal(applied(head.mesh, targets, {}), head.mesh.vertices)


def test_normals_follow(head, targets):
    target = targets[head.expression_names.index("jawOpen")]
    expected = head.with_expression({"jawOpen": 1.0}).mesh.normals
    bent = head.mesh.normals.copy()
    bent[target.bent] += target.normal_change
    bent /= np.linalg.norm(bent, axis=1, keepdims=True)

    def angle(normals):
        return np.degrees(np.arccos(np.clip((normals * expected).sum(1), -1, 1)))[target.bent]

    assert np.median(angle(bent)) < np.degrees(SMALLEST_BEND) * 1.5
    assert np.median(angle(head.mesh.normals)) > 2 * np.median(angle(bent))


def test_the_glb_holds_them(head, targets, tmp_path):
    head.save(tmp_path, "head", ["glb"])
    glb = (tmp_path / "head.glb").read_bytes()
    document = json.loads(glb[20 : 20 + struct.unpack_from("<I", glb, 12)[0]])
    shape = document["meshes"][0]
    assert shape["extras"]["targetNames"] == list(head.expression_names)
    primitive = shape["primitives"][0]
    position = read(glb, document, primitive["attributes"]["POSITION"]).copy()
    for name, weight in (("jawOpen", 0.7), ("mouthPucker", 0.2)):
        place = shape["extras"]["targetNames"].index(name)
        position += weight * dense(glb, document, primitive["targets"][place]["POSITION"])
    expected = head.with_expression({"jawOpen": 0.7, "mouthPucker": 0.2}).mesh
    assert np.abs(position * 1000 - expected.vertices[expected.split.vertex]).max() < SMALLEST_MOVE_MM
    replace(head.mesh, morph_targets=()).save(tmp_path / "plain.glb")
    assert b"targetNames" not in (tmp_path / "plain.glb").read_bytes()
    assert len(glb) - (tmp_path / "plain.glb").stat().st_size < 12e6


def test_a_face_of_another_model_has_none(tmp_path):
    face = make_reconstruction()
    assert len(face.mesh.morph_targets) == 0
    face.save(tmp_path, "ball", ["glb"])
    make_mesh().save(tmp_path / "plain.glb")
    assert b"targetNames" not in (tmp_path / "ball.glb").read_bytes()


def shape_of(path):
    glb = path.read_bytes()
    document = json.loads(glb[20 : 20 + struct.unpack_from("<I", glb, 12)[0]])
    return document["meshes"][0], glb[20 + struct.unpack_from("<I", glb, 12)[0] :]


def test_every_way_to_write_a_glb_writes_the_same_blendshapes(head, tmp_path):
    head.save(tmp_path, "head", "glb")
    head.save(tmp_path / "one" / "head.glb")
    head.save(tmp_path, "head", "npz")
    head.mesh.save(tmp_path / "mesh" / "head.glb")
    gcnface.load(tmp_path / "head.npz").mesh.save(tmp_path / "loaded" / "head.glb")
    assert (tmp_path / "one" / "head.glb").read_bytes() == (tmp_path / "head.glb").read_bytes()
    shape, content = shape_of(tmp_path / "head.glb")
    assert len(shape["extras"]["targetNames"]) == 52
    for folder in ("mesh", "loaded"):
        assert shape_of(tmp_path / folder / "head.glb") == (shape, content)


def test_blendshapes_stay_with_a_changed_face(head):
    changed = head.with_expression({"jawOpen": 0.5}).relit("studio").rotated(20)
    assert [target.name for target in changed.mesh.morph_targets] == list(head.expression_names)


def test_no_targets_are_made_before_they_are_asked_for(monkeypatch, head):
    monkeypatch.setattr("gcnface.result.morph_targets.targets_of", lambda model: pytest.fail("too early"))
    replace(head, mesh=replace(head.mesh, morph_targets=None)).relit("studio")


def test_targets_of_another_mesh_are_refused(head, tmp_path):
    with pytest.raises(ValueError, match=r"morph_targets \(browDownLeft\) move vertices beyond the 336 of the mesh"):
        replace(make_mesh(), morph_targets=head.mesh.morph_targets).save(tmp_path / "a.glb")
    assert not list(tmp_path.iterdir())


def test_a_page_of_the_mesh_has_the_sliders(head, tmp_path):
    head.mesh.save(tmp_path / "mesh.html")
    replace(head.mesh, morph_targets=()).save(tmp_path / "plain.html")
    assert '"jawOpen"' in (tmp_path / "mesh.html").read_text(encoding="utf-8")
    assert '"jawOpen"' not in (tmp_path / "plain.html").read_text(encoding="utf-8")
