import inspect

import pytest
import torch
from safetensors.torch import load, save

from coarse.face_model import load_face_model
from refine.image_network import ImageUNet, ImageUNetConfig
from refine.pyramid import MeshPyramid
from refine.unet import GraphUNet, UNetConfig
from refine.uv_layout import UVLayout
from tests.refine.meshes import random
from tests.refine.test_uv_layout import sheet

SMALL = ImageUNetConfig(channels=(4, 8, 8), side=16, embedding_size=6, embedding_hidden=4, embedding_channels=2)


@pytest.fixture(scope="module")
def layout():
    return UVLayout(sheet(), 16)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_as_many_parameters_as_the_graph_network():
    model = load_face_model()
    graph = GraphUNet(14, 8, UNetConfig(), MeshPyramid(model.levels))
    image = ImageUNet(14, 8, ImageUNetConfig(), UVLayout(model))
    assert abs(count(image) / count(graph) - 1) < 0.03


def test_the_calling_convention_is_the_graph_network_s(layout):
    ours, theirs = (inspect.signature(kind.forward).parameters for kind in (ImageUNet, GraphUNet))
    assert list(ours) == list(theirs)
    assert list(inspect.signature(ImageUNet).parameters)[:3] == list(inspect.signature(GraphUNet).parameters)[:3]


def test_weights_can_be_saved_without_the_tables(layout):
    net, other = ImageUNet(5, 2, SMALL, layout), ImageUNet(5, 2, SMALL, layout)
    assert set(net.state_dict()) == {name for name, _ in net.named_parameters()}
    other.load_state_dict(load(save(net.state_dict())))
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


def test_answers_zero_at_first_and_then_uses_both_inputs(layout):
    net = ImageUNet(5, 2, SMALL, layout)
    x, e = random(2, 81, 5).requires_grad_(), random(2, 6, seed=1).requires_grad_()
    assert not net(x, e).any()
    torch.nn.init.normal_(net.head.weight)
    y = net(x, e)
    y.square().sum().backward()
    assert y.shape == (2, 81, 2)
    assert x.grad.abs().sum() > 0
    assert e.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert torch.allclose(net(x[1:], e[1:]), y[1:], atol=1e-5)


def test_sees_the_whole_atlas(layout):
    net = ImageUNet(1, 1, SMALL, layout)
    torch.nn.init.normal_(net.head.weight)
    x = random(1, 81, 1).requires_grad_()
    net(x, random(1, 6))[0, 0, 0].backward()
    assert (x.grad[0, :, 0] != 0).float().mean() > 0.9


def test_keeps_the_size_of_its_signals():
    net = ImageUNet(5, 2, ImageUNetConfig(channels=(16, 32, 32), side=64), UVLayout(sheet(32), 64))
    sizes = []
    for block in [*net.down, net.bottom, *net.up]:
        block.register_forward_hook(lambda _, inputs, output: sizes.append((output.std() / inputs[0].std()).item()))
    net(random(1, 33**2, 5), torch.nn.functional.normalize(random(1, 512)))
    assert 0.5 < min(sizes)
    assert max(sizes) < 2


def test_learns_a_pattern_of_the_embedding(layout):
    """The answer is what the embedding says, times a feature: both have to get through."""
    net = ImageUNet(1, 1, SMALL, layout)
    x = torch.as_tensor(sheet().mean[:, :1]).expand(2, -1, -1)
    e = torch.nn.functional.normalize(torch.tensor([[1.0, 0, 0, 0, 0, 0], [0, 1.0, 0, 0, 0, 0]]))
    target = x * torch.tensor([1.0, -1.0])[:, None, None]
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(80):
        loss = (net(x, e) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.02 * target.square().mean()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"channels": (16,)}, "two levels or more"),
        ({"embedding_hidden": 0}, "must all be 1 or more"),
        ({"side": 100}, "need a multiple of 16"),
        ({"activation": "gelu"}, "activation is 'gelu'"),
    ],
)
def test_wrong_configurations_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        ImageUNetConfig(**wrong)


def test_side_of_layout_and_configuration_must_agree(layout):
    with pytest.raises(ValueError, match="side is 16, the configuration's 256"):
        ImageUNet(3, 3, ImageUNetConfig(), layout)
