from functools import partial

import pytest
import torch

from render.backends import torch as torch_backend
from render.camera import KINDS, Camera
from render.rasterize import rasterize, rasterize_screen
from render.shapes import ShapeError
from tests.render.meshes import random_triangles
from tests.tolerances import CHAINS

HW = (20, 28)
rasterize_flat = partial(rasterize_screen, perspective_correct=False)


def by_hand(screen, faces, hw, perspective_correct):
    """The plain twin: every pixel against every face, in float64."""
    y, x = torch.meshgrid(torch.arange(hw[0]) + 0.5, torch.arange(hw[1]) + 0.5, indexing="ij")
    corners = screen.double()[faces][:, :, None, None]
    a, b, c = corners.unbind(1)

    def twice_area(p, q, rx, ry):
        return (q[..., 0] - p[..., 0]) * (ry - p[..., 1]) - (q[..., 1] - p[..., 1]) * (rx - p[..., 0])

    weights = torch.stack([twice_area(b, c, x, y), twice_area(c, a, x, y), twice_area(a, b, x, y)], -1)
    weights = weights / weights.sum(-1, keepdim=True)
    inside = (weights > 0).all(-1) & (corners[..., 2].amin(1) > 0)
    z = corners[..., 2].permute(0, 2, 3, 1)
    if perspective_correct:
        weights = weights / z
        weights = weights / weights.sum(-1, keepdim=True)
    depth, face = torch.where(inside, (weights * z).sum(-1), torch.inf).min(0)
    bary = weights.gather(0, face[None, ..., None].expand(1, *hw, 3))[0]
    none = depth.isinf()
    return torch.where(none, -1, face), torch.where(none[..., None], -1, bary), torch.where(none, -1, depth)


