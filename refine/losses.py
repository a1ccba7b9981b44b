r"""Losses of the refinement (Lin et al. 2020, section 3.3) as pure functions of tensors, and their schedule.

.. math:: L = s_1 (L_{pix} + s_2 L_{id} + s_3 L_{adv}) + s_4 (L_{vert}(T, T') + L_{vert}(T_p, \tilde T'))

with :math:`s_2 = 0.2`, :math:`s_3 = 0.001` fixed, :math:`s_1` rising from 0 to 1 and :math:`s_4` falling from 1 to 0
during training. The adversarial term belongs inside the first bracket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from render.shapes import check_shape


@dataclass(frozen=True)
class LossWeights:
    """Factors of the terms at one moment of the training.

    Attributes:
        drawn: s1, factor of what is measured on the drawn picture.
        identity: s2, factor of the identity loss inside that.
        vertex: s4, factor of the two vertex losses.
    """

    drawn: float
    identity: float
    vertex: float


@dataclass(frozen=True)
class LossSchedule:
    """How the factors change during training: linear ramps."""

    identity: float = 0.2
    """Factor s2 of the identity loss, the same over the whole training."""
    ramp_start: float = 0.0
    """Part of the training, 0..1, after which s1 begins to rise and s4 to fall."""
    ramp_end: float = 0.5
    """Part of the training, 0..1, at which s1 has reached 1 and s4 its floor."""
    vertex_floor: float = 0.0
    """What s4 falls to: 0 in the paper, 0.2 in the released code."""

    def __post_init__(self) -> None:
        if not 0 <= self.ramp_start < self.ramp_end <= 1:
            raise ValueError(f"the ramp {self.ramp_start}..{self.ramp_end} must rise within 0..1")
        if self.identity < 0 or not 0 <= self.vertex_floor <= 1:
            raise ValueError(f"identity {self.identity} must be 0 or more, vertex_floor {self.vertex_floor} in 0..1")

    def at(self, progress: float) -> LossWeights:
        """Factors after the part `progress`, 0..1, of the training."""
        ramp = min(max((progress - self.ramp_start) / (self.ramp_end - self.ramp_start), 0.0), 1.0)
        return LossWeights(drawn=ramp, identity=self.identity, vertex=max(1.0 - ramp, self.vertex_floor))


def safe_norm(difference: Tensor, dim: int) -> Tensor:
    """Euclidean norm along `dim` whose gradient at 0 is 0 instead of undefined."""
    squared = difference.square().sum(dim)
    nonzero = squared > 0
    return torch.where(nonzero, torch.where(nonzero, squared, 1.0).sqrt(), 0.0)


def pixel_loss(drawn: Tensor, photo: Tensor, mask: Tensor) -> Tensor:
    """L_pix = sum(M |x - x'|_2) / sum(M), of each picture, then averaged over the batch.

    Args:
        drawn: (B, 3, H, W) rendered picture.
        photo: (B, 3, H, W).
        mask: (B, H, W) in [0, 1], M_proj * M_face: covered by the mesh and of the face.

    Returns:
        Scalar; a picture with an empty mask counts as 0.

    Raises:
        ShapeError: shapes disagree.
    """
    bound = check_shape("drawn", drawn, "B 3 H W")
    check_shape("photo", photo, "B 3 H W", **bound)
    check_shape("mask", mask, "B H W", **bound)
    weighted = (safe_norm(drawn - photo, dim=1) * mask).sum((1, 2))
    return _ratio(weighted, mask.sum((1, 2))).mean()


def identity_loss(embedding: Tensor, target: Tensor) -> Tensor:
    """L_id = 1 - cosine, averaged over the batch.

    Args:
        embedding: (B, E) of the drawn picture; any length.
        target: (B, E) of the photo.

    Raises:
        ShapeError: shapes disagree.
    """
    bound = check_shape("embedding", embedding, "B E")
    check_shape("target", target, "B E", **bound)
    return (1.0 - torch.nn.functional.cosine_similarity(embedding, target, dim=1)).mean()


def vertex_loss(
    colors: Tensor, target: Tensor, weight: Tensor | None = None, *, norm: Literal["l2", "l1"] = "l2"
) -> Tensor:
    """L_vert = (1/N) sum_i |x_i - x'_i|_2, or sum(w |x - x'|_2) / sum(w) of each mesh, averaged over the batch.

    Used twice: coarse albedo T against refined T', and photo colours T_p against the refined ones under their light.

    Args:
        colors: (B, V, 3).
        target: (B, V, 3).
        weight: (B, V, 1) in [0, 1], or None for all alike.
        norm: of a vertex's difference; "l1" is the released code's.

    Returns:
        Scalar; a mesh without weight counts as 0.

    Raises:
        ShapeError: shapes disagree.
    """
    bound = check_shape("colors", colors, "B V 3")
    check_shape("target", target, "B V 3", **bound)
    distance = safe_norm(colors - target, dim=2) if norm == "l2" else (colors - target).abs().sum(2)
    if weight is None:
        return distance.mean()
    check_shape("weight", weight, "B V 1", **bound)
    return _ratio((distance * weight[..., 0]).sum(1), weight[..., 0].sum(1)).mean()


def symmetry_loss(colors: Tensor, mirror: Tensor) -> Tensor:
    """`vertex_loss` between a mesh's colours and their mirror image; not in the paper, in the released code.

    Args:
        colors: (B, V, 3).
        mirror: (V,) index of each vertex's mirror image.
    """
    check_shape("mirror", mirror, "V", V=colors.shape[1])
    return vertex_loss(colors, colors[:, mirror])


def variance_loss(colors: Tensor, weight: Tensor) -> Tensor:
    """Mean squared distance of a mesh's colours from their own mean; not in the paper, in the released code over skin.

    Args:
        colors: (B, V, 3).
        weight: (B, V, 1) in [0, 1].

    Raises:
        ShapeError: shapes disagree.
    """
    bound = check_shape("colors", colors, "B V 3")
    check_shape("weight", weight, "B V 1", **bound)
    count = weight.sum(1, keepdim=True)
    mean = (colors * weight).sum(1, keepdim=True) / count.clamp(min=1e-6)
    return _ratio(((colors - mean).square() * weight).sum((1, 2)), count[:, 0, 0]).mean()


def _ratio(total: Tensor, weight: Tensor) -> Tensor:
    """Quotient, 0 where the weight is 0."""
    known = weight > 0
    return torch.where(known, total / torch.where(known, weight, 1.0), 0.0)
