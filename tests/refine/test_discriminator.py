import pytest
import torch

from refine.discriminator import Critic, DiscriminatorConfig
from render.shapes import ShapeError

TINY = {"side": 32, "channels": (2, 3, 3, 4, 4, 5)}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def pictures(batch, side=32, seed=0):
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_the_default_is_the_released_layout_without_its_norm():
    critic = Critic()
    shapes = [tuple(convolution.weight.shape) for convolution in critic.convolutions]
    widths = (16, 32, 64, 128, 256, 512)
    assert shapes == [(16, 3, 1, 1), *((b, a, 3, 3) for a, b in zip(widths, widths[1:], strict=False))]
    assert critic.score.weight.shape == (1, 512, 7, 7)
    weights = 3 * 16 + 9 * sum(a * b for a, b in zip(widths, widths[1:], strict=False)) + 512 * 49
    assert count(critic) == weights + sum(widths) + 1


@pytest.mark.parametrize("pooling", ["after", "before"])
@pytest.mark.parametrize(("side", "window"), [(32, 1), (64, 2), (112, 4), (224, 7)])
def test_one_score_a_picture_whatever_the_side(side, window, pooling):
    critic = Critic(DiscriminatorConfig(side=side, channels=(2, 2, 2, 2, 2, 2), pooling=pooling))
    assert critic.score.kernel_size == (window, window)
    x = pictures(2, side).requires_grad_()
    scores = critic(x)
    assert scores.shape == (2,)
    scores[0].backward()
    assert not x.grad[1].any()
    assert (x.grad[0, :, -2:] != 0).any()
    assert (x.grad[0, :, :, -2:] != 0).any()


@pytest.mark.parametrize("pooling", ["after", "before"])
def test_scores_are_those_of_the_formula(pooling):
    critic = Critic(DiscriminatorConfig(**TINY, pooling=pooling))
    features = 2 * pictures(2) - 1
    for step, convolution in enumerate(critic.convolutions):
        if step and pooling == "before":
            features = torch.nn.functional.max_pool2d(features, 2)
        features = torch.nn.functional.leaky_relu(convolution(features), 0.2)
        if step and pooling == "after":
            features = torch.nn.functional.max_pool2d(features, 2)
    expected = features.flatten(1) @ critic.score.weight.flatten() + critic.score.bias
    assert torch.allclose(critic(pictures(2)), expected, atol=1e-6)


@pytest.mark.parametrize(("norm", "alone"), [("none", True), ("layer", True), ("instance", True), ("batch", False)])
def test_only_batch_norm_makes_a_score_depend_on_the_other_pictures(norm, alone):
    critic = Critic(DiscriminatorConfig(**TINY | {"side": 64}, norm=norm))
    x = pictures(3, 64)
    together, apart = critic(x)[0], critic(x[:1])[0]
    assert torch.allclose(together, apart, atol=1e-5) == alone


@pytest.mark.parametrize("pooling", ["after", "before"])
@pytest.mark.parametrize("norm", ["none", "layer", "instance"])
def test_first_and_second_derivatives(norm, pooling):
    config = DiscriminatorConfig(side=64, channels=(2, 2, 2, 2, 2, 3), norm=norm, pooling=pooling)
    critic = Critic(config).double()
    x = pictures(1, 64).double().requires_grad_()
    assert torch.autograd.gradcheck(critic, (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(critic, (x,), fast_mode=True)


def test_derivatives_of_the_slope_in_the_weights():
    critic = Critic(DiscriminatorConfig(**TINY)).double()
    x, weight = pictures(2).double(), critic.convolutions[1].weight

    def squared_slope(value):
        names = {"convolutions.1.weight": value}
        between = x.clone().requires_grad_()
        scores = torch.func.functional_call(critic, names, (between,))
        return torch.autograd.grad(scores.sum(), between, create_graph=True)[0].square().sum()

    assert torch.autograd.gradcheck(squared_slope, (weight.detach().clone().requires_grad_(),), fast_mode=True)


def test_signals_keep_their_size_at_the_start():
    critic = Critic()
    sizes = []
    for convolution in critic.convolutions[1:]:
        convolution.register_forward_hook(lambda _, inputs, output: sizes.append(output.std() / inputs[0].std()))
    critic(pictures(1, 224))
    assert 0.4 < min(sizes)
    assert max(sizes) < 2.5


def test_autocast_and_channels_last_give_float32_scores_close_by():
    critic = Critic(DiscriminatorConfig(side=64))
    x = pictures(2, 64)
    exact = critic(x)
    critic.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        fast = critic(x.contiguous(memory_format=torch.channels_last))
    assert fast.dtype == torch.float32
    assert torch.allclose(fast, exact, atol=0.05 * exact.abs().max().item() + 0.05)


@pytest.mark.parametrize(
    "wrong",
    [{"side": 31}, {"channels": (1, 2, 3)}, {"norm": "group"}, {"pooling": "mean"}, {"slope": 1.0}],
)
def test_wrong_configurations_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} (is|are) "):
        DiscriminatorConfig(**wrong)


def test_pictures_of_another_size_are_refused():
    with pytest.raises(ShapeError, match="pictures has shape"):
        Critic(DiscriminatorConfig(**TINY))(pictures(1, 64))
