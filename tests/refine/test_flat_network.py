import inspect

import pytest
import torch

from coarse.face_model import load_face_model
from refine.flat_network import FlatConfig, FlatGraphNet
from refine.pyramid import MeshPyramid
from refine.unet import GraphUNet, UNetConfig
from tests.refine.meshes import random, sphere_pyramid

SMALL = FlatConfig(channels=4, blocks=2, embedding_size=6, embedding_hidden=4, order=3)


@pytest.fixture(scope="module")
def pyramid():
    return sphere_pyramid(3, ())


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_as_many_parameters_as_the_graph_network_and_the_same_convention():
    shipped = MeshPyramid(load_face_model().levels)
    graph, flat = GraphUNet(14, 8, UNetConfig(), shipped), FlatGraphNet(14, 8, FlatConfig(), shipped)
    assert abs(count(flat) / count(graph) - 1) < 0.03
    assert list(inspect.signature(flat.forward).parameters) == list(inspect.signature(graph.forward).parameters)


def test_answers_zero_at_first_and_then_uses_both_inputs(pyramid):
    net = FlatGraphNet(5, 2, SMALL, pyramid)
    x, e = random(2, 642, 5).requires_grad_(), random(2, 6, seed=1).requires_grad_()
    assert not net(x, e).any()
    torch.nn.init.normal_(net.head.weight)
    y = net(x, e)
    y.square().sum().backward()
    assert y.shape == (2, 642, 2)
    assert e.grad.abs().sum() > 0
    assert x.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert torch.allclose(net(x[1:], e[1:]), y[1:], atol=1e-5)


def test_hears_of_ten_rings_and_no_further(pyramid):
    """Five convolutions of order 3, two edges each."""
    net = FlatGraphNet(1, 1, SMALL, pyramid)
    torch.nn.init.normal_(net.head.weight)
    x = random(1, 642, 1).requires_grad_()
    net(x, random(1, 6))[0, 0, 0].backward()
    reached = torch.zeros(1, 642, 1)
    reached[0, 0] = 1
    for _ in range(10):
        reached = reached + pyramid.average(reached, 0)
    heard = x.grad != 0
    assert not heard[reached == 0].any()
    assert heard.sum() > 0.9 * (reached > 0).sum()
    assert (reached == 0).any()


def test_keeps_the_size_of_its_signals(pyramid):
    net = FlatGraphNet(5, 2, FlatConfig(channels=32), pyramid)
    sizes = []
    for block in net.blocks:
        block.register_forward_hook(lambda _, inputs, output: sizes.append((output.std() / inputs[0].std()).item()))
    net(random(1, 642, 5), torch.nn.functional.normalize(random(1, 512)))
    assert 0.5 < min(sizes)
    assert max(sizes) < 2


@pytest.mark.parametrize(
    ("wrong", "message"), [({"blocks": 0}, "must all be 1 or more"), ({"activation": "gelu"}, "activation is 'gelu'")]
)
def test_wrong_configurations_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        FlatConfig(**wrong)
