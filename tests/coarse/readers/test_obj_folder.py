"""A folder of heads, as a modelling program exports them."""

import numpy as np
import pytest

from coarse.readers.obj_folder import NEUTRAL, read_obj, read_obj_folder
from render.errors import FileError
from tests.coarse.variants import front_model, front_parts


def write_obj(path, vertices, faces, uv=None):
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in ([] if uv is None else uv)]
    corner = "{0}" if uv is None else "{0}/{0}"
    lines += ["f " + " ".join(corner.format(k + 1) for k in face) for face in faces]
    path.write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Heads in centimetres, z up."""
    parts, place = front_parts(2), tmp_path_factory.mktemp("heads")
    turn = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]) * 0.1
    uv = (parts.mean[:, :2] - parts.mean[:, :2].min(0)) / np.ptp(parts.mean[:, :2], axis=0)
    heads = {NEUTRAL: parts.mean}
    heads |= {f"identity{k:03d}.obj": parts.mean + parts.identity[..., k] for k in range(3)}
    heads |= {"mouthSmile_L.obj": parts.mean + parts.expression[..., 4], "jawOpen.obj": parts.mean}
    for name, vertices in heads.items():
        write_obj(place / name, vertices @ turn.T, parts.faces, uv if name == NEUTRAL else None)
    return place


def test_the_heads_become_a_model(folder):
    model, expected = read_obj_folder(folder, landmarks68=front_parts(2).landmarks68, name="mine"), front_model(2)
    assert model.name == "mine"
    np.testing.assert_allclose(model.mean, expected.mean, atol=0.02)
    np.testing.assert_allclose(model.identity_basis, expected.identity_basis[..., :3], atol=0.02)
    assert model.expression_names == ("jawOpen", "mouthSmileLeft")
    np.testing.assert_allclose(model.expression_basis[..., 1], expected.expression_basis[..., 4], atol=0.02)
    assert not model.expression_basis[..., 0].any()
    np.testing.assert_array_equal(model.faces, expected.faces)
    np.testing.assert_array_equal(model.uv_faces, model.faces)


def test_polygons_are_cut_into_triangles(tmp_path):
    (tmp_path / "a.obj").write_text("# quad\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvn 0 0 1\nf 1//1 2//1 3//1 4//1\n")
    mesh = read_obj(tmp_path / "a.obj")
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert mesh.uv is None


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), ("v 0 0 0", "holds no faces"), ("v 0 zero 0\nf 1 1 1", "is no OBJ file")],
)
def test_a_broken_file_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / NEUTRAL).write_text(content)
    with pytest.raises(FileError, match=rf"{NEUTRAL}: .*{message}"):
        read_obj_folder(tmp_path, landmarks68=range(68))


def test_another_topology_is_named(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    write_obj(tmp_path / "identity001.obj", np.eye(3), [[0, 1, 2]])
    with pytest.raises(FileError, match=r"identity001.obj: has 3 vertices, the neutral head \d+"):
        read_obj_folder(tmp_path, landmarks68=front_parts(2).landmarks68)


def test_negative_corners_count_from_the_end_so_far(tmp_path):
    path = tmp_path / "two.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nf -3/-1 -2/-2 -1/-3\nv 1 1 0\nf -1/1 2/2 3/3\n")
    mesh = read_obj(path)
    assert mesh.faces.tolist() == [[0, 1, 2], [3, 1, 2]]
    assert mesh.uv_faces.tolist() == [[2, 1, 0], [0, 1, 2]]
