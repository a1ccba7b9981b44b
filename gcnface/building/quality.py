"""Learn what the quality of a face is worth, from faces of known error and from pictures without any.

    python -m gcnface.building.quality --data PREPARED --heads HEADS --faceless FOLDER -o gcnface/assets/quality.json

Faces are found, aligned and fitted as in use; only what the detector finds counts, and in pictures without faces what
is most like one. FOLDER has the subfolders train and test, each with a subfolder a kind. Two models are learned, of
what is known after alignment and of what is known after the fit: logistic ones, whose terms are polygonal lines of one
measure that never fall as it grows worse. Held-out people and the test pictures are kept for `benchmarks.quality`. With
--rows a run that was broken off goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from gcnface.building.quality_rows import MEASURES, QualityRows, quality_samples, rows_of
from gcnface.io.atomic import staged
from gcnface.pipeline import Reconstructor
from gcnface.result.quality import GOOD_ERROR_PERCENT
from gcnface.stages.quality import STAGES, WORSE, measures_of

log = logging.getLogger(__name__)

_QUANTILES = (0.05, 0.25, 0.5, 0.7, 0.85, 0.95)
_RIDGE = 0.02
"""On the squares of the weights, for a whole table: what weighs nothing in likelihood is left out."""
_LEAST_SLOPE = 1e-3


@dataclass(frozen=True)
class _Bends:
    """The columns (N, K) of a measure for its knots, standardised, and what stands for missing ones (K,)."""

    center: float
    spread: float
    knots: NDArray[np.float64]
    columns: NDArray[np.float64]
    middle: NDArray[np.float64]

    def line(self, slopes: NDArray[np.float64]) -> dict[str, Any]:
        """As the file of the model holds it."""
        return {
            "center": round(self.center, 5),
            "spread": round(self.spread, 5),
            "knots": self.knots.tolist(),
            "slopes": np.round(slopes, 5).tolist(),
            "missing": round(float(slopes @ self.middle), 5),
        }


def learned_model(rows: QualityRows, stage: str) -> dict[str, Any]:
    """The model of a stage as its file holds it."""
    index = STAGES.index(stage)
    good = rows.error[:, index] < GOOD_ERROR_PERCENT  # false of NaN
    bends = {}
    for name in measures_of(stage):
        values = rows.measures[:, index, MEASURES.index(name)]
        found = _bends(np.array([WORSE[name](value) for value in values.tolist()]), good)
        if found is not None:
            bends[name] = found
    weights, bias = monotone_logistic(np.concatenate([bend.columns for bend in bends.values()], 1), good)
    parts = np.split(weights, np.cumsum([len(bend.knots) for bend in bends.values()])[:-1])
    terms = {
        name: bend.line(slopes)
        for (name, bend), slopes in zip(bends.items(), parts, strict=True)
        if slopes.max() > _LEAST_SLOPE
    }
    return {"bias": round(bias, 5), "terms": terms}


def _bends(x: NDArray[np.float64], good: NDArray[np.bool_]) -> _Bends | None:
    """Of a measure (N,) on its scale; None where it tells nothing."""
    if not np.isfinite(x[good]).any() or np.nanstd(x) < 1e-9:
        return None
    center, spread = float(np.nanmean(x[good])), float(np.nanstd(x))
    scaled = (x - center) / spread
    knots = np.unique(np.round(np.nanquantile(scaled, _QUANTILES), 4))
    bent = np.maximum(0, scaled[:, None] - knots)
    middle = np.nanmedian(bent[good], axis=0)
    return _Bends(center, spread, knots, np.where(np.isfinite(bent), bent, middle), middle)


def monotone_logistic(columns: NDArray[np.float64], good: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Weights (K,) >= 0 and bias with the best likelihood of P(good) = expit(bias - columns @ weights).

    Args:
        columns: (N, K).
        good: (N,).
    """
    sign, count = np.where(good, 1.0, -1.0), columns.shape[1]
    ridge = _RIDGE / len(sign)

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, bias = parameters[:-1], parameters[-1]
        margin = sign * (bias - columns @ weights)
        pull = -sign * expit(-margin) / len(sign)
        gradient = np.append(-columns.T @ pull + 2 * ridge * weights, pull.sum())
        return float(np.logaddexp(0, -margin).mean() + ridge * weights @ weights), gradient

    bounds = [(0.0, None)] * count + [(None, None)]
    found = minimize(loss, np.append(np.full(count, 0.1), 1.0), jac=True, bounds=bounds, options={"maxiter": 3000})
    return found.x[:-1], float(found.x[-1])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="prepared faces (`gcnface prepare`)")
    parser.add_argument("--heads", type=Path, help="heads (python -m gcnface.building.rendered_heads)")
    parser.add_argument("--faceless", type=Path, required=True, help="folder with train/KIND and test/KIND")
    parser.add_argument(
        "--rows", type=Path, help="npz file that keeps what was measured, and is read where it is there"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of pictures")
    parser.add_argument("-o", "--output", type=Path, required=True, help="json file to write")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    samples = quality_samples(args.data, args.heads, args.faceless, held_out=False, share=args.share)
    rows = rows_of(samples, Reconstructor, args.rows)
    content = {stage: learned_model(rows, stage) for stage in STAGES}
    with staged(args.output.parent) as folder:
        (folder / args.output.name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    for stage, model in content.items():
        log.info("%s: %d faces, bias %.2f, %s", stage, len(rows), model["bias"], ", ".join(model["terms"]))


if __name__ == "__main__":
    main()
