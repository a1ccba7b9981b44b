"""The similarity between two sets of points in space, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from render.shapes import check_shape


@dataclass(frozen=True)
class Similarity:
    """target ~ scale * rotation @ source + translation.

    Attributes:
        rotation: (B, 3, 3) orthonormal, determinant 1.
        scale: (B,) of the target's unit for one of the source's.
        translation: (B, 3) in the target's unit.
    """

    rotation: Tensor
    scale: Tensor
    translation: Tensor

    def apply(self, points: Tensor) -> Tensor:
        """Points (B, N, 3) or (N, 3) of the source's space in the target's: (B, N, 3)."""
        return self.scale[:, None, None] * (points @ self.rotation.mT) + self.translation[:, None]

    def undo(self, points: Tensor) -> Tensor:
        """Points (B, N, 3) of the target's space in the source's: (B, N, 3)."""
        return (points - self.translation[:, None]) @ self.rotation / self.scale[:, None, None]


def similarity_between(source: Tensor, target: Tensor, weight: Tensor | None = None) -> Similarity:
    """The similarity with the least weighted squared distance from source to target; never a reflection.

    Umeyama 1991, "Least-squares estimation of transformation parameters between two point patterns", equations 40 to
    43 with weights: the covariance is U S V^T, rotation U diag(1, 1, det U det V) V^T, scale the trace of S with the
    same sign over the source's variance. Solved in float64; differentiable unless two singular values are equal.

    Args:
        source: (N, 3) or (B, N, 3), not all on one line.
        target: (B, N, 3).
        weight: (N,) or (B, N), not negative; None weighs all alike.

    Returns:
        In the type of `target`.

    Raises:
        ShapeError: an argument has another shape.
        ValueError: the weights of a row are all zero, or all its weighted source points coincide.
    """
    size = check_shape("target", target, "B N 3")
    check_shape("source", source, "... N 3", N=size["N"])
    y, x = target.double(), source.double().expand(target.shape)
    w = torch.ones_like(y[..., 0]) if weight is None else weight.double().expand(size["B"], size["N"])
    total = w.sum(1, keepdim=True)
    if not bool((total > 0).all()):
        raise ValueError("all weights of a row are zero; at least three points must count")
    w = (w / total)[..., None]
    x_mean, y_mean = (w * x).sum(1, keepdim=True), (w * y).sum(1, keepdim=True)
    spread = (w * (x - x_mean).square()).sum((1, 2))
    if not bool((spread > 0).all()):
        raise ValueError("all source points coincide; a similarity needs points that do not")
    u, s, vh = torch.linalg.svd((w * (y - y_mean)).mT @ (x - x_mean))
    proper = torch.ones_like(s)
    proper[:, 2] = (torch.linalg.det(u) * torch.linalg.det(vh)).detach().sign()
    rotation = (u * proper[:, None]) @ vh
    scale = (s * proper).sum(1) / spread
    translation = y_mean[:, 0] - scale[:, None] * (rotation @ x_mean.mT)[..., 0]
    return Similarity(rotation.to(target), scale.to(target), translation.to(target))
