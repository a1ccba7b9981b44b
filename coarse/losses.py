"""Losses of weakly supervised coefficient regression (Deng et al. 2019, section 3), as pure functions of tensors.

Each returns one scalar averaged over the batch; their weights live in `CoarseLossWeights`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from coarse.coefficients import Coefficients
from render.shapes import check_shape

LANDMARK_EMPHASIS_FROM_468 = (1, 2, 4, 5, 6, 168, 195, 197, 13, 14, 78, 80, 81, 82, 87, 88, 95, 178) + (
    191, 308, 310, 311, 312, 317, 318, 324, 402, 415,
)  # fmt: skip
"""Bridge of the nose and inner lips, which Deng et al. weigh 20 times the rest among their 68 points."""


@dataclass(frozen=True)
class CoarseLossWeights:
    """Weights of the terms; the defaults are the published ones (Deng's released code)."""

    landmarks: float = 1.6e-3
    """Weight of the squared landmark distance, px^2 at 224 px."""
    landmark_emphasis: float = 20.0
    """How many times as much the bridge of the nose and the inner lips count as the rest."""
    photometric: float = 1.92
    """Weight of the colour distance inside the skin mask."""
    identity: float = 0.2
    """Weight of 1 - cosine of the FaceNet embeddings of render and photo."""
    coefficients: float = 3e-4
    """Weight of the prior, which scales the three terms below."""
    prior_identity: float = 1.0
    """Share of the identity coefficients' squares in the prior."""
    prior_expression: float = 0.8
    """Share of the expression coefficients' squares in the prior."""
    prior_albedo: float = 1.7e-2
    """Share of the albedo coefficients' squares in the prior."""
    expression_range: float = 0.0
    """Weight of the squared overshoot of blendshapes outside [0, 1]: our units are one-sided, unlike the published."""
    gamma: float = 10.0
    """Weight of the distance of the light from white."""
    reflectance: float = 5.0
    """Weight of the variance of the albedo over the skin."""


def landmark_loss(points_px: Tensor, truth_px: Tensor, emphasis: float = 1.0) -> Tensor:
    """Weighted mean squared distance of projected landmarks, px^2 (Deng et al. 2019, eq. 4).

    Args:
        points_px: (B, 468, 2) projected model landmarks.
        truth_px: (B, 468, 2).
        emphasis: weight of `LANDMARK_EMPHASIS_FROM_468` against 1 for the others.
    """
    bound = check_shape("points_px", points_px, "B 468 2")
    check_shape("truth_px", truth_px, "B 468 2", B=bound["B"])
    weight = torch.ones(468, device=points_px.device)
    weight[list(LANDMARK_EMPHASIS_FROM_468)] = emphasis
    return (weight * (points_px - truth_px).square().sum(-1)).mean()


def landmark_distance_loss(points_px: Tensor, truth_px: Tensor) -> Tensor:
    """Mean distance over sqrt(box area) of the true points: the figure that is reported, as a loss."""
    distance = ((points_px - truth_px).square().sum(-1) + 1e-4).sqrt()
    return (distance.mean(dim=1) / box_side(truth_px)).mean()


def box_side(points_px: Tensor) -> Tensor:
    """Root of the area of the box of points (..., N, 2), 1 px at least: (...)."""
    return (points_px.amax(-2) - points_px.amin(-2)).prod(-1).sqrt().clamp(min=1.0)


def photometric_loss(render: Tensor, photo: Tensor, mask: Tensor) -> Tensor:
    """sum(mask * |render - photo|_2) / sum(mask), per photo, then averaged (eq. 2; the norm is over RGB).

    Args:
        render: (B, H, W, 3) sRGB.
        photo: (B, H, W, 3) sRGB.
        mask: (B, H, W) attention in [0, 1]: skin that the render covers.
    """
    distance = ((render - photo).square().sum(-1) + 1e-8).sqrt()
    return ((distance * mask).sum((1, 2)) / mask.sum((1, 2)).clamp(min=1.0)).mean()


def identity_loss(render_embedding: Tensor, photo_embedding: Tensor) -> Tensor:
    """1 - cosine of two (B, D) embeddings (eq. 5)."""
    return 1 - torch.cosine_similarity(render_embedding, photo_embedding, dim=1).mean()


def coefficient_prior(coefficients: Coefficients, weights: CoarseLossWeights) -> Tensor:
    """Weighted squared norms of identity, expression and albedo (eq. 6), and the range of the blendshapes."""
    c, w = coefficients, weights
    overshoot = (c.expression - c.expression.clamp(0, 1)).square().sum(1)
    squares = (
        w.prior_identity * c.identity.square().sum(1)
        + w.prior_expression * c.expression.square().sum(1)
        + w.prior_albedo * c.albedo.square().sum(1)
    )
    return (w.coefficients * squares + w.expression_range * overshoot).mean()


def gamma_loss(lighting: Tensor) -> Tensor:
    """Mean squared distance of the light (B, 9, 3) from its own grey: skin colour belongs into the albedo."""
    return (lighting - lighting.mean(dim=2, keepdim=True)).square().mean()


def reflectance_loss(albedo: Tensor, skin: Tensor) -> Tensor:
    """Variance of the albedo (B, V, 3) over the skin vertices `skin` (V,), flattening what light should explain."""
    inside = albedo[:, skin]
    return (inside - inside.mean(dim=1, keepdim=True)).square().mean()


def euclidean_loss(predicted: Tensor, label: Tensor) -> Tensor:
    """||label - predicted||^2 of coefficients (B, D), batch mean; doubtful answers are drawn to the mean face."""
    bound = check_shape("predicted", predicted, "B D")
    check_shape("label", label, "B D", **bound)
    return (label - predicted).square().sum(1).mean()


def asymmetric_euclidean_loss(predicted: Tensor, label: Tensor, over: float = 1.0, under: float = 3.0) -> Tensor:
    """Asymmetric Euclidean loss of coefficients (Tran et al. 2017, eq. 2 to 4).

    With g the label, p the prediction, g+ = |g|, p+ = sign(g) p and m = max(g+, p+):
    E = over ||g+ - m||^2 + under ||p+ - m||^2. A coefficient that is too large costs `over`, one that shrinks towards
    the mean face (or has the wrong sign) costs `under`. A label of exactly 0 has no side and costs nothing.

    Args:
        predicted: (B, D).
        label: (B, D).
        over: lambda_1.
        under: lambda_2; 3 times lambda_1 as published.

    Returns:
        The loss averaged over the batch.
    """
    bound = check_shape("predicted", predicted, "B D")
    check_shape("label", label, "B D", **bound)
    size = label.abs()
    along = label.sign() * predicted
    larger = torch.maximum(size, along)
    squares = over * (size - larger).square() + under * (along - larger).square()
    return squares.sum(1).mean()
