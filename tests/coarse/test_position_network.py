"""The published position map network by its layer list, and the light one that ships."""

import pytest
import torch
from torch import nn

from coarse.face_model import load_face_model
from coarse.position_map import WINDOW_PX, PositionMapLayout
from coarse.position_network import (
    TYPICAL_ERROR_PERCENT,
    PositionMapNetwork,
    PRNet,
    load_position_map_network,
    make_position_map_network,
)
from tests.tolerances import STORED

# "resfcn256": output channels, output side and stride of every layer as published.
ENCODER = (
    (32, 128, 2), (32, 128, 1), (64, 64, 2), (64, 64, 1), (128, 32, 2), (128, 32, 1),
    (256, 16, 2), (256, 16, 1), (512, 8, 2), (512, 8, 1),
)  # fmt: skip
DECODER = (
    (512, 8, 1),
    (256, 16, 2), (256, 16, 1), (256, 16, 1),
    (128, 32, 2), (128, 32, 1), (128, 32, 1),
    (64, 64, 2), (64, 64, 1), (64, 64, 1),
    (32, 128, 2), (32, 128, 1),
    (16, 256, 2), (16, 256, 1),
    (3, 256, 1), (3, 256, 1), (3, 256, 1),
)  # fmt: skip


@pytest.fixture(scope="module")
def layout():
    return PositionMapLayout(load_face_model())


