import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from coarse.coefficients import Coefficients
from coarse.levels import decimated_levels
from coarse.records import CoarseFace
from refine.adaptation import AdaptationTarget, adapt
from refine.network import TextureRefiner, TextureRefinerConfig
from refine.pyramid import MeshPyramid
from refine.unet import UNetConfig
from render.camera import perspective_camera
from render.color import srgb_from_linear
from render.interpolate import interpolate
from render.normals import vertex_normals
from render.rasterize import rasterize
from tests.refine.meshes import icosphere, mirror_table, random

HW = (224, 224)


class MeanColor(nn.Module):
    """Stands for an embedding: what matters is that gradients pass."""

    def forward(self, images):
        return normalize(images.mean((2, 3)), dim=1)


@pytest.fixture(scope="module")
def scene():
    verts, faces = icosphere(3)
    torch.manual_seed(0)
    pyramid = MeshPyramid(decimated_levels(verts, faces, (4, 4)))
    config = TextureRefinerConfig(completion=UNetConfig(channels=(8, 8, 16), embedding_size=8, embedding_hidden=4))
    points = torch.tensor(verts, dtype=torch.float32)[None]
    verts_cam = points * torch.tensor([1.0, -1, -1]) * 90 + torch.tensor([0.0, 0, 1000])
    shading = 0.7 + 0.3 * points[..., 2:3].expand(-1, -1, 3)
    albedo = torch.full_like(points, 0.4)
    nothing = torch.zeros(1, 0)
    coefficients = Coefficients(nothing, nothing, nothing, torch.zeros(1, 3), torch.zeros(1, 3), torch.zeros(1, 9, 3))
    normals = vertex_normals(points, pyramid.faces)
    coarse = CoarseFace(coefficients, points * 90, verts_cam, normals, albedo, shading)
    truth = (0.4 + 0.2 * torch.sin(5 * points)).clamp(0.05, 0.95)
    camera = perspective_camera(1015.0, (112.0, 112.0), HW)
    fragments = rasterize(verts_cam, pyramid.faces, camera)
    image = interpolate(srgb_from_linear(truth * shading), pyramid.faces, fragments)
    target = AdaptationTarget(image.permute(0, 3, 1, 2), torch.ones(1, *HW), camera)
    seen = ((points[..., 2:3] - 0.2) / 0.3).clamp(0, 1)
    refiner = TextureRefiner(config, pyramid, mirror_table(verts))
    return refiner, (albedo, truth * 1.08, seen, normalize(random(1, 8))), coarse, target, truth


def test_adaptation_comes_closer_to_the_photo_and_leaves_the_network_alone(scene):
    refiner, inputs, coarse, target, truth = scene
    before = copy.deepcopy(refiner.state_dict())
    with torch.no_grad():
        first = refiner(*inputs)
    adapted = adapt(refiner, inputs, coarse, target, MeanColor(), steps=12)
    front = inputs[2][..., 0] > 0.9
    assert (adapted - truth)[front].abs().mean() < 0.8 * (first - truth)[front].abs().mean()
    assert all(torch.equal(value, before[name]) for name, value in refiner.state_dict().items())
    assert not adapted.requires_grad


def test_no_steps_give_the_one_pass_answer_also_inside_no_grad(scene):
    refiner, inputs, coarse, target, _ = scene
    with torch.no_grad():
        assert torch.equal(adapt(refiner, inputs, coarse, target, MeanColor(), steps=0), refiner(*inputs))
        assert adapt(refiner, inputs, coarse, target, MeanColor(), steps=1).isfinite().all()


def test_negative_steps_are_refused(scene):
    refiner, inputs, coarse, target, _ = scene
    with pytest.raises(ValueError, match="steps is -1"):
        adapt(refiner, inputs, coarse, target, MeanColor(), steps=-1)
