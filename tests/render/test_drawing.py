"""A mesh drawn through a camera: rasterised, interpolated, over its background, with gradients."""

import torch

from render.camera import perspective_camera
from render.interpolate import interpolate
from render.rasterize import rasterize
from tests.render.meshes import in_camera, sphere

CAMERA = perspective_camera(200.0, (32.0, 32.0), (64, 64))


def test_a_sphere_is_a_disc_over_black():
    verts, faces = sphere(48, 80)
    cam = in_camera(verts, 100.0, (0.0, 0.0, 1000.0))
    fragments = rasterize(cam, faces, CAMERA)
    image, mask = interpolate(torch.ones(len(verts), 3), faces, fragments), fragments.mask
    radius_px = 200.0 * 100 / (1000**2 - 100**2) ** 0.5
    assert abs(mask.sum().item() / (torch.pi * radius_px**2) - 1) < 0.02
    assert not image[~mask].any()
    torch.testing.assert_close(image[mask], torch.ones_like(image[mask]))


def test_hidden_surface_is_removed():
    verts, faces = sphere()
    near, far = in_camera(verts, 50.0, (0.0, 0.0, 500.0)), in_camera(verts, 200.0, (0.0, 0.0, 1000.0))
    color = torch.cat([torch.zeros(len(verts), 1), torch.ones(len(verts), 1)])
    both = torch.cat([faces, faces + len(verts)])
    assert interpolate(color, both, rasterize(torch.cat([far, near], 1), both, CAMERA))[0, 32, 32, 0] > 0.999


def test_moving_the_mesh_towards_a_picture_lowers_the_loss():
    verts, faces = sphere()
    color = verts * 0.5 + 0.5
    cam = in_camera(verts, 100.0, (0.0, 0.0, 1000.0))
    target = interpolate(color, faces, rasterize(cam, faces, CAMERA))
    offset = torch.tensor([6.0, -4.0, 0.0], requires_grad=True)
    optimizer = torch.optim.Adam([offset], lr=0.5)
    losses = []
    for _ in range(40):
        fragments = rasterize(cam + offset, faces, CAMERA)
        loss = (interpolate(color, faces, fragments) - target)[fragments.mask].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]
    assert offset.detach()[:2].abs().max() < 1.0
