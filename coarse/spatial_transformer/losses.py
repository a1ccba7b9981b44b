"""The geometric losses of the spatial transformer (section 5 of the paper), as pure functions.

Colours are in [0, 1] and enter as 0 to 255, the unit of the published weights. The released code divides the texture
terms' values by the number of texels but not their gradients, which makes them some 10,000 times stronger in training
than the weights say; here value and gradient agree.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from render.shapes import check_shape

PUBLISHED_POINTS = 21
"""Landmarks over which the published loss sums."""

_LEVELS = 255.0


@dataclass(frozen=True)
class TransformerLossWeights:
    """Weights of the terms; the defaults are the published ones."""

    landmarks: float = 0.8998
    """Weight of the squared landmark distance, px^2, summed over 21 points."""
    prior: float = 0.1
    """Weight of the sum of squares of alpha."""
    siamese: float = 1e-4
    """Weight of the squared difference of two flattened views of a face, colours from 0 to 255."""
    symmetry: float = 1e-4
    """Weight of the squared difference of a flattened face and its mirror image, colours from 0 to 255."""
    expression_range: float = 0.0
    """Weight of the squared overshoot of blendshapes outside [0, 1]: our units are one-sided; published are none."""


def landmark_loss(points_px: Tensor, truth_px: Tensor, visible: Tensor | None = None) -> Tensor:
    """Squared distance of the visible landmarks, px^2, as if summed over 21 points; mean over the batch.

    Args:
        points_px: (B, N, 2) projected.
        truth_px: (B, N, 2).
        visible: (B, N) in [0, 1]; hidden ones count nothing. None: all count.
    """
    bound = check_shape("points_px", points_px, "B N 2")
    check_shape("truth_px", truth_px, "B N 2", **bound)
    squares = (points_px - truth_px).square().sum(-1)
    if visible is not None:
        check_shape("visible", visible, "B N", **bound)
        squares = squares * visible.to(squares)
    return PUBLISHED_POINTS * squares.mean()


def prior_loss(alpha: Tensor) -> Tensor:
    """Sum of squares of the shape parameters (B, K), mean over the batch."""
    check_shape("alpha", alpha, "B K")
    return alpha.square().sum(1).mean()


def range_loss(expression: Tensor) -> Tensor:
    """Sum of squared overshoots of the blendshapes (B, Ne) outside [0, 1], mean over the batch."""
    return (expression - expression.clamp(0, 1)).square().sum(1).mean()


def siamese_loss(one: Tensor, other: Tensor, one_mask: Tensor, other_mask: Tensor) -> Tensor:
    """Mean squared difference over the texels that both views of a face show, colours from 0 to 255.

    Args:
        one: (B, C, S, S) flattened textures in [0, 1].
        other: (B, C, S, S) the other views of the same faces.
        one_mask: (B, S, S) visibility or weight in [0, 1].
        other_mask: (B, S, S).

    Returns:
        A scalar; 0 where nothing is seen in both.
    """
    size = check_shape("one", one, "B C h w")
    check_shape("other", other, "B C h w", **size)
    texels = {letter: size[letter] for letter in "Bhw"}
    check_shape("one_mask", one_mask, "B h w", **texels)
    check_shape("other_mask", other_mask, "B h w", **texels)
    joint = (one_mask.to(one) * other_mask.to(one))[:, None]
    squares = (joint * (one - other).square()).sum()
    return _LEVELS**2 * squares / (size["C"] * joint.sum()).clamp(min=1.0)


def symmetry_loss(texture: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference of flattened faces (B, C, S, S) and their mirror images, where both show the face."""
    return siamese_loss(texture, texture.flip(3), mask, mask.flip(2))
