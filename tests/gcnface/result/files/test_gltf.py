import io
import json
import struct
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from PIL import Image

from gcnface.result.files.gltf import VERTEX_COLOR, glb_bytes
from gcnface.result.morph_targets import MorphTarget
from tests.gcnface.results import make_mesh

OFFSETS = np.array([(1, 2, 3), (-4, 0, 0), (0, 0, 0.5)], np.float32)
TARGETS = (
    MorphTarget("up", np.array([0, 7, 20]), OFFSETS, np.array([7]), np.array([(0.1, 0, -0.1)], np.float32)),
    MorphTarget("nothing", np.zeros(0, int), np.zeros((0, 3)), np.zeros(0, int), np.zeros((0, 3))),
)
SIZE = {5126: 4, 5125: 4, 5123: 2}
KIND = {5126: np.float32, 5125: np.uint32, 5123: np.uint16}
WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


@pytest.fixture(scope="module")
def glb():
    return glb_bytes(make_mesh(), name="ball", provenance={"photo": "x.jpg"})


@pytest.fixture(scope="module")
def document(glb):
    return json.loads(glb[20 : 20 + struct.unpack_from("<I", glb, 12)[0]])


def read(glb, document, index):
    accessor = document["accessors"][index]
    view = document["bufferViews"][accessor["bufferView"]]
    start = 28 + struct.unpack_from("<I", glb, 12)[0] + view["byteOffset"]
    values = np.frombuffer(glb[start : start + view["byteLength"]], KIND[accessor["componentType"]])
    return values.reshape(-1, WIDTH[accessor["type"]])


def parsed(glb):
    return json.loads(glb[20 : 20 + struct.unpack_from("<I", glb, 12)[0]])


def dense(glb, document, index):
    """A sparse accessor's values, by the specification."""
    accessor = document["accessors"][index]
    values = np.zeros((accessor["count"], 3), np.float32)
    sparse = accessor["sparse"]
    start = 28 + struct.unpack_from("<I", glb, 12)[0]

    def part(name, kind):
        view = document["bufferViews"][sparse[name]["bufferView"]]
        first = start + view["byteOffset"]
        return np.frombuffer(glb[first : first + view["byteLength"]], kind)

    rows = part("indices", KIND[sparse["indices"]["componentType"]])
    assert len(rows) == sparse["count"] > 0
    assert (np.diff(rows.astype(int)) > 0).all()
    values[rows] = part("values", np.float32).reshape(-1, 3)
    return values


def test_container(glb, document):
    magic, version, length = struct.unpack_from("<4sII", glb)
    json_length, json_kind = struct.unpack_from("<I4s", glb, 12)
    binary_length, binary_kind = struct.unpack_from("<I4s", glb, 20 + json_length)
    assert (magic, version, length) == (b"glTF", 2, len(glb))
    assert (json_kind, binary_kind) == (b"JSON", b"BIN\0")
    assert json_length % 4 == binary_length % 4 == 0
    assert length == 28 + json_length + binary_length
    assert 0 <= binary_length - document["buffers"][0]["byteLength"] < 4
    assert document["asset"]["extras"] == {"photo": "x.jpg"}


def test_views_are_aligned_inside_the_buffer_and_as_long_as_their_accessors(document):
    for view in document["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] + view["byteLength"] <= document["buffers"][0]["byteLength"]
    for accessor in document["accessors"]:
        expected = accessor["count"] * WIDTH[accessor["type"]] * SIZE[accessor["componentType"]]
        assert document["bufferViews"][accessor["bufferView"]]["byteLength"] == expected


def test_positions_are_metres_with_true_bounds(glb, document):
    mesh = make_mesh()
    index = document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]
    positions = read(glb, document, index)
    assert np.allclose(positions, mesh.vertices[mesh.split.vertex] / 1000, atol=1e-7)
    accessor = document["accessors"][index]
    assert np.array_equal(np.float32(accessor["min"]), positions.min(0))
    assert np.array_equal(np.float32(accessor["max"]), positions.max(0))