@pytest.fixture(scope="module")
def windows():
    return torch.rand(2, 3, WINDOW_PX, WINDOW_PX, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def prnet():
    torch.manual_seed(0)
    return PRNet()


@pytest.fixture
def light(layout):
    """Untrained, its last layers not zero, so that what stands before them matters."""
    torch.manual_seed(0)
    network = PositionMapNetwork(layout)
    for head in (network.pose, network.deformation, network.trust[-1]):
        nn.init.normal_(head.weight, std=0.05)
    return network


@pytest.fixture(scope="module")
def traced(prnet, windows):
    """Every convolution of the published network with the shapes that went in and came out, in order."""
    layers = []

    def note(module, inputs, output):
        layers.append((module, tuple(inputs[0].shape[1:]), tuple(output.shape[1:])))

    hooks = [m.register_forward_hook(note) for m in prnet.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    with torch.no_grad():
        prnet.eval()(windows[:1])
    for hook in hooks:
        hook.remove()
    return layers


def test_published_stem(traced):
    module, _, output = traced[0]
    assert (module.in_channels, module.out_channels) == (3, 16)
    assert (module.kernel_size, module.stride) == ((4, 4), (1, 1))
    assert output == (16, 256, 256)


def test_published_encoder(prnet):
    assert len(prnet.encoder) == 10
    x, channels = torch.zeros(1, 16, 256, 256), 16
    with torch.no_grad():
        for block, (width, side, stride) in zip(prnet.eval().encoder, ENCODER, strict=True):
            convolutions = [m for m in block.body.modules() if isinstance(m, nn.Conv2d)]
            assert [m.kernel_size[0] for m in convolutions] == [1, 4, 1]
            assert [m.out_channels for m in convolutions] == [width // 2, width // 2, width]
            assert convolutions[1].stride == (stride, stride)
            assert isinstance(block.shortcut, nn.Conv2d) == (stride == 2 or width != channels)
            x, channels = block(x), width
            assert tuple(x.shape[1:]) == (width, side, side)


def test_published_decoder(traced):
    layers = [(module, output) for module, _, output in traced if isinstance(module, nn.ConvTranspose2d)]
    assert len(layers) == 17
    inputs = 512
    for (module, output), (width, side, stride) in zip(layers, DECODER, strict=True):
        assert (module.in_channels, module.out_channels) == (inputs, width)
        assert (module.kernel_size, module.stride) == ((4, 4), (stride, stride))
        assert output[0] == width
        assert side <= output[1] <= side + 1  # a stride of 1 leaves a row that is cut off
        inputs = width


def test_published_parameter_count(prnet):
    """By arithmetic: no biases, two numbers a channel for every batch norm."""
    total = 16 * 3 * 16 + 2 * 16
    inputs = 16
    for width, _, stride in ENCODER:
        half = width // 2
        total += inputs * half + 2 * half + 16 * half * half + 2 * half + half * width + 2 * width
        total += inputs * width if stride == 2 or inputs != width else 0
        inputs = width
    for width, _, _ in DECODER:
        total += 16 * inputs * width + 2 * width
        inputs = width
    assert sum(p.numel() for p in prnet.parameters()) == total
    assert 13e6 < total < 14e6


def test_published_range(prnet, windows):
    with torch.no_grad():
        maps = prnet.eval()(windows[:1])
    assert maps.shape == (1, 3, 256, 256)
    largest = 1.1 * 256
    assert maps[:, :2].min() >= 0
    assert maps[:, :2].max() <= largest
    assert maps[:, 2].abs().max() <= largest / 2


def test_published_answer_of_a_silent_last_layer_is_the_middle():
    network = PRNet().eval()
    nn.init.zeros_(network.decoder[-1].norm.weight)
    nn.init.zeros_(network.decoder[-1].norm.bias)
    with torch.no_grad():
        maps = network(torch.rand(1, 3, 256, 256))
    middle = torch.tensor([140.8, 140.8, 0.0])[None, :, None, None].expand_as(maps)
    torch.testing.assert_close(maps, middle)


def test_gradients_reach_every_parameter_of_the_published_network(prnet, windows):
    prnet.train()
    prnet.zero_grad()
    prnet(windows)[:, :, ::7, ::5].square().mean().backward()
    silent = [name for name, p in prnet.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent
    prnet.zero_grad()


def test_light_network_starts_from_the_mean_face(layout, windows):
    with torch.no_grad():
        maps = PositionMapNetwork(layout).eval()(windows)
    assert maps.shape == (2, 3, 256, 256)
    torch.testing.assert_close(maps, layout.template.expand(2, -1, -1, -1), **STORED)


def test_gradients_reach_every_parameter_of_the_light_network(light, windows):
    answer = light.train().answer(windows)
    trust = answer.expected_error_percent.mean() + answer.face_logit.square().mean()
    (answer.maps[:, :, ::7, ::5].square().mean() + trust).backward()
    silent = [name for name, p in light.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent


def test_an_untrained_network_expects_a_typical_error_and_does_not_know_faces(layout, windows):
    with torch.no_grad():
        answer = PositionMapNetwork(layout).eval().answer(windows)
    torch.testing.assert_close(answer.expected_error_percent, torch.full((2,), TYPICAL_ERROR_PERCENT), **STORED)
    torch.testing.assert_close(answer.face_logit, torch.zeros(2), **STORED)


def test_the_expected_error_is_positive_and_bounded(light, windows):
    nn.init.constant_(light.trust[-1].bias, 50.0)
    with torch.no_grad():
        high = light.eval().answer(windows).expected_error_percent
        nn.init.constant_(light.trust[-1].bias, -50.0)
        low = light.answer(windows).expected_error_percent
    assert (low > 0).all()
    assert (high < 200).all()
    assert (low < high).all()


def test_the_call_answers_the_maps(light, windows):
    light.eval()
    with torch.no_grad():
        assert torch.equal(light(windows), light.answer(windows).maps)


def test_light_network_answers_each_window_alone(light, windows):
    light.eval()
    with torch.no_grad():
        both, first = light(windows), light(windows[:1])
    torch.testing.assert_close(both[:1], first, **STORED)
    assert (both[0] - both[1]).abs().max() > 1e-3


def test_light_network_is_small_as_stored(light):
    values = light.state_dict().values()
    stored = sum(value.numel() * (2 if value.is_floating_point() else value.element_size()) for value in values)
    assert stored <= 10e6
    assert not any(name in light.state_dict() for name in ("template", "centre"))  # the face model has them


def test_weights_there_and_back(light, layout, windows, tmp_path):
    from safetensors.torch import save_file

    file = tmp_path / "weights.safetensors"
    save_file({name: v.half() if v.is_floating_point() else v for name, v in light.state_dict().items()}, file)
    loaded = load_position_map_network(layout, file)
    assert not loaded.training
    with torch.no_grad():
        difference = (loaded(windows) - light.eval()(windows)).abs()
    assert difference.max() < 0.5  # px, of float16


def test_weights_of_another_network_are_refused(layout, tmp_path):
    from safetensors.torch import save_file

    file = tmp_path / "weights.safetensors"
    save_file({"stem.0.weight": torch.zeros(3)}, file)
    with pytest.raises(ValueError, match="another network"):
        load_position_map_network(layout, file)
    with pytest.raises(ValueError, match="missing"):
        load_position_map_network(layout, tmp_path / "none.safetensors")


def test_networks_by_name(layout):
    assert isinstance(make_position_map_network(layout), PositionMapNetwork)
    assert isinstance(make_position_map_network(layout, "prnet"), PRNet)
    with pytest.raises(ValueError, match="expected one of"):
        make_position_map_network(layout, "resnet")


@pytest.mark.parametrize("shape", [(1, 3, 224, 224), (1, 1, 256, 256), (3, 256, 256)])
def test_other_windows_are_refused(light, prnet, shape):
    for network in (light, prnet):
        with pytest.raises(ValueError, match="windows has shape"):
            network(torch.zeros(shape))
