import json
import struct

import numpy as np
import pytest

from gcnface.morph_targets import SMALLEST_BEND, SMALLEST_MOVE_MM, morph_targets
from tests.gcnface.io.test_gltf import dense, read
from tests.gcnface.results import make_head, make_mesh, make_reconstruction


@pytest.fixture(scope="module")
def head():
    return make_head()


@pytest.fixture(scope="module")
def targets(head):
    return morph_targets(head)


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
    head.mesh.save(tmp_path / "plain.glb")
    assert len(glb) - (tmp_path / "plain.glb").stat().st_size < 12e6


def test_a_face_of_another_model_has_none(tmp_path):
    face = make_reconstruction()
    assert morph_targets(face) == ()
    face.save(tmp_path, "ball", ["glb"])
    make_mesh().save(tmp_path / "plain.glb")
    assert b"targetNames" not in (tmp_path / "ball.glb").read_bytes()
