"""Coefficients of the coarse face and the one table that lays them out in a vector.

Deng et al. 2019 regress one vector of 257 numbers; here the same idea serves any face model: `CoefficientLayout` is the
only place that knows which slice of the vector means what and how a raw network output becomes a physical quantity.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from render.lighting import SH_COUNT
from render.shapes import check_shape

AMBIENT_INTENSITY = 0.9
"""Mean shading of the neutral light (1 would show the albedo as it is)."""

AMBIENT = (AMBIENT_INTENSITY * math.sqrt(4 * math.pi) / math.pi, *[0.0] * (SH_COUNT - 1))
"""The neutral light's nine harmonics."""

Parts = TypeVar("Parts", bound="TensorParts")


@dataclass(frozen=True)
class TensorParts:
    """A record of tensors, all of one batch, which are held to their shapes."""

    SHAPES: ClassVar[tuple[str, ...]]
    """Of the fields, as `check_shape` takes them."""

    def __post_init__(self) -> None:
        batch: dict[str, int] = {}
        for (name, value), shape in zip(self.named().items(), self.SHAPES, strict=True):
            batch = {"B": check_shape(name, value, shape, **batch)["B"]}

    def named(self) -> dict[str, Tensor]:
        """The fields by name, in the order of the layout."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def detach(self: Parts) -> Parts:
        """The same values outside the autograd graph."""
        return type(self)(**{name: value.detach() for name, value in self.named().items()})

    def __getitem__(self: Parts, rows: slice) -> Parts:
        """A slice of the batch."""
        return type(self)(**{name: value[rows] for name, value in self.named().items()})


class VectorLayout(ABC):
    """Which numbers of a vector mean what."""

    @property
    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Numbers a part has, by name, in order."""

    @property
    def total(self) -> int:
        """Length of the vector."""
        return sum(self.sizes.values())

    def split(self, vector: Tensor) -> dict[str, Tensor]:
        """Cut (B, total) into its parts by name, each (B, n)."""
        check_shape("vector", vector, "B N", N=self.total)
        return dict(zip(self.sizes, vector.split(list(self.sizes.values()), dim=1), strict=True))

    def mask(self, *names: str) -> Tensor:
        """(total,) 1 at the numbers of the named parts, 0 elsewhere."""
        return torch.cat([torch.full((size,), float(name in names)) for name, size in self.sizes.items()])


@dataclass(frozen=True)
class Coefficients(TensorParts):
    """What describes one face (a row) in one photograph.

    Attributes:
        identity: (B, Ni), unit Gaussian under the model's prior.
        expression: (B, Ne), blendshapes; 0 is rest, 1 the full unit.
        albedo: (B, Na), unit Gaussian under the model's prior.
        rotation: (B, 3) axis-angle of the head, rad; zero looks into the camera.
        translation: (B, 3) of the model's origin in camera space, mm.
        lighting: (B, 9, 3) spherical-harmonic radiance, RGB, linear light (see `render.lighting`).
        skin_tone: (B, 3) factor of the albedo, which the model describes in the mean person's tone; None means ones.
            Raw vectors have it in their light: it is found from colours (`coarse.decomposition`), not regressed or
            fitted.
    """

    SHAPES = ("B I", "B E", "B A", "B 3", "B 3", "B 9 3", "B 3")

    identity: Tensor
    expression: Tensor
    albedo: Tensor
    rotation: Tensor
    translation: Tensor
    lighting: Tensor
    skin_tone: Tensor = None  # type: ignore[assignment]  # a tensor once it is made

    def __post_init__(self) -> None:
        if self.skin_tone is None:
            object.__setattr__(self, "skin_tone", torch.ones_like(self.translation))
        super().__post_init__()


@dataclass(frozen=True)
class CoefficientLayout(VectorLayout):
    """The table: how many numbers each part has, in the order of `Coefficients`, and what a raw zero means.

    A raw vector is what networks emit and optimisers move: every entry is of order one and zero is the neutral face,
    upright, at the crop's standard distance, under a white ambient light. `decode` turns it into `Coefficients`.
    """

    identity: int = 80
    expression: int = 52
    albedo: int = 40
    neutral_translation_mm: tuple[float, float, float] = (0.0, 0.0, 1000.0)
    translation_unit_mm: tuple[float, float, float] = (10.0, 10.0, 50.0)
    rotation_unit_rad: float = 0.3
    lighting_unit: float = 0.3
    expression_unit: float = 0.3

    @property
    def sizes(self) -> dict[str, int]:
        """Numbers a part has, by name."""
        return {
            "identity": self.identity,
            "expression": self.expression,
            "albedo": self.albedo,
            "rotation": 3,
            "translation": 3,
            "lighting": 3 * SH_COUNT,
        }

    def decode(self, vector: Tensor) -> Coefficients:
        """Raw (B, total) to physical units."""
        raw = self.split(vector)
        offset = vector.new_tensor(self.neutral_translation_mm)
        unit = vector.new_tensor(self.translation_unit_mm)
        ambient = vector.new_tensor(AMBIENT)[:, None]
        return Coefficients(
            identity=raw["identity"],
            expression=raw["expression"] * self.expression_unit,
            albedo=raw["albedo"],
            rotation=raw["rotation"] * self.rotation_unit_rad,
            translation=offset + raw["translation"] * unit,
            lighting=ambient + raw["lighting"].reshape(-1, SH_COUNT, 3) * self.lighting_unit,
        )

    def encode(self, coefficients: Coefficients) -> Tensor:
        """Physical units back to the raw (B, total) vector; the inverse of `decode`.

        The vector has no skin tone: its light takes it on, so that the lit colors stay.
        """
        c = coefficients
        offset = c.translation.new_tensor(self.neutral_translation_mm)
        unit = c.translation.new_tensor(self.translation_unit_mm)
        ambient = c.lighting.new_tensor(AMBIENT)[:, None]
        parts = (
            c.identity,
            c.expression / self.expression_unit,
            c.albedo,
            c.rotation / self.rotation_unit_rad,
            (c.translation - offset) / unit,
            ((c.lighting * c.skin_tone[:, None] - ambient) / self.lighting_unit).flatten(1),
        )
        return torch.cat(parts, dim=1)
