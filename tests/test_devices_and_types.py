"""Every operation on every device and in every type: results stay there, and are those of float64 on the CPU."""

import pytest
import torch

from coarse import losses as coarse_losses
from coarse.similarity import similarity_between
from refine import losses
from refine.adversarial import critic_loss
from refine.encoding import decode_albedo, encode_albedo
from render.camera import perspective_camera
from render.color import linear_from_srgb, srgb_from_linear
from render.interpolate import interpolate
from render.lighting import rotated_lighting, sh_basis, sh_gradient, shade
from render.normals import vertex_normals
from render.rasterize import rasterize
from render.rotation import axis_angle_from_rotation, euler_from_rotation, rotation_from_axis_angle, rotation_from_euler
from render.sampling import sample_image
from render.visibility import vertex_visibility
from tests.render.meshes import in_camera, sphere
from tests.tolerances import OF_DTYPE

HW = (40, 48)
VERTS, FACES = sphere(8, 12)


def head(values):
    """The sphere before a camera, and the camera."""
    camera = perspective_camera(60.0, (24.0, 20.0), HW)
    return in_camera(VERTS, 40.0, (1.0, 2.0, 150.0)).to(values), FACES.to(values.device), camera


def drawn(colors):
    verts, faces, camera = head(colors)
    fragments = rasterize(verts, faces, camera)
    return interpolate(colors.view(-1, 3)[: len(VERTS)], faces, fragments)


def depth(colors):
    verts, faces, camera = head(colors)
    return rasterize(verts, faces, camera).depth


def seen(colors):
    verts, faces, camera = head(colors)
    return vertex_visibility(verts, faces, camera).to(colors)


def uniform(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


OPERATIONS = {
    "srgb_from_linear": (srgb_from_linear, uniform(50)),
    "linear_from_srgb": (linear_from_srgb, uniform(50)),
    "encode_albedo": (encode_albedo, uniform(50)),
    "decode_albedo": (decode_albedo, uniform(50)),
    "rotation_from_axis_angle": (rotation_from_axis_angle, uniform(6, 3)),
    "axis_angle_from_rotation": (lambda v: axis_angle_from_rotation(rotation_from_axis_angle(v)), uniform(6, 3)),
    "rotation_from_euler": (lambda v: rotation_from_euler(*v.unbind(1)), uniform(6, 3)),
    "euler_from_rotation": (lambda v: euler_from_rotation(rotation_from_axis_angle(v)), uniform(6, 3)),
    "sh_basis": (sh_basis, uniform(9, 3)),
    "sh_gradient": (sh_gradient, uniform(9, 3)),
    "shade": (lambda light: shade(light, light), uniform(1, 9, 3)),
    "rotated_lighting": (
        lambda light: rotated_lighting(light, rotation_from_axis_angle(light[:, 0])),
        uniform(2, 9, 3),
    ),
    "vertex_normals": (lambda v: vertex_normals(v, FACES.to(v.device)), VERTS[None].double()),
    "sample_image": (lambda image: sample_image(image, 20 * image[:, :2, 0].mT), uniform(1, 3, 24, 24)),
    "rasterize and interpolate": (drawn, uniform(1, len(VERTS), 3)),
    "depth": (depth, uniform(1)),
    "vertex_visibility": (seen, uniform(1)),
    "pixel_loss": (lambda x: losses.pixel_loss(x, 1 - x, x[:, 0]), uniform(2, 3, 8, 8)),
    "identity_loss": (lambda x: losses.identity_loss(x, x.flip(0)), uniform(2, 512)),
    "variance_loss": (lambda x: losses.variance_loss(x, x[..., :1]), uniform(2, 30, 3)),
    "critic_loss": (lambda x: critic_loss(x, 1 - x), uniform(4)),
    "landmark_loss": (lambda x: coarse_losses.landmark_loss(x, x.flip(0)), uniform(2, 468, 2)),
    "photometric_loss": (lambda x: coarse_losses.photometric_loss(x, 1 - x, x[..., 0]), uniform(2, 8, 8, 3)),
    "similarity_between": (lambda x: similarity_between(x, x.flip(1)).scale, uniform(2, 9, 3)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(name, device, dtype):
    operation, values = OPERATIONS[name]
    found = operation(values.to(device, dtype))
    assert (found.device.type, found.dtype) == (device.type, dtype)
    torch.testing.assert_close(found.cpu().double(), operation(values), **OF_DTYPE[dtype])


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ("depth", "vertex_visibility")])
def test_gradients_reach_the_input(name, device, dtype):
    operation, values = OPERATIONS[name]
    inputs = values.to(device, dtype).requires_grad_()
    operation(inputs).square().sum().backward()
    assert inputs.grad is not None
    assert torch.isfinite(inputs.grad).all()
    assert inputs.grad.abs().max() > 0
