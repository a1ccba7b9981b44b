import sys

import numpy as np
import pytest
import trimesh

import gcnface
from tests.gcnface.results import make_reconstruction


def test_a_face_in_trimesh_has_uv_and_texture():
    face = make_reconstruction()
    found, split = face.to_trimesh(), face.mesh.split
    assert isinstance(found, trimesh.Trimesh)
    assert np.array_equal(found.vertices, face.mesh.vertices[split.vertex])
    assert np.array_equal(found.faces, split.faces)
    assert np.array_equal(found.visual.uv, face.mesh.uv[split.uv].astype(np.float64))
    assert np.array_equal(np.asarray(found.visual.material.baseColorTexture), face.mesh.texture_8bit)
    assert np.allclose(found.vertex_normals, face.mesh.normals[split.vertex], atol=1e-6)
    assert found.units == "mm"


def test_trimesh_s_own_file_is_ours(tmp_path):
    face = make_reconstruction()
    face.to_trimesh().export(tmp_path / "a.obj")
    read = trimesh.load(tmp_path / "a.obj", process=False)
    assert read.faces.shape == face.faces.shape
    assert read.visual.uv.min() >= 0


def test_without_trimesh_one_line_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(gcnface.MissingPackageError, match=r"^to_trimesh needs the package trimesh; pip install"):
        make_reconstruction().mesh.to_trimesh()
    assert issubclass(gcnface.MissingPackageError, ImportError)
    assert issubclass(gcnface.MissingPackageError, gcnface.GcnfaceError)
