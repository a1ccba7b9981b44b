"""The two backends beside each other, where PyTorch3D is installed."""

import pytest
import torch

from render import available_backends, use_backend
from render.baking import bake, texel_map
from render.camera import perspective_camera
from render.interpolate import interpolate
from render.rasterize import rasterize_screen
from render.visibility import depth_buffer, vertex_visibility
from tests.render.meshes import in_camera, random_triangles, sphere
from tests.tolerances import ROUNDING, STORED

pytestmark = pytest.mark.skipif("pytorch3d" not in available_backends(), reason="pytorch3d is not installed")


def meshes():
    verts, faces = sphere(60, 80)
    cam = in_camera(verts, 80.0, (5.0, -3.0, 1000.0))
    screen = torch.cat([cam[..., :2] / cam[..., 2:] * 600 + torch.tensor([50.0, 40.0]), cam[..., 2:]], -1)
    yield torch.cat([screen, screen + torch.tensor([30.0, 20.0, 1.0])]), faces, (80, 100)
    yield *random_triangles(300, (64, 64), 1), (64, 64)
    yield *random_triangles(300, (64, 48), 2, spread=3.0), (64, 48)


@pytest.mark.parametrize("perspective_correct", [False, True])
@pytest.mark.parametrize("which", range(3))
def test_values_and_gradients(which, perspective_correct):
    screen, faces, hw = list(meshes())[which]
    color = torch.rand(screen.shape[1], 3, generator=torch.Generator().manual_seed(0))
    results = []
    for backend in ("torch", "pytorch3d"):
        verts = screen.clone().requires_grad_()
        with use_backend(backend):
            fragments = rasterize_screen(verts, faces, hw, perspective_correct=perspective_correct)
        image = interpolate(color, faces, fragments)
        (image.square().sum() + fragments.depth[fragments.mask].sum() / 100).backward()
        results.append((fragments, image, verts.grad))
    (ours, our_image, our_grad), (theirs, their_image, their_grad) = results
    assert torch.equal(ours.pix_to_face, theirs.pix_to_face)
    torch.testing.assert_close(ours.bary, theirs.bary, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.depth, theirs.depth, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(our_image, their_image, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(our_grad, their_grad, atol=1e-3 * their_grad.abs().max().item(), rtol=1e-3)


def by_both(draw):
    """What is drawn by torch and by PyTorch3D."""
    for backend in ("torch", "pytorch3d"):
        with use_backend(backend):
            yield draw()


def test_what_is_seen():
    verts, faces = sphere(30, 40)
    cam, camera = in_camera(verts, 80.0, (5.0, -3.0, 1000.0)), perspective_camera(300.0, (32.0, 24.0), (48, 64))
    ours, theirs = by_both(lambda: depth_buffer(cam, faces, camera, supersample=2))
    torch.testing.assert_close(ours, theirs, **STORED)
    ours, theirs = by_both(lambda: vertex_visibility(cam, faces, camera))
    assert torch.equal(ours, theirs)
    assert ours.any()


def test_texels_on_edges_belong_to_their_charts():
    x, y = torch.meshgrid(torch.arange(5), torch.arange(5), indexing="xy")
    uv, corner = torch.stack([x, y], -1).reshape(-1, 2) / 4, torch.arange(25).view(5, 5)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]
    faces = torch.cat([torch.stack(corners, -1).view(-1, 3) for corners in ((a, b, c), (c, b, d))])
    ours, theirs = by_both(lambda: texel_map(uv, faces, 32))
    assert ours.mask.all()
    assert theirs.mask.all()
    torch.testing.assert_close(bake(uv, faces, ours), bake(uv, faces, theirs), **ROUNDING)


def test_no_faces():
    ours, theirs = by_both(
        lambda: rasterize_screen(torch.rand(2, 3, 3), torch.zeros(0, 3).long(), (4, 6), perspective_correct=True)
    )
    assert torch.equal(ours.pix_to_face, theirs.pix_to_face)
    assert torch.equal(ours.bary, theirs.bary)
    assert torch.equal(ours.depth, theirs.depth)
