import pytest
import torch

from refine.adversarial import PENALTY_FACTOR, critic_loss, generator_loss, gradient_penalty, paste
from refine.discriminator import Critic, DiscriminatorConfig
from render.shapes import ShapeError
from tests.refine.meshes import random


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_losses_of_scores():
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([-1.0, 0.0, 4.0])
    assert critic_loss(real, fake).item() == pytest.approx(1.0 - 2.0)
    assert generator_loss(fake).item() == pytest.approx(-1.0)
    with pytest.raises(ShapeError, match="fake_scores has shape"):
        generator_loss(fake[:, None])


def test_penalty_of_a_linear_critic_is_its_distance_from_slope_one():
    weight = random(3, 4, 5).requires_grad_()
    penalty = gradient_penalty(lambda x: (x * weight).sum((1, 2, 3)), random(6, 3, 4, 5), random(6, 3, 4, 5, seed=1))
    assert penalty.item() == pytest.approx((weight.norm().item() - 1) ** 2, rel=1e-5)
    penalty.backward()
    expected = 2 * (weight.norm() - 1) * weight / weight.norm()
    assert torch.allclose(weight.grad, expected.detach(), atol=1e-5)


def test_penalty_of_a_quadratic_critic_is_taken_at_the_mixture_of_each_sample():
    real, fake = random(4, 3, 2, 2), random(4, 3, 2, 2, seed=1)
    epsilon = torch.tensor([0.0, 0.25, 0.5, 1.0])
    penalty = gradient_penalty(lambda x: 0.5 * x.square().sum((1, 2, 3)), real, fake, epsilon=epsilon)
    mixed = epsilon[:, None, None, None] * real + (1 - epsilon)[:, None, None, None] * fake
    assert penalty.item() == pytest.approx((mixed.flatten(1).norm(dim=1) - 1).square().mean().item(), rel=1e-5)


@pytest.mark.parametrize(("shared", "different"), [(False, 5), (True, 1)])
def test_one_epsilon_a_sample_or_one_a_batch(shared, different):
    seen = []

    def spy(x):
        seen.append(x.detach()[:, 0, 0, 0])
        return x.sum((1, 2, 3))

    real, fake = torch.ones(5, 3, 2, 2), torch.zeros(5, 3, 2, 2)
    torch.manual_seed(3)
    gradient_penalty(spy, real, fake, shared_epsilon=shared)
    assert len(seen[0].unique()) == different
    assert ((seen[0] >= 0) & (seen[0] <= 1)).all()


def test_penalty_repeats_with_the_seed_and_refuses_contradictions():
    critic = Critic(DiscriminatorConfig(side=32, channels=(2, 2, 2, 2, 2, 2)))
    real, fake = random(3, 3, 32, 32), random(3, 3, 32, 32, seed=1)

    def penalty(seed):
        torch.manual_seed(seed)
        return gradient_penalty(critic, real, fake)

    first, again, other = (penalty(seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    with pytest.raises(ValueError, match="leave it out"):
        gradient_penalty(critic, real, fake, epsilon=torch.ones(3), shared_epsilon=True)
    with pytest.raises(ShapeError, match="epsilon"):
        gradient_penalty(critic, real, fake, epsilon=torch.ones(2))


def test_penalty_is_differentiable_in_the_weights_but_not_in_the_pictures():
    critic = Critic(DiscriminatorConfig(side=32, channels=(2, 3, 3, 3, 3, 3))).double()
    real, fake = random(2, 3, 32, 32).double().requires_grad_(), random(2, 3, 32, 32, seed=1).double().requires_grad_()
    weight = critic.convolutions[2].weight

    def penalty(value):
        def scores(x):
            return torch.func.functional_call(critic, {"convolutions.2.weight": value}, (x,))

        return gradient_penalty(scores, real, fake, epsilon=torch.tensor([0.3, 0.8]))

    assert torch.autograd.gradcheck(penalty, (weight.detach().clone().requires_grad_(),), fast_mode=True)
    gradient_penalty(critic, real, fake).backward()
    assert real.grad is None
    assert fake.grad is None
    assert weight.grad.any()


def test_penalty_works_where_gradients_are_off_and_at_a_flat_critic():
    weight = torch.zeros(3, 2, 2, requires_grad=True)
    with torch.no_grad():
        real, fake = torch.ones(2, 3, 2, 2), torch.zeros(2, 3, 2, 2)
    penalty = gradient_penalty(lambda x: (x * weight).sum((1, 2, 3)), real, fake)
    penalty.backward()
    assert penalty.item() == 1
    assert weight.grad.isfinite().all()


def test_a_critic_learns_to_tell_two_kinds_of_pictures_apart_with_slope_one_between():
    torch.manual_seed(0)
    critic = Critic(DiscriminatorConfig(side=32, channels=(4, 8, 8, 8, 8, 8)))
    optimizer = torch.optim.Adam(critic.parameters(), 3e-3, betas=(0.5, 0.9))

    def draw(seed):
        noise = torch.rand(8, 3, 32, 32, generator=seeded(seed))
        return noise, torch.nn.functional.avg_pool2d(noise, 3, 1, 1)

    for seed in range(40):
        real, fake = draw(seed)
        penalty = gradient_penalty(critic, real, fake)
        loss = critic_loss(critic(real), critic(fake)) + PENALTY_FACTOR * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    real, fake = draw(1000)
    assert critic(real).min() > critic(fake).max()
    assert gradient_penalty(critic, real, fake) < 0.5


def test_paste_mixes_by_cover_and_leaves_the_photo_elsewhere():
    drawn, photo = random(2, 3, 4, 4).requires_grad_(), random(2, 3, 4, 4, seed=1)
    covered = torch.zeros(2, 4, 4)
    covered[:, 0], covered[:, 1] = 1.0, 0.25
    pasted = paste(drawn, photo, covered)
    assert torch.allclose(pasted[:, :, 0], drawn[:, :, 0])
    assert torch.allclose(pasted[:, :, 1], 0.25 * drawn[:, :, 1] + 0.75 * photo[:, :, 1])
    assert torch.equal(pasted[:, :, 2:], photo[:, :, 2:])
    pasted.sum().backward()
    assert torch.equal(drawn.grad, covered[:, None].expand_as(drawn))


def test_paste_never_reads_what_is_not_covered():
    drawn = torch.full((1, 3, 2, 2), torch.nan)
    drawn[..., 0, 0] = 1.0
    covered = torch.zeros(1, 2, 2)
    covered[..., 0, 0] = 1.0
    assert paste(drawn, torch.zeros(1, 3, 2, 2), covered).isfinite().all()