@pytest.mark.parametrize("perspective_correct", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_plain_twin(seed, perspective_correct):
    screen, faces = random_triangles(40, HW, seed)
    fragments = rasterize_screen(screen, faces, HW, perspective_correct=perspective_correct)
    face, bary, depth = by_hand(screen[0], faces, HW, perspective_correct)
    assert torch.equal(fragments.pix_to_face[0], face)
    assert torch.equal(fragments.mask[0], face >= 0)
    torch.testing.assert_close(fragments.bary[0].double(), bary, **CHAINS)
    torch.testing.assert_close(fragments.depth[0].double(), depth, **CHAINS)


def test_one_triangle_closed_form():
    screen = torch.tensor([[[0.0, 0.0, 1.0], [8.0, 0.0, 2.0], [0.0, 8.0, 4.0]]])
    fragments = rasterize_flat(screen, torch.tensor([[0, 1, 2]]), (8, 8))
    y, x = torch.meshgrid(torch.arange(8) + 0.5, torch.arange(8) + 0.5, indexing="ij")
    inside = x + y < 8
    assert torch.equal(fragments.mask[0], inside)
    torch.testing.assert_close(fragments.depth[0][inside], (1 + x / 8 + 3 * y / 8)[inside])
    assert (fragments.depth[0][~inside] == -1).all()
    assert (fragments.bary[0][~inside] == -1).all()


def test_perspective_depth_is_that_of_the_plane():
    plane_point = torch.tensor([[-300.0, -200.0, 600.0], [400.0, -100.0, 1500.0], [0.0, 500.0, 1000.0]])
    screen = torch.cat([plane_point[:, :2] / plane_point[:, 2:] * 20 + 10, plane_point[:, 2:]], 1)
    fragments = rasterize_screen(screen[None], torch.tensor([[0, 1, 2]]), (20, 20), perspective_correct=True)
    normal = torch.linalg.cross(plane_point[1] - plane_point[0], plane_point[2] - plane_point[0])
    y, x = (fragments.mask[0]).nonzero(as_tuple=True)
    ray = torch.stack([(x + 0.5 - 10) / 20, (y + 0.5 - 10) / 20, torch.ones(len(x))], 1)
    torch.testing.assert_close(fragments.depth[0][y, x], (normal @ plane_point[0]) / (ray @ normal), rtol=1e-5, atol=0)


def test_batch_is_each_mesh_alone():
    screens = torch.cat([random_triangles(30, HW, seed)[0] for seed in range(3)])
    faces = random_triangles(30, HW, 0)[1]
    together = rasterize_flat(screens, faces, HW)
    for row, screen in enumerate(screens):
        alone = rasterize_flat(screen[None], faces, HW)
        assert torch.equal(together.pix_to_face[row], alone.pix_to_face[0])
        assert torch.equal(together.bary[row], alone.bary[0])
        assert torch.equal(together.depth[row], alone.depth[0])


def test_face_order_and_corner_order_do_not_matter():
    screen, faces = random_triangles(30, HW, 5)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    first, second = rasterize_flat(screen, faces, HW), rasterize_flat(screen, faces[order].flip(1), HW)
    moved = torch.where(second.mask, order[second.pix_to_face], -1)
    assert torch.equal(first.pix_to_face, moved)
    torch.testing.assert_close(first.bary, second.bary.flip(-1), **CHAINS)


def test_a_shift_by_whole_pixels_shifts_the_picture():
    screen, faces = random_triangles(30, HW, 6)
    here = rasterize_flat(screen, faces, HW).pix_to_face
    there = rasterize_flat(screen + torch.tensor([3.0, 2.0, 0.0]), faces, HW).pix_to_face
    assert torch.equal(here[:, :-2, :-3], there[:, 2:, 3:])


def test_equal_depth_takes_the_lowest_face():
    screen = torch.tensor([[[0.0, 0, 2], [9, 0, 2], [0, 9, 2]]])
    fragments = rasterize_flat(screen, torch.tensor([[0, 1, 2], [0, 1, 2]]), (8, 8))
    assert set(fragments.pix_to_face.unique().tolist()) == {-1, 0}


def test_behind_and_degenerate_and_broken_faces_are_left_out():
    triangle = torch.tensor([[1.0, 1, 2], [7, 1, 2], [1, 7, 2]])
    behind, partly, broken = triangle.clone(), triangle.clone(), triangle.clone()
    behind[:, 2], partly[0, 2], broken[1, 0] = -1, -0.5, torch.nan
    line = torch.tensor([[1.0, 1, 2], [4, 4, 2], [7, 7, 2]])
    screen = torch.cat([behind, partly, broken, line]).requires_grad_()
    fragments = rasterize_flat(screen[None], torch.arange(12).view(4, 3), (8, 8))
    assert not fragments.mask.any()
    (fragments.bary.sum() + fragments.depth.sum()).backward()
    assert (screen.grad == 0).all()


def test_far_outside_and_larger_than_the_frame():
    screen = torch.tensor([[[-1e6, -1e6, 2.0], [1e6, -1e6, 2.0], [0.0, 2e6, 2.0], [1e30, 1e30, 1.0], [1e30, 0, 1.0]]])
    fragments = rasterize_flat(screen, torch.tensor([[0, 1, 2], [0, 3, 4]]), HW)
    assert (fragments.pix_to_face == 0).all()


def test_no_faces_is_background():
    fragments = rasterize_flat(torch.rand(2, 3, 3), torch.zeros(0, 3, dtype=torch.long), HW)
    assert not fragments.mask.any()
    assert fragments.pix_to_face.shape == (2, *HW)


def test_pieces_give_the_same(monkeypatch):
    screen, faces = random_triangles(40, HW, 7)
    whole = rasterize_flat(screen, faces, HW)
    monkeypatch.setattr(torch_backend, "PAIRS_AT_ONCE_CPU", 100)
    assert torch.equal(rasterize_flat(screen, faces, HW).pix_to_face, whole.pix_to_face)


@pytest.mark.parametrize("perspective_correct", [False, True])
def test_gradcheck_of_barycentrics_and_depth(perspective_correct):
    screen, faces = random_triangles(3, (10, 10), 3, spread=5.0)

    def outputs(verts):
        fragments = rasterize_screen(verts, faces, (10, 10), perspective_correct=perspective_correct)
        return fragments.bary[fragments.mask], fragments.depth[fragments.mask]

    assert torch.autograd.gradcheck(outputs, screen.double().requires_grad_(), eps=1e-7, atol=1e-4)


def test_does_not_write_into_its_arguments():
    screen, faces = random_triangles(10, HW, 8)
    kept_screen, kept_faces = screen.clone(), faces.clone()
    rasterize_screen(screen, faces, HW, perspective_correct=True)
    assert torch.equal(screen, kept_screen)
    assert torch.equal(faces, kept_faces)


def test_int32_faces():
    screen, faces = random_triangles(10, HW, 9)
    short, long = (rasterize_flat(screen, corners, HW).pix_to_face for corners in (faces.int(), faces))
    assert torch.equal(short, long)


def test_wrong_arguments_are_named():
    screen, faces = random_triangles(4, HW, 0)
    with pytest.raises(ShapeError, match="verts_screen"):
        rasterize_flat(screen[0], faces, HW)
    with pytest.raises(ValueError, match="names vertices 0 to 12"):
        rasterize_flat(screen, faces + torch.tensor([0, 0, 1]), HW)
    with pytest.raises(TypeError, match="expected integers"):
        rasterize_flat(screen, faces.float(), HW)
    with pytest.raises(ValueError, match="hw is"):
        rasterize_flat(screen, faces, (0, 5))
    with pytest.raises(TypeError, match="perspective_correct"):
        rasterize_screen(screen, faces, HW)


@pytest.mark.parametrize("kind", KINDS)
def test_the_camera_says_how_weights_run(kind):
    verts, faces = random_triangles(40, HW, 1)
    camera = Camera(torch.eye(3)[None], HW, kind)
    found = rasterize(verts, faces, camera)
    told = rasterize_screen(camera.project(verts), faces, HW, perspective_correct=kind == "perspective")
    other = rasterize_screen(camera.project(verts), faces, HW, perspective_correct=kind != "perspective")
    assert torch.equal(found.pix_to_face, told.pix_to_face)
    assert torch.equal(found.bary, told.bary)
    assert found.mask.any()
    assert not torch.equal(found.bary, other.bary)
