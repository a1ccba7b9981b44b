import numpy as np
import pytest

from gcnface.result.mesh import ARRAY_FIELDS, TexturedMesh
from render.shapes import ShapeError
from tests.gcnface.results import RINGS, SECTORS, make_mesh


def fields(**changes):
    mesh = make_mesh()
    return {name: getattr(mesh, name) for name in ARRAY_FIELDS} | changes


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("vertices", (4, 2)),
        ("vertex_rgb", (5, 3)),
        ("uv_faces", (7, 3)),
        ("texture", (8, 9, 3)),
        ("landmarks68", (67, 3)),
    ],
)
def test_wrong_shapes_are_named(name, shape):
    with pytest.raises(ShapeError, match=name):
        TexturedMesh(**fields(**{name: np.zeros(shape)}))


def test_vertices_at_one_point_are_no_surface():
    with pytest.raises(ValueError, match="vertices holds one point over and over"):
        TexturedMesh(**fields(vertices=np.ones_like(make_mesh().vertices)))


@pytest.mark.parametrize("name", ["faces", "uv_faces"])
def test_indices_must_exist(name):
    wrong = getattr(make_mesh(), name).copy()
    wrong[3, 1] = 10**6
    with pytest.raises(ValueError, match=f"{name} must hold indices"):
        TexturedMesh(**fields(**{name: wrong}))


def test_texture_is_kept_at_eight_bits():
    mesh = TexturedMesh(**fields(texture=np.random.default_rng(0).uniform(-0.1, 1.1, (16, 16, 3))))
    levels = mesh.texture * 255
    assert np.allclose(levels, np.rint(levels), atol=1e-4)
    assert mesh.texture.min() >= 0
    assert mesh.texture.max() <= 1
    again = TexturedMesh(**fields(texture=mesh.texture))
    assert np.array_equal(again.texture, mesh.texture)


def test_arguments_are_not_written_to():
    texture = np.full((16, 16, 3), 0.123456, np.float32)
    TexturedMesh(**fields(texture=texture))
    assert (texture == np.float32(0.123456)).all()


def test_split_doubles_the_seam_and_nothing_else():
    mesh = make_mesh()
    split = mesh.split
    assert len(split.vertex) == (RINGS + 1) * (SECTORS + 1) == len(mesh.vertices) + RINGS + 1
    assert np.array_equal(split.vertex[split.faces], mesh.faces)
    assert np.array_equal(split.uv[split.faces], mesh.uv_faces)


@pytest.mark.parametrize("name", ["face.stl", "face", "face.glb.gz"])
def test_an_unknown_suffix_names_the_known_ones(tmp_path, name):
    with pytest.raises(ValueError, match=r"\.glb, \.obj, \.ply, \.html"):
        make_mesh().save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.glb", "a.OBJ", "a.ply", "a.html"])
def test_save_returns_the_path_and_creates_the_folder(tmp_path, name):
    path = make_mesh().save(tmp_path / "new" / name)
    assert path == tmp_path / "new" / name
    assert path.stat().st_size > 1000


@pytest.mark.parametrize(
    ("name", "place", "value", "says"),
    [
        ("vertices", (0, 0), float("nan"), "vertices holds numbers that are not finite"),
        ("uv", (0, 0), float("inf"), "uv holds numbers that are not finite"),
        ("normals", (0, 0), 7, "normals holds numbers from .* to 7"),
        ("texture", (0, 0, 0), float("nan"), "texture holds numbers that are not finite"),
        ("landmarks68", (0, 0), 1e9, "landmarks68 holds numbers from"),
    ],
)
def test_wrong_values_are_named(name, place, value, says):
    wrong = getattr(make_mesh(), name).copy()
    wrong[place] = value
    with pytest.raises(ValueError, match=says):
        TexturedMesh(**fields(**{name: wrong}))


def test_indices_beyond_their_type_do_not_wrap_around():
    with pytest.raises(ValueError, match="faces holds numbers from"):
        TexturedMesh(**fields(faces=make_mesh().faces.astype(np.int64) + (1 << 32)))
