"""How far a face may be believed, and why."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from gcnface.errors import LowQualityError, LowQualityWarning

GOOD_ERROR_PERCENT = 4.0
"""A face is good where its 468 landmarks lie this near to the true ones, on the mean, in percent of the root of the
area of their box."""

REMEDY = "--force (force=True) takes it all the same"
_FEW = 3


@dataclass(frozen=True, kw_only=True)
class QualityMeasures:
    """What the quality of a face is told by; NaN where something was not measured.

    Percent are of the root of the area of the box of the face's 468 landmarks, the face's size.

    Attributes:
        expected_error_percent: what the position map network expects of its own points.
        face_logit: its logarithm of the odds that there is a face.
        misfit_percent: distance of its points to the posed mean face.
        points_percent: mean distance of the detector's five points to its own.
        box_percent: mean distance of the edges of the detector's box to those of the face found.
        moved_px: how far the crop would move if it were cut anew, of 224 px.
        detection_score: the detector's confidence in [0, 1].
        face_px: the face's size in px of the photo.
        sharpness: mean of the picture's second differences in the crop, by the spread of its colors.
        yaw_deg: turn of the head, either way.
        pitch_deg: nod, positive is down.
        outside_share: share of the landmarks that lie beyond the photo.
        brightness: of the face's brighter parts, linear.
        shadow_share: share of the face with less than a fifth of that.
        rest_share: share that the parser takes for none of a face's parts: hands, masks, background.
        hair_share: for hair.
        glasses_share: for glasses.
        map_percent: mean distance of the landmarks of position map and fit.
        regressor_percent: of regressor and fit.
        color_residual: mean difference of the drawn face's colors and the photo's, by the mean of the drawn ones.

    Example:
        >>> import gcnface
        >>> gcnface.QualityMeasures(face_px=180.0, yaw_deg=-12.5).named()
        {'face_px': 180.0, 'yaw_deg': -12.5}
    """

    expected_error_percent: float = math.nan
    face_logit: float = math.nan
    misfit_percent: float = math.nan
    points_percent: float = math.nan
    box_percent: float = math.nan
    moved_px: float = math.nan
    detection_score: float = math.nan
    face_px: float = math.nan
    sharpness: float = math.nan
    yaw_deg: float = math.nan
    pitch_deg: float = math.nan
    outside_share: float = math.nan
    brightness: float = math.nan
    shadow_share: float = math.nan
    rest_share: float = math.nan
    hair_share: float = math.nan
    glasses_share: float = math.nan
    map_percent: float = math.nan
    regressor_percent: float = math.nan
    color_residual: float = math.nan

    def named(self) -> dict[str, float]:
        """Those that were measured, by name."""
        values = {field.name: float(getattr(self, field.name)) for field in fields(self)}
        return {name: value for name, value in values.items() if math.isfinite(value)}


@dataclass(frozen=True)
class FaceQuality:
    """How far a face may be believed.

    Attributes:
        value: in [0, 1]: of faces that get this value, so many have a mean error of the 468 landmarks below
            `GOOD_ERROR_PERCENT`; what is no face has no error that small. docs/model_cards/quality.md tells on what
            pictures this was measured.
        reasons: what speaks against the face, in words, the gravest first; empty for a good one.
        measures: by which it was told.

    Example:
        >>> import gcnface
        >>> quality = gcnface.reconstruct("examples/portrait.jpg", texture_size=256).quality
        >>> quality.value > 0.9, quality.reasons
        (True, ())
    """

    value: float
    reasons: tuple[str, ...] = ()
    measures: QualityMeasures = QualityMeasures()

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 1:
            raise ValueError(f"value is {self.value}; expected a quality from 0 to 1")

    def __str__(self) -> str:
        """In a few words, as messages tell it."""
        return f"quality {self.value:.2f}" + (f": {', '.join(self.reasons)}" if self.reasons else "")

    def summary(self) -> dict[str, Any]:
        """As JSON holds it."""
        measures = {name: round(value, 4) for name, value in self.measures.named().items()}
        return {"value": round(self.value, 4), "reasons": list(self.reasons), "measures": measures}

    @classmethod
    def from_summary(cls, content: object) -> FaceQuality:
        """The inverse of `summary`.

        Raises:
            ValueError: the content is something else.
        """
        parts = content if isinstance(content, dict) else {}
        value, reasons, measures = (parts.get(name) for name in ("value", "reasons", "measures"))
        known = {field.name for field in fields(QualityMeasures)}
        numbers = isinstance(measures, dict) and all(_is_number(number) for number in measures.values())
        words = isinstance(reasons, list) and all(isinstance(word, str) and word.isprintable() for word in reasons)
        if not (_is_number(value) and words and numbers and isinstance(measures, dict)):
            raise ValueError("quality does not hold a value, reasons and measures")
        kept = {name: float(number) for name, number in measures.items() if name in known}
        return cls(float(value), tuple(reasons), QualityMeasures(**kept))  # type: ignore[arg-type]


def check_believed(faces: Sequence[FaceQuality], believed: Sequence[bool]) -> None:
    """See to what is said of the faces of a photo that are not believed.

    Raises:
        LowQualityError: there are faces, and none is believed; its path is "photo".

    Warns:
        LowQualityWarning: some are not.
    """
    refused = [face for face, kept in zip(faces, believed, strict=True) if not kept]
    if refused and len(refused) == len(faces):
        raise low_quality("photo", refused)
    if refused:
        warnings.warn(left_out(refused), LowQualityWarning, stacklevel=3)


def low_quality(name: str | Path, faces: Sequence[FaceQuality]) -> LowQualityError:
    """What to say of a photo none of whose faces can be believed; the first is the largest."""
    more = f", nor its {len(faces) - 1} others" if len(faces) > 1 else ""
    what = f"what is found in it cannot be believed to be a face that is found right ({faces[0]}){more}"
    return LowQualityError(name, what, REMEDY, faces[0])


def left_out(faces: Sequence[FaceQuality]) -> str:
    """What to say of faces that are left out beside others, in a sentence."""
    shown = "; ".join(str(face) for face in faces[:_FEW]) + ("; ..." if len(faces) > _FEW else "")
    return f"{len(faces)} of its faces left out ({shown}); {REMEDY}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
