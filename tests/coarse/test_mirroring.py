"""Mirrored photographs, mirrored coefficients."""

import pytest
import torch

from coarse.face_model import load_face_model
from coarse.mirroring import (
    RawMirror,
    map_mirror_bias,
    mirror_bias,
    remove_map_mirror_bias,
    remove_mirror_bias,
)
from coarse.morphable import MorphableModel, crop_camera
from coarse.position_map import PositionMapLayout
from coarse.position_network import PositionMapConfig, PositionMapNetwork
from coarse.regressor import CoefficientRegressor, ResNetConfig
from coarse.spatial_transformer.theta import theta_layout_of
from render.lighting import shade


@pytest.fixture(scope="module")
def face_model():
    return load_face_model()


@pytest.fixture(scope="module")
def model(face_model):
    return MorphableModel(face_model, level=2)


@pytest.fixture(scope="module")
def mirror(face_model, model):
    return RawMirror(face_model, model.layout.sizes)


def random_raw(model, count, seed=0):
    return 0.4 * torch.randn(count, model.layout.total, generator=torch.Generator().manual_seed(seed))


def test_twice_is_nothing(model, mirror):
    raw = random_raw(model, 3)
    assert torch.allclose(mirror(mirror(raw)), raw)
    assert not torch.allclose(mirror(raw), raw)


def test_landmarks_are_mirrored(model, mirror):
    raw = random_raw(model, 2)
    plain, mirrored = (model.layout.decode(x) for x in (raw, mirror(raw)))
    points = crop_camera(2).project(model.landmarks_cam(plain))
    other = crop_camera(2).project(model.landmarks_cam(mirrored))
    flipped = points * torch.tensor([-1.0, 1, 1]) + torch.tensor([224.0, 0, 0])
    middle = torch.cdist(model.landmark_mean * torch.tensor([-1.0, 1, 1]), model.landmark_mean).argmin(1)
    assert (other - flipped[:, middle])[..., :2].abs().max() < 0.3  # the bases are symmetric to a fraction of a mm


def test_light_is_mirrored(model, mirror):
    raw = random_raw(model, 1)
    light, other = (model.layout.decode(x).lighting for x in (raw, mirror(raw)))
    normals = torch.nn.functional.normalize(torch.randn(1, 50, 3, generator=torch.Generator().manual_seed(1)), dim=2)
    assert torch.allclose(shade(normals * torch.tensor([-1.0, 1, 1]), other), shade(normals, light), atol=1e-5)


def test_the_bias_is_found_and_removed(model, mirror):
    torch.manual_seed(0)
    network = CoefficientRegressor(model.layout, ResNetConfig((1, 1, 1, 1), width=4)).eval()
    crops = [torch.rand(2, 3, 224, 224) for _ in range(2)]
    with torch.no_grad():
        network.heads["rotation"].bias += torch.tensor([0.3, 0.2, -0.1])
        network.heads["translation"].bias += torch.tensor([0.5, 0.25, 0.0])
    bias = model.layout.split(mirror_bias(network, crops, mirror)[None])
    assert torch.allclose(bias["rotation"], torch.tensor([[0.0, 0.2, -0.1]]), atol=1e-6)
    assert torch.allclose(bias["translation"], torch.tensor([[0.5, 0.0, 0.0]]), atol=1e-6)
    remove_mirror_bias(network, network.head_biases, crops, mirror)
    assert mirror_bias(network, crops, mirror).abs().max() < 1e-6


def test_only_what_is_odd_is_removed(model, mirror):
    """A network that answers each picture as it likes: what is left has no odd part."""

    def network(crops):
        return torch.cat([crops.flatten(1)[:, : model.layout.total]])

    crops = [torch.rand(4, 3, 224, 224, generator=torch.Generator().manual_seed(4))]
    offset = torch.zeros(model.layout.total)
    remove_mirror_bias(lambda x: network(x) + offset, [offset], crops, mirror)
    assert offset.abs().max() > 0.01
    assert mirror_bias(lambda x: network(x) + offset, crops, mirror).abs().max() < 1e-6


def test_no_crops_are_refused(model, mirror):
    network = CoefficientRegressor(model.layout, ResNetConfig((1, 1, 1, 1), width=4))
    with pytest.raises(ValueError, match="photographs"):
        mirror_bias(network, [], mirror)


def test_a_localisers_vector_is_mirrored_too(face_model):
    layout = theta_layout_of(face_model, identity=10, expression=0)
    raw = torch.arange(1.0, layout.total + 1)[None]
    mirrored = layout.decode(RawMirror(face_model, layout.sizes)(raw))
    plain = layout.decode(raw)
    flipped = torch.tensor([[224.0, 0.0]]) + plain.translation * torch.tensor([-1.0, 1.0])
    assert torch.allclose(mirrored.translation, flipped)
    assert torch.allclose(mirrored.rotation, plain.rotation * torch.tensor([1.0, -1, -1]))
    assert torch.equal(mirrored.log_scale, plain.log_scale)
    assert torch.equal(mirrored.identity.abs(), plain.identity.abs())


@pytest.fixture(scope="module")
def maps_network(face_model):
    torch.manual_seed(1)
    config = PositionMapConfig(stem=4, encoder=(4, 4, 4, 4), decoder=(4, 4, 4, 4))
    network = PositionMapNetwork(PositionMapLayout(face_model, 32), config).eval()
    torch.nn.init.normal_(network.pose.weight, std=0.3)
    return network


def test_maps_move_by_what_a_pose_expresses(face_model, maps_network):
    windows = torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        before = maps_network(windows)
        affine = torch.tensor([[0.01, 0.02, 0.0], [0.0, -0.03, 0.01], [0.02, 0.0, 0.0]])
        turned = torch.einsum("ij,jhw->ihw", affine, maps_network.template)
        offset = turned + torch.tensor([1.0, -2.0, 3.0])[:, None, None]
        maps_network.move(offset)
        assert torch.allclose(maps_network(windows) - before, offset[None], atol=1e-3)
        maps_network.move(-offset)
        assert torch.allclose(maps_network(windows), before, atol=1e-3)


def test_the_bias_of_maps_is_found_and_removed(maps_network):
    windows = [torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(seed)) for seed in range(2)]
    remove_map_mirror_bias(maps_network, windows)
    clean = map_mirror_bias(maps_network, windows)
    with torch.no_grad():
        maps_network.pose.bias[9:] += torch.tensor([0.05, 0.04, -0.03])  # 0.5 px to the right, which alone is odd
    bias = map_mirror_bias(maps_network, windows) - clean
    assert torch.allclose(bias.mean((1, 2)), torch.tensor([0.5, 0.0, 0.0]), atol=1e-4)
    remove_map_mirror_bias(maps_network, windows)
    left = map_mirror_bias(maps_network, windows)
    assert (left - clean).abs().max() < 0.01  # px; the mean face is symmetric to about this


def test_no_windows_are_refused(maps_network):
    with pytest.raises(ValueError, match="photographs"):
        map_mirror_bias(maps_network, [])
