r"""What the refiner is trained towards: the paper's total, that of its authors' code, and ours.

.. math::
    \mathrm{paper}:\ & s_1 (L_{pix} + 0.2 L_{id} + 0.001 L_{adv}) + s_4 (L_{vert}(T, T') + L_{vert}(T_p, \tilde T')) \\
    \mathrm{released}:\ & s_1 (L_{vis} + 0.3 L_{invis} + 0.2 L_{id} + 0.5 L_{sym} + 0.01 L_{var}) + s_4 |T - T'|_1 \\
    \mathrm{ours}:\ & s_1 (L_{pix} + 0.2 L_{id} + 0.001 L_{adv}) + s_4 (L_{seen} + 2 L_{hidden} + 0.05 L_{coarse})

T coarse albedo, T' refined, T_p the photo's colours at the vertices, a tilde for lit ones. Ours compares lit colours
where the photo shows a vertex, albedo where it was hidden on purpose or by turning the head but is known, and ties the
rest weakly to the coarse albedo. Colours are compared as sRGB, for equal errors should look equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal, get_args

import torch
from torch import Tensor

from coarse.records import CoarseFace
from gcnface.training.refiner_data import RefinerSample
from refine.adversarial import PENALTY_FACTOR, critic_loss, generator_loss, gradient_penalty
from refine.losses import (
    LossSchedule,
    LossWeights,
    identity_loss,
    pixel_loss,
    symmetry_loss,
    variance_loss,
    vertex_loss,
)
from render.color import srgb_from_linear

Kind = Literal["ours", "paper", "released"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Objective:
    """Which total, and the factors of its terms before the schedule's."""

    kind: Kind = "ours"
    """Which sum of losses: "ours", "paper" (its text) or "released" (its authors' code)."""
    schedule: LossSchedule = LossSchedule(ramp_end=0.1, vertex_floor=1.0)
    """How the factors s1 and s4 go over the training; its identity factor is s2."""
    pixel: float = 1.0
    """Factor of the loss between drawn picture and photo, inside the mask."""
    adversarial: float = 1e-3
    """Factor s3 of the critic's score; 0 trains no critic."""
    vertex: float = 1.0
    """Factor of all vertex losses together."""
    hidden: float = 2.0
    """In "ours", factor of what is known but was not shown, which teaches the network to fill."""
    coarse: float = 0.05
    """In "ours", factor that ties the albedo of what nobody saw to the coarse albedo."""
    unseen: float = 0.3
    """In "released", factor that ties vertices that the photo does not show to the lit coarse model."""
    symmetry: float = 0.5
    """In "released", factor of the difference between mirrored vertices."""
    variance: float = 0.01
    """In "released", factor of the spread of the colors. All three are those of the released code."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; choose one of {', '.join(KINDS)}")
        factors = [getattr(self, f.name) for f in fields(self) if f.name not in ("kind", "schedule")]
        if not all(factor >= 0 for factor in factors):
            raise ValueError(f"the factors of an objective must be 0 or more: {self}")

    @property
    def drawn(self) -> bool:
        """Whether anything looks at the drawn picture."""
        return max(self.pixel * (self.kind != "released"), self.schedule.identity, self.adversarial) > 0

    def vertex_terms(
        self, albedo: Tensor, face: CoarseFace, batch: RefinerSample, mirror: Tensor, at: LossWeights
    ) -> dict[str, Tensor]:
        """Terms on vertex colours, with their factors.

        Args:
            albedo: (B, V, 3) refined, linear.
            face: coarse, of the batch.
            batch: what was shown and what is known.
            mirror: (V,) mirror vertices.
            at: the schedule's factors at this moment.
        """
        if not self.vertex:
            return {}
        shading = batch.shading
        refined, lit = encoded(albedo), encoded(albedo * shading)
        photo, coarse = encoded(batch.projected * shading), encoded(face.albedo)
        if self.kind == "paper":
            terms = {"coarse": at.vertex * vertex_loss(refined, coarse), "vertex": at.vertex * vertex_loss(lit, photo)}
        elif self.kind == "released":
            coarse_lit = encoded(face.albedo * shading)
            terms = {
                "coarse": at.vertex * vertex_loss(refined, coarse, norm="l1"),
                "vertex": at.drawn * vertex_loss(lit, photo, batch.shown, norm="l1"),
                "unseen": at.drawn * self.unseen * vertex_loss(lit, coarse_lit, 1 - batch.shown, norm="l1"),
                "symmetry": at.drawn * self.symmetry * symmetry_loss(refined, mirror),
                "variance": at.drawn * self.variance * variance_loss(refined, batch.shown),
            }
        else:
            terms = {
                "vertex": at.vertex * vertex_loss(lit, photo, batch.shown),
                "hidden": at.vertex * self.hidden * vertex_loss(refined, encoded(batch.target), batch.hidden),
                "coarse": at.vertex * self.coarse * vertex_loss(refined, coarse, (1 - batch.known) * (1 - batch.shown)),
            }
        return {name: self.vertex * value for name, value in terms.items()}

    def picture_terms(
        self,
        picture: DrawnFace,
        batch: RefinerSample,
        at: LossWeights,
        embed: Callable[[Tensor], Tensor],
        score: Callable[[Tensor], Tensor] | None,
    ) -> dict[str, Tensor]:
        """Terms on the drawn picture, with their factors.

        Args:
            picture: the refined face.
            batch: the photos.
            at: the schedule's factors at this moment.
            embed: FaceNet, of pictures (B, 3, 224, 224).
            score: the critic, of the same pictures; None where it has no part.
        """
        terms = {}
        if self.pixel and self.kind != "released":
            inside = picture.covered * batch.mask
            terms["pixel"] = at.drawn * self.pixel * pixel_loss(picture.image, batch.image, inside)
        if at.identity:
            identity = identity_loss(embed(picture.pasted).float(), batch.embedding)
            terms["identity"] = at.drawn * at.identity * identity
        if score is not None:
            terms["adversarial"] = at.drawn * self.adversarial * generator_loss(score(picture.pasted))
        return terms


@dataclass(frozen=True)
class DrawnFace:
    """The refined face as a picture.

    Attributes:
        image: (B, 3, 224, 224) sRGB, lit.
        covered: (B, 224, 224) in 0, 1, where the face is.
        pasted: (B, 3, 224, 224) the photo with the face in its place.
    """

    image: Tensor
    covered: Tensor
    pasted: Tensor


def critic_terms(
    critic: Callable[[Tensor], Tensor], photo: Tensor, fake: Tensor, *, shared_epsilon: bool
) -> dict[str, Tensor]:
    """What the critic itself learns by: the distance between photos and drawn pictures, and its gradient's penalty.

    Args:
        critic: pictures (B, 3, S, S) to scores (B,).
        photo: (B, 3, S, S).
        fake: (B, 3, S, S), detached.
        shared_epsilon: one place between the two for the whole batch.
    """
    distance = critic_loss(*critic(torch.cat([photo, fake])).chunk(2))
    penalty = gradient_penalty(critic, photo, fake, shared_epsilon=shared_epsilon)
    return {"critic": distance, "penalty": PENALTY_FACTOR * penalty}


def encoded(linear: Tensor) -> Tensor:
    """Linear colours as the eye compares them: clipped and sRGB encoded."""
    return srgb_from_linear(linear.clamp(0, 1))
