"""What the localiser says of a face, and the one table that lays it out in a vector."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from coarse.coefficients import TensorParts, VectorLayout
from coarse.face_model import FaceModel
from coarse.morphable import CROP_PX, FOCAL_PX, layout_of


@dataclass(frozen=True)
class Theta(TensorParts):
    """Pose and shape of a face under a scaled-orthographic camera (section 3.1 of the paper).

    Attributes:
        rotation: (B, 3) axis-angle of the head, rad; zero looks into the camera.
        log_scale: (B, 1) natural logarithm of the camera's pixels a mm.
        translation: (B, 2) pixel of the crop in which the model's origin stands.
        identity: (B, Ni), unit Gaussian under the model's prior.
        expression: (B, Ne), blendshapes; 0 is rest, 1 the full unit.
    """

    SHAPES = ("B 3", "B 1", "B 2", "B I", "B E")

    rotation: Tensor
    log_scale: Tensor
    translation: Tensor
    identity: Tensor
    expression: Tensor

    @property
    def alpha(self) -> Tensor:
        """(B, Ni + Ne): the shape parameters as the model layer takes them."""
        return torch.cat([self.identity, self.expression], dim=1)


@dataclass(frozen=True)
class ThetaLayout(VectorLayout):
    """How many numbers each part has, in the order of `Theta`, and what a raw zero means.

    A raw vector is what the localiser emits: zero is the neutral face, upright, where the aligned crop has it.
    `decode` turns it into `Theta`. With every unit 1 the raw vector is the published one.
    """

    identity: int = 40
    expression: int = 52
    neutral_log_scale: float = 0.0
    neutral_translation_px: tuple[float, float] = (CROP_PX / 2, CROP_PX / 2)
    rotation_unit_rad: float = 0.3
    log_scale_unit: float = 0.1
    translation_unit_px: float = 10.0
    expression_unit: float = 0.3

    @property
    def sizes(self) -> dict[str, int]:
        """Numbers a part has, by name."""
        return {
            "rotation": 3,
            "log_scale": 1,
            "translation": 2,
            "identity": self.identity,
            "expression": self.expression,
        }

    def decode(self, vector: Tensor) -> Theta:
        """Raw (B, total) to physical units (the paper's split layer)."""
        raw = self.split(vector)
        return Theta(
            rotation=raw["rotation"] * self.rotation_unit_rad,
            log_scale=raw["log_scale"] * self.log_scale_unit + self.neutral_log_scale,
            translation=raw["translation"] * self.translation_unit_px + vector.new_tensor(self.neutral_translation_px),
            identity=raw["identity"],
            expression=raw["expression"] * self.expression_unit,
        )

    def encode(self, theta: Theta) -> Tensor:
        """Physical units back to the raw (B, total) vector; the inverse of `decode`."""
        neutral = theta.translation.new_tensor(self.neutral_translation_px)
        parts = (
            theta.rotation / self.rotation_unit_rad,
            (theta.log_scale - self.neutral_log_scale) / self.log_scale_unit,
            (theta.translation - neutral) / self.translation_unit_px,
            theta.identity,
            theta.expression / self.expression_unit,
        )
        return torch.cat(parts, dim=1)


def theta_layout_of(model: FaceModel, identity: int = 40, expression: int | None = None) -> ThetaLayout:
    """The layout for `model`: raw zero puts the middle of eyes and mouth where the crop's template has it.

    The crop shows the plane of the features at 1 m, so the camera draws FOCAL_PX / 1000 pixels a mm; the model's origin
    then stands above the crop's middle, the published bias of the translation, by a few pixels.

    Args:
        model: the face model.
        identity: how many of its identity components theta has, the first ones.
        expression: how many of its expression units, the first ones; None takes all.

    Raises:
        ValueError: the model has fewer.
    """
    have = (model.identity_basis.shape[2], model.expression_basis.shape[2])
    units = have[1] if expression is None else expression
    if not (0 <= identity <= have[0] and 0 <= units <= have[1]):
        raise ValueError(
            f"{identity} identity components and {units} expression units asked for; {model.name} has {have[0]} and "
            f"{have[1]}"
        )
    scale = FOCAL_PX / 1000.0
    x_mm, y_mm, _ = layout_of(model).neutral_translation_mm
    return ThetaLayout(
        identity=identity,
        expression=units,
        neutral_log_scale=math.log(scale),
        neutral_translation_px=(CROP_PX / 2 + scale * x_mm, CROP_PX / 2 + scale * y_mm),
    )
