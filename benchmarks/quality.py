"""How well the quality tells right faces from wrong ones, on people and pictures that it was not learned from.

    python -m benchmarks.quality --data PREPARED --heads HEADS --nonfaces FOLDER [--rows ROWS.npz]

FOLDER has a subfolder a kind of picture without faces (or a subfolder "test" that has them); in each, whatever is most
like a face is taken for one, as a mistaken detector would. Errors are the mean distance of the 468 landmarks, percent
of the face's size. "area": of the curve for an error over 5 %, where no face at all counts as one.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gcnface.building.quality_rows import QualityRows, quality_samples, rows_of
from gcnface.building.quality_samples import PLAIN, QualitySample, plain_samples
from gcnface.data.faces import load_prepared
from gcnface.names import QUALITY_FLOOR
from gcnface.pipeline import Reconstructor
from gcnface.result.quality import GOOD_ERROR_PERCENT
from gcnface.stages.quality import STAGES, load_quality_model

WRONG_ERROR_PERCENT = 5.0
EDGES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.001)


def area_under_curve(values: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    """The chance that a wrong face has less quality than a right one (ties count half); NaN where one kind is missing.

    Example:
        >>> area_under_curve(np.array([0.1, 0.6, 0.5, 0.9]), np.array([True, True, False, False]))
        0.75
    """
    low, high = values[wrong], np.sort(values[~wrong])
    if not len(low) or not len(high):
        return float("nan")
    above = len(high) - np.searchsorted(high, low, side="right")
    ties = np.searchsorted(high, low, side="right") - np.searchsorted(high, low, side="left")
    return float((above + ties / 2).sum() / (len(low) * len(high)))


def samples(data: Path, heads: Path | None, nonfaces: Path, portraits: int, share: float) -> Iterator[QualitySample]:
    """Portraits as they are, then spoilt ones, heads and pictures without faces."""
    yield from plain_samples(load_prepared(data), portraits)
    yield from quality_samples(data, heads, nonfaces, held_out=True, share=share)


@dataclass(frozen=True)
class Judged:
    """What one stage's quality says of pictures, and what is true.

    Attributes:
        stage: whose quality.
        values: (N,) in [0, 1].
        error: (N,) percent; NaN and infinite where there is no face.
        faces: (N,) bool.
        portraits: (N,) bool, photographs as they are.
    """

    stage: str
    values: NDArray[np.float64]
    error: NDArray[np.float64]
    faces: NDArray[np.bool_]
    portraits: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: QualityRows, stage: str) -> Judged:
        """By the shipped model."""
        model = load_quality_model(stage)
        values = np.array([model(rows.of(row, stage)).value for row in range(len(rows))])
        portraits = (rows.kind == PLAIN) & (rows.group == "photo")
        return cls(stage, values, rows.error[:, STAGES.index(stage)], rows.group != "none", portraits)

    def areas(self) -> tuple[float, float]:
        """Under the curves for wrong faces, of all pictures and of those with faces."""
        wrong = ~(self.error <= WRONG_ERROR_PERCENT)
        return area_under_curve(self.values, wrong), area_under_curve(self.values[self.faces], wrong[self.faces])

    def figures(self, floor: float) -> dict[str, float]:
        """Areas under the curve, and percent of three kinds at the floor."""
        taken, (area, alone) = self.values >= floor, self.areas()
        good = self.error < GOOD_ERROR_PERCENT
        about = f"quality of the {self.stage}"
        return {
            f"{about}: area under the curve": area,
            f"{about}: area, faces alone": alone,
            f"{about}: faces taken that are under {GOOD_ERROR_PERCENT:g} %, %": _percent(good[self.faces & taken]),
            f"{about}: no faces taken, %": _percent(taken[~self.faces]),
            f"{about}: portraits refused, %": _percent(~taken[self.portraits]),
        }


def table(rows: QualityRows, stage: str, floor: float) -> Iterator[str]:
    """Lines of Markdown for one stage."""
    judged = Judged.of(rows, stage)
    values, error, faces = judged.values, judged.error, judged.faces
    area, alone = judged.areas()
    yield f"### {stage}: {faces.sum()} faces, {(~faces).sum()} pictures without"
    yield f"\nArea: {area:.3f}; faces alone {alone:.3f}"
    yield "\n| quality | faces and none | error < 4 % | of the faces alone | mean quality |\n|---|---|---|---|---|"
    for low, high in zip(EDGES, EDGES[1:], strict=False):
        chosen = (values >= low) & (values < high)
        if chosen.any():
            good = error[chosen] < GOOD_ERROR_PERCENT
            seen = good[faces[chosen]].mean() if faces[chosen].any() else float("nan")
            shares = f"{good.mean():.2f} | {seen:.2f} | {values[chosen].mean():.2f}"
            yield f"| {low:.2f}-{min(high, 1):.2f} | {chosen.sum()} | {shares} |"
    yield f"\n| what | pictures | median error | error < 4 % | median quality | taken at {floor:g} |"
    yield "|---" * 6 + "|"
    for group in ("photo", "drawn", "head", "none"):
        for kind in sorted(set(rows.kind[rows.group == group]), key=lambda kind: (kind != PLAIN, kind)):
            chosen = (rows.group == group) & (rows.kind == kind)
            known = "" if group == "none" else f"{np.median(error[chosen]):.1f} %"
            good = "" if group == "none" else f"{(error[chosen] < GOOD_ERROR_PERCENT).mean():.2f}"
            taken = f"{(values[chosen] >= floor).sum()} of {chosen.sum()}"
            yield f"| {group}: {kind} | {chosen.sum()} | {known} | {good} | {np.median(values[chosen]):.2f} | {taken} |"
    plain = judged.portraits
    refused = f"{(values[plain] < floor).sum()} of {plain.sum()}"
    yield f"\nNo faces taken: {_percent(values[~faces] >= floor):.1f} %. Portraits refused: {refused}.\n"


def _percent(shares: NDArray[np.bool_]) -> float:
    return 100 * float(shares.mean()) if len(shares) else float("nan")


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="prepared faces (`gcnface prepare`)")
    parser.add_argument("--heads", type=Path, help="rendered heads")
    parser.add_argument("--nonfaces", type=Path, required=True, help="folder with a subfolder a kind")
    parser.add_argument(
        "--rows", type=Path, help="npz file that keeps what was measured, and is read where it is there"
    )
    parser.add_argument("--portraits", type=int, default=100, help="held-out photographs that are measured as they are")
    parser.add_argument("--share", type=float, default=0.6, help="of the number of pictures that is learned from")
    parser.add_argument("--floor", type=float, default=QUALITY_FLOOR, help="quality below which faces are refused")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    chosen = samples(args.data, args.heads, args.nonfaces, args.portraits, args.share)
    rows = rows_of(chosen, Reconstructor, args.rows)
    for stage in STAGES[::-1]:
        print("\n".join(table(rows, stage, args.floor)), flush=True)


if __name__ == "__main__":
    main()
