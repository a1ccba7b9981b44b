import pytest
import torch

from coarse.face_model import load_face_model
from refine.decoder import DecoderConfig, GraphDecoder
from refine.pyramid import MeshPyramid
from refine.refiner import CombineNet, GraphRefiner, RefinerConfig
from refine.unet import GraphUNet, UNetConfig, dense_unet_config
from tests.refine.meshes import random, sphere_pyramid


@pytest.fixture(scope="module")
def pyramid():
    return sphere_pyramid(3, (4, 4))


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_refiner_has_the_published_number_of_parameters(pyramid):
    assert count(GraphRefiner(RefinerConfig(), pyramid)) == 30_044


def test_wide_refiner_has_the_published_number_of_parameters(pyramid):
    assert count(GraphRefiner(RefinerConfig(channels=(16, 32, 64, 128)), pyramid)) == 209_836


def test_combine_net_has_the_published_number_of_parameters(pyramid):
    assert count(CombineNet(pyramid.laplacian(0))) == 108


@pytest.mark.parametrize(("embedding", "total"), [(512, 2_309_996), (3840, 17_219_436)])
def test_decoder_would_have_the_published_number_on_140_coarsest_vertices(embedding, total):
    deep = sphere_pyramid(3, (2, 2, 2, 2))
    decoder = GraphDecoder(DecoderConfig(embedding_size=8), deep)
    published = (embedding + 1) * 140 * 32 + count(decoder.blocks)
    assert published == total
    assert count(decoder.dense) == 9 * deep.vertex_counts[-1] * 32


def test_shapes(pyramid):
    decoder = GraphDecoder(DecoderConfig(embedding_size=8, channels=(8, 4)), pyramid)
    refiner = GraphRefiner(RefinerConfig(in_channels=7, channels=(4, 8, 8, 4)), pyramid)
    combined = CombineNet(pyramid.laplacian(0))(decoder(random(2, 8)), refiner(random(2, 642, 7)))
    assert combined.shape == (2, 642, 3)
    assert combined.abs().max() <= 1


def test_refiner_is_equivariant_to_what_the_mesh_cannot_tell_apart(pyramid):
    refiner = GraphRefiner(RefinerConfig(channels=(4, 8, 8, 4)), pyramid)
    x = random(2, 642, 7)
    assert torch.allclose(refiner(x)[1:], refiner(x[1:]), atol=1e-5)


def test_unet_answers_zero_at_first_and_then_uses_both_inputs(pyramid):
    net = GraphUNet(5, 2, UNetConfig(channels=(4, 8, 8), embedding_size=6, embedding_hidden=4), pyramid)
    x, e = random(2, 642, 5).requires_grad_(), random(2, 6, seed=1).requires_grad_()
    assert not net(x, e).any()
    torch.nn.init.normal_(net.head.weight)
    y = net(x, e)
    y.square().sum().backward()
    assert y.shape == (2, 642, 2)
    assert x.grad.abs().sum() > 0
    assert e.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_unet_sees_the_whole_mesh(pyramid):
    net = GraphUNet(1, 1, UNetConfig(channels=(4, 8, 8), embedding_size=6, embedding_hidden=4), pyramid)
    torch.nn.init.normal_(net.head.weight)
    x = random(1, 642, 1).requires_grad_()
    net(x, random(1, 6))[0, 0, 0].backward()
    assert (x.grad[0, :, 0] != 0).float().mean() > 0.9


def test_unet_keeps_the_size_of_its_signals(pyramid):
    net = GraphUNet(5, 2, UNetConfig(channels=(16, 32, 32)), pyramid)
    sizes = []
    for block in [*net.down, net.bottom, *net.up]:
        block.register_forward_hook(lambda _, inputs, output: sizes.append((output.std() / inputs[0].std()).item()))
    net(random(1, 642, 5), torch.nn.functional.normalize(random(1, 512)))
    assert 0.5 < min(sizes)
    assert max(sizes) < 2


def test_the_dense_network_has_as_many_parameters_and_no_graph_convolution():
    pyramid = MeshPyramid(load_face_model().levels)
    graph, dense = (GraphUNet(14, 8, config, pyramid) for config in (UNetConfig(), dense_unet_config()))
    assert abs(count(dense) / count(graph) - 1) < 0.03
    assert {p.shape[0] for name, p in dense.named_parameters() if p.ndim == 3} == {1}


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (DecoderConfig, {"channels": ()}),
        (DecoderConfig, {"order": 0}),
        (DecoderConfig, {"activation": "gelu"}),
        (RefinerConfig, {"channels": (1, 2, 3)}),
        (RefinerConfig, {"in_channels": 0}),
        (RefinerConfig, {"activation": "gelu"}),
        (UNetConfig, {"channels": (16,)}),
        (UNetConfig, {"embedding_hidden": 0}),
        (UNetConfig, {"activation": "gelu"}),
    ],
)
def test_wrong_configurations_are_refused(kind, wrong):
    with pytest.raises(ValueError, match=r"\S+ (sizes must|is 'gelu')"):
        kind(**wrong)


def test_depth_of_pyramid_and_configuration_must_agree(pyramid):
    with pytest.raises(ValueError, match="needs 2 decoder channels"):
        GraphDecoder(DecoderConfig(), pyramid)
    with pytest.raises(ValueError, match="as many channels"):
        GraphUNet(3, 3, UNetConfig(), pyramid)
    with pytest.raises(ValueError, match="pools once"):
        GraphRefiner(RefinerConfig(), sphere_pyramid(1, ()))
