"""How far a face may be believed: what its measures are worth, and what is said of them.

`gcnface.building.quality` learns from faces of known error, and from pictures without any, what the measures of
`gcnface.stages.quality_measures` tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from coarse.position_map import PositionMapLayout
from gcnface.errors import WeightsError
from gcnface.io import plain_json
from gcnface.result.quality import FaceQuality, QualityMeasures
from gcnface.stages.alignment import AlignedCrop
from gcnface.stages.coarse import CoarseStage
from gcnface.stages.cut_faces import LEAST_SHOWN
from gcnface.stages.quality_measures import measure_aligned, measure_fitted
from gcnface.stages.records import FittedFace


@dataclass(frozen=True)
class Term:
    """What one measure takes from the quality: a polygonal line that never falls.

    Attributes:
        center: of the measure, after its logarithm and sign.
        spread: of the same, by which it is divided.
        knots: (K,) where the line may bend, of the measure so standardised.
        slopes: (K,) >= 0, by how much it is steeper from there on.
        missing: what is taken where the measure is missing.
    """

    center: float
    spread: float
    knots: tuple[float, ...]
    slopes: tuple[float, ...]
    missing: float = 0.0

    def __call__(self, value: float) -> float:
        """Of a measure that has its sign."""
        if math.isnan(value):
            return self.missing
        x = (value - self.center) / self.spread
        return sum(slope * max(0.0, x - knot) for knot, slope in zip(self.knots, self.slopes, strict=True))


WORSE: Mapping[str, Callable[[float], float]] = {
    "expected_error_percent": lambda x: math.log(max(x, 1e-3)),
    "face_logit": lambda x: -x,
    "misfit_percent": lambda x: math.log(max(x, 0.1)),
    "points_percent": lambda x: math.log(max(x, 0.1)),
    "box_percent": lambda x: math.log(max(x, 0.1)),
    "moved_px": lambda x: math.log(x + 0.2),
    "detection_score": lambda x: math.log(1.001 - min(x, 1.0)),
    "face_px": lambda x: -math.log(max(x, 1.0)),
    "sharpness": lambda x: -math.log(max(x, 1e-4)),
    "yaw_deg": abs,
    "pitch_deg": abs,
    "outside_share": lambda x: x,
    "brightness": lambda x: -math.log(max(x, 1e-4)),
    "shadow_share": lambda x: x,
    "rest_share": lambda x: x,
    "hair_share": lambda x: x,
    "glasses_share": lambda x: x,
    "map_percent": lambda x: math.log(max(x, 0.1)),
    "regressor_percent": lambda x: math.log(max(x, 0.1)),
    "color_residual": lambda x: math.log(max(x, 1e-3)),
}
"""Takes each measure to a scale on which more is worse."""

STAGES = ("aligned", "fitted")
"""After which of the stages a face may be judged."""
_NEEDS_FIT = ("rest_share", "hair_share", "glasses_share", "map_percent", "regressor_percent", "color_residual")


def measures_of(stage: str) -> tuple[str, ...]:
    """Names of the measures that are there after one of `STAGES`."""
    return tuple(name for name in WORSE if stage == "fitted" or name not in _NEEDS_FIT)


@dataclass(frozen=True)
class QualityModel:
    """quality = 1 / (1 + exp(sum of the terms - bias)): additive, and no measure that grows worse makes it better.

    Attributes:
        bias: logarithm of the odds of a face with nothing against it.
        terms: by the measure's name.
    """

    bias: float
    terms: Mapping[str, Term]

    def __call__(self, measures: QualityMeasures) -> FaceQuality:
        """The quality told by some measures."""
        against = sum(self.penalties(measures).values())
        value = 1 / (1 + math.exp(min(against - self.bias, 700.0)))
        return FaceQuality(value, reasons(measures, value), measures)

    def penalties(self, measures: QualityMeasures) -> dict[str, float]:
        """What each measure takes from the logarithm of the odds."""
        known = measures.named()
        return {name: term(WORSE[name](known.get(name, math.nan))) for name, term in self.terms.items()}


@lru_cache(maxsize=4)
def load_quality_model(stage: str = "fitted", path: Path | None = None) -> QualityModel:
    """The shipped model for one of `STAGES`.

    Raises:
        WeightsError: the file is missing, or holds something else.
    """
    if path is None:
        with as_file(files("gcnface") / "assets" / "quality.json") as shipped:
            return load_quality_model(stage, shipped)
    try:
        content = plain_json.read(path.read_text(encoding="utf-8"))[stage]
        terms = {name: _term(line) for name, line in content["terms"].items() if name in WORSE}
        return QualityModel(float(content["bias"]), terms)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(path, f"holds no quality model ({error})", "install gcnface again") from error


def _term(line: Mapping[str, Any]) -> Term:
    """Of a file."""
    knots, slopes = (tuple(map(float, line[name])) for name in ("knots", "slopes"))
    return Term(float(line["center"]), float(line["spread"]), knots, slopes, float(line["missing"]))


NEAR_PROFILE_DEG, PROFILE_DEG, THROWN_BACK_DEG = 65.0, 90.0, 40.0
FEW_PX, BLURRED, DARK, HALF_IN_SHADOW = 40.0, 0.035, 0.01, 0.35
HAIR, GLASSES, COVERED, CUT = 0.15, 0.12, 0.25, 0.1
UNLIKELY_SCORE, SURE_ENOUGH = 0.75, 0.8

_NO_FACE, _DISAGREEMENT = "not a face", "no face, or found wrong"
_WORDS: tuple[tuple[str, Callable[[QualityMeasures], bool]], ...] = (
    (_NO_FACE, lambda m: m.face_logit < 0 or m.rest_share > 2 * COVERED),
    ("cut by the picture's edge", lambda m: m.outside_share > CUT),
    ("profile beyond 90 degrees", lambda m: abs(m.yaw_deg) > PROFILE_DEG),
    ("near profile", lambda m: NEAR_PROFILE_DEG < abs(m.yaw_deg) <= PROFILE_DEG),
    ("head thrown back", lambda m: m.pitch_deg < -THROWN_BACK_DEG),
    ("head bent down", lambda m: m.pitch_deg > THROWN_BACK_DEG),
    ("too small", lambda m: m.face_px < FEW_PX),
    ("too dark", lambda m: m.brightness < DARK),
    ("half of the face in shadow", lambda m: m.shadow_share > HALF_IN_SHADOW),
    ("covered by hair", lambda m: m.hair_share > HAIR),
    ("covered by dark glasses", lambda m: m.glasses_share > GLASSES),
    ("covered by hands, a mask or something else", lambda m: COVERED < m.rest_share <= 2 * COVERED),
    ("blurred", lambda m: m.sharpness < BLURRED and not m.face_px < FEW_PX),
    ("the detector doubts it", lambda m: m.detection_score < UNLIKELY_SCORE),
)


def reasons(measures: QualityMeasures, value: float) -> tuple[str, ...]:
    """What speaks against a face of some quality, in words; nothing against one above `SURE_ENOUGH`."""
    if value >= SURE_ENOUGH and not measures.outside_share > 1 - LEAST_SHOWN:
        return ()
    found = tuple(words for words, holds in _WORDS if holds(measures))
    if _NO_FACE in found:
        return (_NO_FACE,)
    return found or (_DISAGREEMENT,)


def aligned_quality(photo_hw: tuple[int, ...], aligned: AlignedCrop, layout: PositionMapLayout) -> FaceQuality:
    """The quality of a face that is aligned and not fitted; arguments as for `measure_aligned`."""
    return load_quality_model("aligned")(measure_aligned(photo_hw[:2], aligned, layout))


def fitted_quality(view: FittedFace, stage: CoarseStage) -> FaceQuality:
    """The quality of a face that a stage fitted."""
    return load_quality_model("fitted")(measure_fitted(view, stage))
