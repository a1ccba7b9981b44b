"""Gauss-Newton descent: the terms of one photo, the priors on its raw vector, and steps down their sum.

    E(z) = sum of the terms + w (w_i |identity|^2 + w_e |expression|^2 + w_a |albedo|^2) + w_r |overshoot|^2
           + gamma / 27 |L - gray(L)|^2 + sum_k h_k (z_k - z0_k)^2

overshoot is how far blendshapes lie outside 0..1, gray(L) the mean of the light's channels, h holds the start. A step
solves (J^T J + second derivatives of the rest) dz = -gradient and is halved while E rises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from coarse.coefficients import Coefficients
from coarse.losses import CoarseLossWeights, coefficient_prior, gamma_loss
from coarse.morphable import MorphableModel
from coarse.photo_jacobian import Evaluation, Posed, Term
from render.lighting import SH_COUNT

_HALVINGS = 3
"""How often a step that raises the objective is halved before the fit ends."""


@dataclass(frozen=True)
class PhotoFitting:
    """Settings of `PhotoFitter`."""

    steps: int = 3
    side_px: int = 112
    """Side of the compared picture; half the crop is enough to place features."""
    stride: int = 2
    """Every so many of the visible vertices are compared."""
    anchor: float = 0.45
    """Pull of the landmarks towards where the regressor saw them (mean distance / face size)."""
    dense: float = 0.8
    """Pull of the vertices towards where the position map saw them, likewise; without a map the landmarks pull more."""
    start: float = 1.5e-4
    """Squared distance of the raw vector from where it started: what nothing else decides stays."""
    turn: float = 5e-2
    """The same of the raw rotation: a nod and a longer face look much alike, and the regressor knows poses best."""
    led_anchor: float = 0.2
    """`anchor` where the dense points lead."""
    led_turn: float = 5e-3
    """`turn` likewise."""
    softness: float = 0.1
    """Colour distance below which distances count squared."""
    softness_px: float = 0.5
    """The same of landmarks and dense points."""
    weights: CoarseLossWeights = field(
        default_factory=lambda: CoarseLossWeights(
            photometric=6.0, coefficients=1e-4, prior_expression=2.0, expression_range=0.05, gamma=1.0
        )
    )

    @property
    def alone(self) -> PhotoFitting:
        """Without dense points the landmarks pull for them too."""
        return replace(self, anchor=self.anchor + self.dense)

    def led(self, lead: float) -> PhotoFitting:
        """With dense points that lead in part, 0 to 1: the start holds less."""
        anchor = self.anchor + lead * (self.led_anchor - self.anchor)
        return replace(self, anchor=anchor, turn=self.turn * (self.led_turn / self.turn) ** lead)


@dataclass(frozen=True)
class Objective:
    """All terms of one photo."""

    model: MorphableModel
    settings: PhotoFitting
    start: Tensor
    terms: Sequence[Term]

    def evaluate(self, raw: Tensor) -> Evaluated:
        """The objective at `raw` (1, total)."""
        posed = Posed(self.model, raw)
        c, s = posed.coefficients, self.settings
        priors = coefficient_prior(c, s.weights) + s.weights.gamma * gamma_loss(c.lighting)
        away = (self._hold(raw) * (raw - self.start).square()).sum()
        seen = [term.evaluate(posed) for term in self.terms]
        return Evaluated(raw, c, float(priors + away) + sum(term.value for term in seen), seen)

    def quadratic(self, at: Evaluated) -> tuple[Tensor, Tensor]:
        """Second (total, total), after Gauss and Newton, and first (total,) derivatives."""
        hessian, gradient = self._priors(at.raw, at.coefficients)
        for term in at.seen:
            rows, residual, columns = term.rows()
            gradient[columns] += rows.T @ residual
            square = rows.T @ rows
            if isinstance(columns, slice):
                hessian += square
            else:
                hessian[columns[:, None], columns] += square
        return hessian, gradient

    def _hold(self, raw: Tensor) -> Tensor:
        """(1, total) weight of each raw number's squared distance from its start."""
        held = {name: torch.full_like(part, self.settings.start) for name, part in self.model.layout.split(raw).items()}
        held["rotation"] = torch.full_like(held["rotation"], self.settings.turn)
        return torch.cat(list(held.values()), 1)

    def _priors(self, raw: Tensor, c: Coefficients) -> tuple[Tensor, Tensor]:
        """Second (total, total) and first (total,) derivatives of all that is quadratic in the raw vector."""
        layout, w = self.model.layout, self.settings.weights
        numbers = torch.arange(layout.total, device=raw.device)[None]
        place = {name: part[0] for name, part in layout.split(numbers).items()}
        diagonal = torch.zeros_like(raw[0])
        diagonal[place["identity"]] = 2 * w.coefficients * w.prior_identity
        diagonal[place["expression"]] = 2 * w.coefficients * w.prior_expression * layout.expression_unit**2
        diagonal[place["albedo"]] = 2 * w.coefficients * w.prior_albedo
        hold = 2 * self._hold(raw)[0]
        gradient = diagonal * raw[0] + hold * (raw - self.start)[0]
        diagonal += hold
        over = c.expression[0] - c.expression[0].clamp(0, 1)
        gradient[place["expression"]] += 2 * w.expression_range * layout.expression_unit * over
        diagonal[place["expression"]] += 2 * w.expression_range * layout.expression_unit**2 * (over != 0)
        hessian = torch.diag(diagonal)
        light, unit = place["lighting"], 2 * w.gamma / (3 * SH_COUNT) * layout.lighting_unit
        gray = torch.eye(3).to(raw) - 1 / 3
        hessian[light[:, None], light] += torch.kron(torch.eye(SH_COUNT).to(raw), gray) * unit * layout.lighting_unit
        gradient[light] += unit * (c.lighting[0] @ gray).flatten()
        return hessian, gradient


class Evaluated(NamedTuple):
    """The objective at a raw vector (1, total)."""

    raw: Tensor
    coefficients: Coefficients
    value: float
    seen: list[Evaluation]


def descend(objective: Objective, start: Tensor, steps: int) -> Tensor:
    """Gauss-Newton from `start`; the objective never rises."""
    at = objective.evaluate(start)
    for _ in range(steps):
        step = -torch.linalg.solve(*objective.quadratic(at))[None]  # to the minimum of the quadratic model
        for halving in range(_HALVINGS + 1):
            tried = objective.evaluate(at.raw + step * 0.5**halving)
            if tried.value < at.value:
                break
        else:
            break
        at = tried
    return at.raw.clone()