def test_normals_are_unit_even_where_the_mesh_has_none():
    mesh = make_mesh()
    normals = mesh.normals.copy()
    normals[5] = 0
    glb = glb_bytes(replace(mesh, normals=normals), name="n")
    document = json.loads(glb[20 : 20 + struct.unpack_from("<I", glb, 12)[0]])
    found = read(glb, document, document["meshes"][0]["primitives"][0]["attributes"]["NORMAL"])
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_one_scene_of_one_mesh(document):
    """Some programs show all meshes of a file at once, and all multiply COLOR_0 with the texture."""
    assert [len(document[key]) for key in ("scenes", "nodes", "meshes", "materials")] == [1, 1, 1, 1]
    (primitive,) = document["meshes"][0]["primitives"]
    assert set(primitive["attributes"]) == {"POSITION", "NORMAL", "TEXCOORD_0", VERTEX_COLOR}
    assert VERTEX_COLOR.startswith("_")  # the specification's mark of what is an application's own
    assert "targets" not in primitive


def test_vertex_colours_are_linear(glb, document):
    mesh = make_mesh()
    index = document["meshes"][0]["primitives"][0]["attributes"][VERTEX_COLOR]
    colors = read(glb, document, index) / 65535
    assert document["accessors"][index]["normalized"] is True
    expected = ((mesh.vertex_rgb + 0.055) / 1.055) ** 2.4
    assert np.allclose(colors[:, :3], expected[mesh.split.vertex], atol=2e-5)
    assert (colors[:, 3] == 1).all()


def test_uv_counts_from_the_top_and_the_picture_is_the_texture(glb, document):
    mesh = make_mesh()
    uv = read(glb, document, document["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_0"])
    assert np.allclose(uv, (mesh.uv * (1, -1) + (0, 1))[mesh.split.uv], atol=1e-6)
    view = document["bufferViews"][document["images"][0]["bufferView"]]
    start = 28 + struct.unpack_from("<I", glb, 12)[0] + view["byteOffset"]
    picture = Image.open(io.BytesIO(glb[start : start + view["byteLength"]]))
    assert np.array_equal(np.asarray(picture), mesh.texture_8bit)


def test_another_reader_shows_the_textured_mesh(glb):
    mesh = make_mesh()
    scene = trimesh.load(io.BytesIO(glb), file_type="glb")
    assert scene.graph.nodes_geometry == ["ball"]
    shown = scene.geometry["ball"]
    assert shown.faces.shape == mesh.faces.shape
    assert np.allclose(scene.extents, np.ptp(mesh.vertices, axis=0) / 1000, atol=1e-6)
    assert shown.visual.material.metallicFactor == 0
    assert np.array_equal(np.asarray(shown.visual.material.baseColorTexture.convert("RGB")), mesh.texture_8bit)
    assert shown.volume > 0


def test_morph_targets():
    mesh = make_mesh()
    glb = glb_bytes(mesh, name="ball", targets=TARGETS)
    document = parsed(glb)
    shape = document["meshes"][0]
    assert shape["extras"] == {"targetNames": ["up", "nothing"]}
    assert shape["weights"] == [0, 0]
    up, nothing = shape["primitives"][0]["targets"]
    meant = np.zeros_like(mesh.vertices)
    meant[[0, 7, 20]] = OFFSETS / 1000
    corner = mesh.split.vertex
    assert (np.bincount(corner)[[0, 7, 20]] > 1).any()  # a vertex on the seam moves at both its corners
    assert np.allclose(dense(glb, document, up["POSITION"]), meant[corner], atol=1e-9)
    normal = dense(glb, document, up["NORMAL"])
    assert np.allclose(normal[corner == 7], (0.1, 0, -0.1))
    assert not normal[corner != 7].any()
    assert not dense(glb, document, nothing["POSITION"]).any()
    bounds = document["accessors"][up["POSITION"]]
    assert np.allclose((bounds["min"], bounds["max"]), ((-0.004, 0, 0), (0.001, 0.002, 0.003)))
    shown = trimesh.load(io.BytesIO(glb), file_type="glb").geometry["ball"]
    assert shown.faces.shape == mesh.faces.shape
