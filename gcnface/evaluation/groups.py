"""Whom a photo shows: skin tone by the typology angle, glasses, and whatever a table of the user's says.

What cannot be told soundly from one photo (age, sex, a beard) is not guessed; it comes from ``--groups table.csv``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.face_model import FaceModel
from gcnface.errors import GcnfaceError
from gcnface.evaluation.records import FittedPhoto
from gcnface.photo.parsing import PARSING_CLASSES
from gcnface.preparing.layouts import read_rows
from render.color import srgb_from_linear
from render.shapes import check_shape

TONES = {
    "very light": 55.0,
    "light": 41.0,
    "intermediate": 28.0,
    "tan": 10.0,
    "brown": -30.0,
    "dark": float("-inf"),
}
"""Groups of skin tone and the individual typology angle above which they begin, degrees (Chardon et al. 1991; the
border between brown and dark after Del Bino and Bernerd 2013)."""

TONE_KINDS = {"skin tone": "albedo", "skin tone in the photo": "photo"}
"""Kinds of groups by tone, and the colours that tell it: without the estimated light, and as the photo has them. The
first cannot see an error of its own light estimate, the second takes exposure for skin."""

GLASSES_SHARE = 0.02
"""Share of the head's pixels that the parser calls glasses from which a person counts as wearing some."""

_PATCHES = {50: 14.0, 280: 14.0, 151: 12.0, 108: 10.0, 337: 10.0}
"""Landmarks of the 468 around which cheeks and forehead are taken, and how far, mm: away from beard, brows, lips."""

_SURE, _FEWEST = 0.5, 50


def typology_angle_deg(linear: Tensor) -> float:
    """Individual typology angle arctan((L* - 50) / b*) of the median colour (Chardon et al. 1991).

    Args:
        linear: (N, 3) linear RGB of skin; D65, CIELAB of the median of each coordinate.

    Returns:
        Degrees; NaN without colours.
    """
    check_shape("linear", linear, "N 3")
    if not len(linear):
        return float("nan")
    srgb = srgb_from_linear(linear.detach().cpu().float().clamp(0, 1)).numpy()
    lab = cv2.cvtColor(np.ascontiguousarray(srgb[None]), cv2.COLOR_RGB2LAB)[0]
    lightness, _, yellow = np.median(lab, axis=0)
    return float(np.degrees(np.arctan2(lightness - 50, max(yellow, 1e-3))))


def tone_of(angle_deg: float) -> str | None:
    """The group of a typology angle; None of NaN."""
    return next((name for name, above in TONES.items() if angle_deg > above), None)


def tones_of(angles_deg: Mapping[str, float]) -> dict[str, str]:
    """The group of each of `TONE_KINDS`; those whose angle is not known are left out.

    Args:
        angles_deg: as `skin_angles_deg` finds them.

    Example:
        >>> tones_of({"albedo": 45.0, "photo": 20.0})
        {'skin tone': 'light', 'skin tone in the photo': 'tan'}
    """
    found = {kind: tone_of(angles_deg[view]) for kind, view in TONE_KINDS.items()}
    return {kind: tone for kind, tone in found.items() if tone}


def cheeks_and_forehead(model: FaceModel) -> NDArray[np.bool_]:
    """(V,) the vertices whose colour tells the skin's tone."""
    points = model.landmarks468(model.mean)
    near = np.zeros(len(model.mean), bool)
    for index, radius_mm in _PATCHES.items():
        near |= np.linalg.norm(model.mean - points[index], axis=1) < radius_mm
    return near & model.region_mask("face")


def skin_angles_deg(fitted: FittedPhoto, patch: NDArray[np.bool_]) -> dict[str, float]:
    """Typology angles of the skin that the photo shows at `patch` (V,): "albedo" and "photo", its light included.

    The first is of the photo's colours without the estimated light; every refinement keeps it where the skin was seen.
    It says no more than the light estimate can (Feng et al. 2022, "Towards racially unbiased skin tone estimation via
    scene disambiguation"), and groups by it cannot show where that is wrong, so that people are grouped by both. How
    far the two angles are apart, group by group, is a metric of its own. NaN where no skin is seen.
    """
    shown = torch.from_numpy(patch) & (fitted.observation.skin[0].cpu() > _SURE)
    linear = fitted.observation.linear[0].cpu()[shown]
    shading = fitted.view.shading[0].cpu()[shown]
    if len(linear) < _FEWEST:
        return {"photo": float("nan"), "albedo": float("nan")}
    return {"photo": typology_angle_deg(linear), "albedo": typology_angle_deg(linear / shading)}


def glasses_share(classes: Tensor, head: NDArray[np.bool_]) -> float:
    """Share of the head's pixels that are glasses.

    Args:
        classes: (1, 10, 224, 224) of the parser.
        head: (S, S) bool, where the head is drawn.
    """
    labels = classes[0].argmax(0).cpu().numpy()
    shown = cv2.resize(head.astype(np.uint8), labels.shape[::-1], interpolation=cv2.INTER_NEAREST).astype(bool)
    return float((labels == PARSING_CLASSES.index("glasses"))[shown].mean()) if shown.any() else float("nan")


def read_groups(path: Path) -> dict[str, dict[str, str]]:
    """A user's table: by file name, the value of every other column.

    Raises:
        GcnfaceError: it cannot be read or has no column "file", or no other.
    """
    rows = read_rows(path, "give a CSV file with a column file")
    if not rows or "file" not in rows[0] or len(rows[0]) < 2:
        raise GcnfaceError(f"{path}: needs a column file and at least one other, such as age or beard")
    return {row["file"]: {k: v for k, v in row.items() if k not in ("file", None) and v} for row in rows}
