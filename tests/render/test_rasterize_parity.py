"""The two backends beside each other, where PyTorch3D is installed."""

import pytest
import torch

from render import available_backends, use_backend
from render.interpolate import interpolate
from render.rasterize import rasterize_screen
from tests.render.meshes import in_camera, random_triangles, sphere

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
