r"""Adversarial loss with a gradient penalty, as pure functions of scores and pictures.

Gulrajani et al., "Improved training of Wasserstein GANs", 2017, equation 3: the critic D minimises

.. math:: E[D(\tilde x)] - E[D(x)] + \lambda\, E[(\lVert \nabla D(\hat x) \rVert_2 - 1)^2], \qquad
          \hat x = \epsilon x + (1 - \epsilon) \tilde x, \quad \epsilon \sim U[0, 1]

over photos x and drawn pictures :math:`\tilde x`; who draws them minimises :math:`-E[D(\tilde x)]`. Lin et al. 2020
take five steps of the critic for one of the refiner and weigh its part by 0.001.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from refine.losses import safe_norm
from render.shapes import check_shape

PENALTY_FACTOR = 10.0
"""lambda, as in Gulrajani et al. 2017 and the released code."""


def critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """E[D(drawn)] - E[D(photo)], without the penalty: add `PENALTY_FACTOR * gradient_penalty(...)`.

    Args:
        real_scores: (B,) of photos.
        fake_scores: (N,) of drawn pictures, detached from what drew them.

    Raises:
        ShapeError: scores are not one number a picture.
    """
    check_shape("real_scores", real_scores, "B")
    check_shape("fake_scores", fake_scores, "B")
    return fake_scores.mean() - real_scores.mean()


def generator_loss(fake_scores: Tensor) -> Tensor:
    """L_adv = -E[D(drawn)] of (B,) scores.

    Raises:
        ShapeError: scores are not one number a picture.
    """
    check_shape("fake_scores", fake_scores, "B")
    return -fake_scores.mean()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    *,
    epsilon: Tensor | None = None,
    shared_epsilon: bool = False,
) -> Tensor:
    """E[(|grad D| - 1)^2] between photos and drawn pictures, without its factor `PENALTY_FACTOR`.

    Differentiable in the critic's weights; nothing flows back into `real` and `fake`.

    Args:
        critic: pictures (B, 3, H, W) to scores (B,), each score depending on its own picture only.
        real: (B, 3, H, W) photos.
        fake: (B, 3, H, W) drawn pictures.
        epsilon: (B,) in [0, 1], where between the two to look: 1 is the photo. None draws them.
        shared_epsilon: draw one epsilon for the whole batch, as the released code does, instead of one a sample.

    Raises:
        ShapeError: shapes disagree.
        ValueError: both an epsilon and a way to draw one are given.
    """
    bound = check_shape("real", real, "B C H W")
    check_shape("fake", fake, "B C H W", **bound)
    if epsilon is None:
        drawn = torch.rand(1 if shared_epsilon else len(real), device=real.device, dtype=real.dtype)
        epsilon = drawn.expand(len(real))
    elif shared_epsilon:
        raise ValueError("epsilon is given, so shared_epsilon would be ignored: leave it out")
    check_shape("epsilon", epsilon, "B", B=bound["B"])
    between = torch.lerp(fake.detach(), real.detach(), epsilon.to(real)[:, None, None, None]).requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (safe_norm(slope.flatten(1), dim=1) - 1.0).square().mean()


def paste(drawn: Tensor, photo: Tensor, covered: Tensor) -> Tensor:
    """The photo with the drawn face in its place, R' of Lin et al. 2020: what critic and identity network look at.

    Args:
        drawn: (B, 3, H, W).
        photo: (B, 3, H, W).
        covered: (B, H, W) in [0, 1], how far the mesh covers a pixel.

    Returns:
        (B, 3, H, W); where nothing is covered the photo, with no gradient to `drawn` (which may hold NaN there).

    Raises:
        ShapeError: shapes disagree.
    """
    bound = check_shape("drawn", drawn, "B 3 H W")
    check_shape("photo", photo, "B 3 H W", **bound)
    check_shape("covered", covered, "B H W", **bound)
    share = covered.to(photo)[:, None]
    return photo + share * (torch.where(share > 0, drawn, photo) - photo)
