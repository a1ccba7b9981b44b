"""What the parts of the evaluation hand on."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gcnface.stages.observation import VertexObservation
from gcnface.stages.records import FittedFace

PHOTO_ITSELF = ""
"""The method of metrics that belong to the photo."""


@dataclass(frozen=True)
class FittedPhoto:
    """One photo after the coarse stage, the same for every method.

    Attributes:
        view: photo, crop, classes, posed face.
        observation: what the photo shows at the vertices; a method may take nothing else from the photo.
    """

    view: FittedFace
    observation: VertexObservation


@dataclass(frozen=True)
class MethodResult:
    """A method's answer, on the CPU.

    Attributes:
        albedo: (V, 3) linear, not clipped.
        shading: (V, 3) linear; albedo * shading is the lit color. 1 where a method does not tell light from albedo.
        texture: (T, T, 3) albedo, sRGB, on the face model's atlas; None where the vertex colors are drawn.
        light: (V, 3) linear, the shading of a rotated head, where it differs: without what only the photo's own view
            shows; None where it is `shading`.
    """

    albedo: Tensor
    shading: Tensor
    texture: NDArray[np.float32] | None = None
    light: Tensor | None = None

    @property
    def rotated_light(self) -> Tensor:
        """(V, 3) linear: what a rotated head's albedo is multiplied by."""
        return self.shading if self.light is None else self.light


@dataclass(frozen=True)
class RenderedHead:
    """A painted head in the frame of the aligned crop.

    Attributes:
        picture: (S, S, 3) float32 sRGB in [0, 1], black where the head is not.
        mask: (S, S) bool, where the head is.
    """

    picture: NDArray[np.float32]
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Metric:
    """What is measured: one column of the tables.

    Attributes:
        metric: a row of `registries.METRICS`, such as "psnr".
        view: a row of `registries.VIEWS` or of a protocol's views, such as "face"; empty where there is one view only.
        yaw_deg: how far the head is turned, the mean of both sides; 0 where it is not.
        network: a row of `registries.IDENTITY_NETWORKS`; empty where no network takes part.
        gain: one factor a channel was taken out first.
    """

    metric: str
    view: str = ""
    yaw_deg: float = 0.0
    network: str = ""
    gain: bool = False

    def fields(self) -> dict[str, Any]:
        """Every field, in order, as the files of a report have them."""
        return asdict(self)

    @property
    def label(self) -> str:
        """The fields in one word, for identifiers in pages; nothing reads it back."""
        parts = (self.metric, self.network, self.view, f"{self.yaw_deg:g}" if self.yaw_deg else "", "gain" * self.gain)
        return "_".join(part for part in parts if part)


class Measured(NamedTuple):
    """One value of a method, or of the photo (`PHOTO_ITSELF`)."""

    method: str
    metric: Metric
    value: float


def averaged(values: Iterable[Measured]) -> list[Measured]:
    """Means of what was measured more than once, such as on both sides of a turn; NaN where no value is known."""
    found: dict[tuple[str, Metric], list[float]] = defaultdict(list)
    for method, metric, value in values:
        found[method, metric] += [] if math.isnan(value) else [value]
    return [Measured(*whose, sum(known) / len(known) if known else math.nan) for whose, known in found.items()]


@dataclass(frozen=True)
class MetricValue:
    """One value of a report.

    Attributes:
        photo: path of the photo.
        person: whom it shows.
        method: a row of `registries.METHODS`, or `PHOTO_ITSELF`.
        metric: what was measured.
        value: NaN where it cannot be told.
    """

    photo: str
    person: str
    method: str
    metric: Metric
    value: float

    def fields(self) -> dict[str, Any]:
        """Every field, those of the metric among them, as the files of a report have them."""
        whose = {"photo": self.photo, "person": self.person, "method": self.method or "photo"}
        return whose | self.metric.fields() | {"value": float(self.value)}
