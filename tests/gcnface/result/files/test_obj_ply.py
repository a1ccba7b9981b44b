import io

import numpy as np
import pytest
import trimesh
from PIL import Image

from gcnface.errors import OutputError
from tests.gcnface.results import make_mesh


def test_obj_keeps_vertices_uv_and_normals_apart(tmp_path):
    mesh = make_mesh()
    mesh.save(tmp_path / "a face.obj")
    lines = [line.split() for line in (tmp_path / "a face.obj").read_text().splitlines()]

    def rows(key):
        return np.array([[float(word) for word in line[1:]] for line in lines if line[0] == key])

    assert np.allclose(rows("v"), mesh.vertices, atol=1e-4)
    assert np.allclose(rows("vt"), mesh.uv, atol=1e-6)
    assert np.allclose(rows("vn"), mesh.normals, atol=1e-4)
    corners = np.array([[word.split("/") for word in line[1:]] for line in lines if line[0] == "f"], int)
    assert np.array_equal(corners[..., 0] - 1, mesh.faces)
    assert np.array_equal(corners[..., 1] - 1, mesh.uv_faces)
    assert np.array_equal(corners[..., 2] - 1, mesh.faces)


def test_obj_names_its_material_and_texture(tmp_path):
    mesh = make_mesh()
    mesh.save(tmp_path / "ball.obj")
    assert "mtllib ball.mtl" in (tmp_path / "ball.obj").read_text()
    assert "map_Kd ball.png" in (tmp_path / "ball.mtl").read_text()
    assert np.array_equal(np.asarray(Image.open(tmp_path / "ball.png")), mesh.texture_8bit)


def test_obj_by_another_reader(tmp_path):
    mesh = make_mesh()
    mesh.save(tmp_path / "ball.obj")
    read = trimesh.load(tmp_path / "ball.obj", process=False)
    assert read.faces.shape == mesh.faces.shape
    assert np.allclose(read.extents, np.ptp(mesh.vertices, axis=0), atol=1e-3)
    assert read.visual.material.image.size == (64, 64)


def test_obj_does_not_replace_the_photo_it_came_from(tmp_path):
    (tmp_path / "me.png").write_bytes(b"my photo")
    with pytest.raises(OutputError, match=r"me.png: is in the way"):
        make_mesh().save(tmp_path / "me.obj")
    assert (tmp_path / "me.png").read_bytes() == b"my photo"
    assert [path.name for path in tmp_path.iterdir()] == ["me.png"]


def test_obj_replaces_its_own_earlier_files(tmp_path):
    make_mesh().save(tmp_path / "ball.obj")
    make_mesh().save(tmp_path / "ball.obj")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ball.mtl", "ball.obj", "ball.png"]


def test_ply_by_another_reader(tmp_path):
    mesh = make_mesh()
    mesh.save(tmp_path / "ball.ply")
    read = trimesh.load(io.BytesIO((tmp_path / "ball.ply").read_bytes()), file_type="ply", process=False)
    assert np.array_equal(read.vertices.astype(np.float32), mesh.vertices)
    assert np.array_equal(read.faces, mesh.faces)
    assert np.array_equal(read.visual.vertex_colors[:, :3], np.rint(mesh.vertex_rgb * 255))
    assert np.allclose(read.vertex_normals, mesh.normals, atol=1e-6)
