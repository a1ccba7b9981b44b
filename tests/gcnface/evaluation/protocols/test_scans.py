"""Reading scans, points on them, and laying our mesh onto one."""

import numpy as np
import pytest
import torch
from PIL import Image

from coarse.face_model import LANDMARKS5_FROM_468
from gcnface.errors import GcnfaceError
from gcnface.evaluation.methods import build_method
from gcnface.evaluation.protocols.scan_files import EYE_DISTANCE_MM, Scan, read_scan
from gcnface.evaluation.protocols.scans import first_placed, judge, place, render_scan, scan_view
from gcnface.evaluation.records import PHOTO_ITSELF, Metric
from gcnface.evaluation.scenes import Surface, surface_of
from render.color import linear_from_srgb
from tests.gcnface.results import make_mesh

SQUARE = """mtllib square.mtl
v -1 -1 0
v 1 -1 0
v 1 1 0
v -1 1 0
vt 0 0
vt 1 0
vt 1 1
vt 0 1
f 1/1 2/2 3/3 4/4
f -4/-4 -3/-3 -2/-2
"""


@pytest.fixture
def square(tmp_path):
    path = tmp_path / "square.obj"
    path.write_text(SQUARE)
    (tmp_path / "square.mtl").write_text("newmtl skin\nmap_Kd colour.png\n")
    Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)).save(
        tmp_path / "colour.png"
    )
    return path


def test_squares_are_split_and_negative_corners_count_from_the_end(square):
    scan = read_scan(square)
    assert scan.surface.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2]]
    assert scan.surface.uv_faces.tolist() == scan.surface.faces.tolist()
    # v is up: the corner (0, 0) lies in the lower left texel, which is blue.
    assert scan.surface.colors(torch.zeros(1, 2))[0].tolist() == pytest.approx([0, 0, 1], abs=1e-6)


def test_what_is_no_textured_scan_is_refused_by_name(square, tmp_path):
    (tmp_path / "square.mtl").unlink()
    with pytest.raises(GcnfaceError, match="--texture"):
        read_scan(square)
    bare = tmp_path / "bare.obj"
    bare.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    with pytest.raises(GcnfaceError, match="texture coordinates"):
        read_scan(bare, tmp_path / "colour.png")
    with pytest.raises(GcnfaceError, match="OBJ or GLB"):
        read_scan(tmp_path / "head.stl")


def test_our_own_glb_is_read_back_with_its_colours_upright(tmp_path):
    pytest.importorskip("trimesh")
    mesh = make_mesh()
    scan = read_scan(mesh.save(tmp_path / "ball.glb"))
    uv = torch.stack([torch.linspace(0.1, 0.9, 9), torch.linspace(0.8, 0.2, 9)], dim=1)
    expected = surface_from(mesh).colors(uv)
    assert scan.surface.colors(uv).numpy() == pytest.approx(expected.numpy(), abs=1e-3)
    corner = scan.surface.colors(scan.surface.uv[scan.surface.uv_faces[40]])
    middle = scan.verts[scan.surface.faces[40]].mean(0)
    own = int(((torch.from_numpy(mesh.vertices[mesh.faces]).mean(1) / 1000 - middle) ** 2).sum(1).argmin())
    assert corner.mean(0).numpy() == pytest.approx(
        surface_from(mesh).colors(torch.from_numpy(mesh.uv[mesh.uv_faces[own]])).mean(0).numpy(), abs=1e-3
    )


def surface_from(mesh):
    texture = linear_from_srgb(torch.from_numpy(mesh.texture)).permute(2, 0, 1)[None]
    faces = torch.from_numpy(mesh.faces.astype(np.int64))
    return Surface(faces, torch.from_numpy(mesh.uv), torch.from_numpy(mesh.uv_faces.astype(np.int64)), texture)


def test_samples_are_even_over_the_area(square):
    scan = read_scan(square)
    samples = scan.samples(20000)
    points = samples.values(scan.verts, scan.surface.faces)
    assert points[:, :2].abs().max() <= 1
    lower = points[:, 0] > points[:, 1]
    # The lower triangle is there twice.
    assert float(lower.float().mean()) == pytest.approx(2 / 3, abs=0.02)
    assert points[lower].mean(0).tolist() == pytest.approx([1 / 3, -1 / 3, 0], abs=0.02)


@pytest.fixture(scope="module")
def head(reconstructor, fitted):
    """The portrait's own reconstruction as a scan of an unknown unit."""
    texture = build_method(reconstructor)(fitted).texture
    return Scan(fitted.view.coarse.verts[0] * 0.01 + 3.0, surface_of(reconstructor.model, texture))


def test_the_first_drawing_is_in_the_middle_whatever_the_unit(head):
    picture = render_scan(first_placed(head), 0.0).picture
    inside = np.abs(picture - picture[0, 0]).sum(2) > 0.02
    assert inside.any(0).nonzero()[0].mean() == pytest.approx(224, abs=40)
    assert 0.1 < inside.mean() < 0.8


def test_a_head_of_our_own_is_found_again_in_place_size_and_colour(reconstructor, head):
    view = scan_view(reconstructor, place(reconstructor, head), 30.0)
    model = reconstructor.model
    face = model.region_mask("face", "eyes_nose_mouth")
    assert view.mm is not None
    assert float(view.mm[torch.from_numpy(face)].median()) < 1.5
    assert int(view.held_out.hidden.sum()) > 500
    assert float(view.held_out.lit[view.held_out.shown].mean()) > 0.05
    found = view.held_out.fitted
    linear = found.observation.linear[0]
    apart = (linear - view.held_out.lit)[view.held_out.shown].abs()
    assert float(apart.median()) < 0.03
    landmarks = model.landmarks468(found.view.coarse.verts[0].numpy())
    eyes = [landmarks[list(LANDMARKS5_FROM_468[k])].mean(0) for k in (0, 1)]
    assert 0.8 < np.linalg.norm(eyes[0] - eyes[1]) / EYE_DISTANCE_MM < 1.25
    measured = judge(model, [view], {"coarse": build_method(reconstructor, "coarse")})
    shape = {metric: value for method, metric, value in measured if method == PHOTO_ITSELF}
    median = float(view.mm[torch.from_numpy(face)].median())
    assert shape[Metric("distance", "median", 30.0)] == pytest.approx(median, abs=1e-3)
    assert shape[Metric("found_share", "drawn", 30.0)] == 1
    assert {metric for method, metric, _ in measured if method == "coarse"} >= {Metric("psnr", "hidden", 30.0)}
