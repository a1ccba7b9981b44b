"""The network that the benchmark of a training step compares with is the same network."""

import torch

from benchmarks.chebyshev import with_plain_layers
from refine.chebyshev import ChebyshevConv
from refine.chebyshev_reference import ChebyshevConvReference
from refine.unet import GraphUNet, UNetConfig
from tests.refine.meshes import random, sphere_pyramid


def test_plain_layers_answer_and_learn_alike():
    pyramid = sphere_pyramid(3, (4, 4))
    fast = GraphUNet(5, 2, UNetConfig(channels=(4, 8, 8), embedding_size=6, embedding_hidden=4), pyramid)
    torch.nn.init.normal_(fast.head.weight)
    plain = with_plain_layers(fast)
    kinds = [{type(m) for m in net.modules() if isinstance(m, ChebyshevConv)} for net in (fast, plain)]
    assert kinds == [{ChebyshevConv}, {ChebyshevConvReference}]
    answers = [net(random(2, 642, 5), random(2, 6, seed=1)) for net in (fast, plain)]
    torch.testing.assert_close(*answers, atol=1e-4, rtol=1e-4)
    for answer in answers:
        answer.square().mean().backward()
    for mine, theirs in zip(fast.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-4, rtol=1e-3)
