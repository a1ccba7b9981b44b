"""Geometry helpers of the build, the atlas packing and the reader of MakeHuman files."""

import gzip

import numpy as np
import pytest

from coarse.upsampling import closest_barycentric, closest_points
from gcnface.building.atlas import MARGIN, _shelves
from gcnface.building.geometry import (
    boundary_loops,
    mirrored_points,
    vertex_areas,
)
from gcnface.building.landmarks import along
from gcnface.building.makehuman import MakeHumanDataError, open_makehuman, read_target
from gcnface.building.regions import IRIS_RGB, PUPIL_RGB, SCLERA_RGB, eye_albedo
from gcnface.building.subdivision import triangulate
from tests.gcnface.building.test_subdivision import grid


def test_closest_barycentric_against_sampling():
    rng = np.random.default_rng(0)
    corners = rng.normal(size=(1, 3, 3))
    weights = rng.dirichlet((1, 1, 1), 20000)
    for _ in range(10):
        point = rng.normal(size=3) * 2
        best = closest_barycentric(point[None], corners)[0]
        assert best.min() >= 0
        assert best.sum() == pytest.approx(1.0)
        distance = np.linalg.norm(best @ corners[0] - point)
        sampled = np.linalg.norm(weights @ corners[0] - point, axis=1).min()
        assert distance <= sampled + 1e-9
        assert sampled - distance < 0.05


def test_closest_points_and_their_mirror_images():
    vertices, quads, mirror = grid(8, 8)
    faces = triangulate(quads, vertices, mirror).faces
    rng = np.random.default_rng(1)
    points = rng.uniform(-0.9, 0.9, size=(20, 3)) * [1, 1, 0.2]
    found = closest_points(points, vertices, faces, np.ones(len(faces), bool))
    twin = mirrored_points(found, faces, mirror)
    np.testing.assert_allclose(twin.on(vertices, faces), found.on(vertices, faces) * [-1, 1, 1], atol=1e-12)
    allowed = vertices[faces].mean(1)[:, 0] < 0
    assert (closest_points(points, vertices, faces, allowed).on(vertices, faces)[:, 0] <= 1e-9).all()


def test_areas_of_a_flat_grid():
    vertices, quads, mirror = grid(4, 4)
    vertices[:, 2] = 0
    faces = triangulate(quads, vertices, mirror).faces
    assert vertex_areas(vertices, faces).sum() == pytest.approx(4.0)


def test_boundary_loops_of_a_ring():
    vertices, quads, mirror = grid(5, 5)
    faces = triangulate(np.delete(quads, 12, axis=0), vertices, mirror).faces
    outer, inner = boundary_loops(faces)
    assert (len(outer), len(inner)) == (20, 4)
    assert set(inner) == set(quads[12])


def test_shelves_keep_boxes_apart():
    size = np.random.default_rng(0).uniform(0.02, 0.12, size=(30, 2))
    position = _shelves(size, 0.9)
    assert position is not None
    for i in range(len(size)):
        others = np.arange(len(size)) != i
        apart = (position[i] >= (position + size)[others] + 0.9 * MARGIN).any(1)
        apart |= (position[others] >= (position + size)[i] + 0.9 * MARGIN).any(1)
        assert apart.all()
    assert _shelves(size, 0.1) is None


def test_along_keeps_shares_of_the_width():
    curve = np.stack([np.linspace(-10, 0, 11), np.linspace(0, 5, 11), np.zeros(11)], -1)
    np.testing.assert_allclose(along(curve, np.array([-4.0, -3.0, 0.0]))[:, 0], [-10.0, -7.5, 0.0])


def test_eye_colours_from_the_axis_outwards():
    angle = np.array([0.05, 0.3, 1.2, 3.1, -1.2])
    sphere = np.stack([np.sin(angle), np.zeros(5), np.cos(angle)], -1) * 12
    rgb = eye_albedo(sphere)
    np.testing.assert_allclose(rgb[:3], [PUPIL_RGB, IRIS_RGB, SCLERA_RGB])


@pytest.mark.parametrize("packed", [False, True])
def test_read_target(tmp_path, packed):
    text = "# comment\n2 .5 -1 0\n0 0 0 .25\n"
    path = tmp_path / ("a.target.gz" if packed else "a.target")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    np.testing.assert_allclose(read_target(path, 4), [[0, 0, 0.25], [0, 0, 0], [0.5, -1, 0], [0, 0, 0]])


def test_missing_data_are_named(tmp_path):
    with pytest.raises(MakeHumanDataError, match="unpacked wheel"):
        open_makehuman(tmp_path)
    with pytest.raises(MakeHumanDataError, match="missing"):
        read_target(tmp_path / "b.target.gz", 3)
    (tmp_path / "c.target").write_text("1 2 3\n")
    with pytest.raises(MakeHumanDataError, match="four numbers"):
        read_target(tmp_path / "c.target", 3)
