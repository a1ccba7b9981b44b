"""AFLW2000-3D: 68 points of faces at all turns, by the normalized mean error in bins of |yaw|.

Zhu et al. 2016, "Face alignment across large poses: a 3D solution"; the table that the field prints (3DDFA, PRNet,
SynergyNet): the mean distance in the picture over sqrt(w h) of the true points' box, averaged in three bins of |yaw|,
and the mean and standard deviation of the three, so that the frontal photos, two thirds of the set, do not decide.
The published methods are given the true box. Here faces are detected; the row counts the face that overlaps the true
box most, and beside it the largest. Photos where there is none are counted apart; "misses count 100 %" takes 100 for
each of them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gcnface.batch.progress import Reporter
from gcnface.errors import GcnfaceError
from gcnface.evaluation.protocols.annotated import (
    YAW_BINS_DEG,
    AnnotatedPhoto,
    find_annotated,
    nearest_face,
    nme_percent,
    read_annotated,
)
from gcnface.evaluation.protocols.rows import ROWS, points_of_face
from gcnface.io.atomic import staged, writable
from gcnface.io.images import read_photo
from gcnface.options import EvaluateOptions, ReconstructionOptions
from gcnface.pipeline import Reconstructor
from gcnface.system.streams import reader_gone
from gcnface.version import __version__

BINS = tuple(f"{low}-{high}" for low, high in YAW_BINS_DEG)
MISS_PERCENT = 100.0
NEAREST, LARGEST, ALL_COUNT = "nearest to the true box", "largest face", "misses count 100 %"


@dataclass
class Aflw2000:
    """Errors of the photos so far.

    Attributes:
        values: percent by variant, row and photo.
        yaw_bins: of each photo.
        missed: photos in which no face, or none near the true one, is found.
        failed: photos that could not be measured, and why.
    """

    values: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    yaw_bins: dict[str, str] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, photo: AnnotatedPhoto, found: Mapping[str, Mapping[str, float]]) -> None:
        """One more photo: percent by variant and row, nothing where its face is not found."""
        name = str(photo.file)
        self.yaw_bins[name] = photo.yaw_bin
        if not found.get(NEAREST):
            self.missed.append(name)
        for row in ROWS:
            known = {variant: errors[row] for variant, errors in found.items() if row in errors}
            for variant, percent in {**known, ALL_COUNT: known.get(NEAREST, MISS_PERCENT)}.items():
                self.values.setdefault(variant, {}).setdefault(row, {})[name] = percent

    def cells(self, variant: str, row: str) -> dict[str, float]:
        """Means by bin, "mean" and "std" of these, and "all": the mean of all photos; NaN where nothing is known."""
        of_photo = self.values.get(variant, {}).get(row, {})
        by_bin = {name: [v for photo, v in of_photo.items() if self.yaw_bins[photo] == name] for name in BINS}
        means = {name: float(np.mean(values)) if values else float("nan") for name, values in by_bin.items()}
        spread = list(means.values())
        everything = list(of_photo.values())
        rest = {"mean": float(np.mean(spread)), "std": float(np.std(spread))}
        return {**means, **rest, "all": float(np.mean(everything)) if everything else float("nan")}

    def counts(self, photos: Sequence[str]) -> dict[str, int]:
        """How many of some photos are in each bin."""
        return {name: sum(self.yaw_bins[photo] == name for photo in photos) for name in BINS}

    def markdown(self) -> str:
        """The tables people read."""
        columns = (*BINS, "mean", "std", "all")
        lines = ["# AFLW2000-3D", "", "68 points, 2D, percent of the true points' box, by |yaw| in degrees", ""]
        lines += [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
        for variant in (NEAREST, LARGEST, ALL_COUNT):
            for row in ROWS:
                shown = " | ".join(f"{self.cells(variant, row)[name]:.2f}" for name in columns)
                lines.append(f"| {row}, {variant} | {shown} |")
        for title, photos in (("photos", list(self.yaw_bins)), ("face not found", self.missed)):
            counts = self.counts(photos)
            lines.append(f"| {title} | {' | '.join(str(counts[name]) for name in BINS)} | | | {len(photos)} |")
        lines += ["", f"gcnface {__version__}; faces are detected, published methods are given the true box", ""]
        return "\n".join(lines)

    def data(self) -> dict[str, Any]:
        """What table.json holds."""
        table = {v: {row: self.cells(v, row) for row in ROWS} for v in (NEAREST, LARGEST, ALL_COUNT)}
        return {
            "gcnface": __version__,
            "percent": table,
            "photos": self.counts(list(self.yaw_bins)),
            "not_found": self.missed,
            "failed": self.failed,
        }


def measured(reconstructor: Reconstructor, annotated: AnnotatedPhoto) -> dict[str, dict[str, float]]:
    """Percent by variant and row of one photo; empty where no face is found.

    Raises:
        PhotoError: the photo cannot be read.
    """
    photo = read_photo(annotated.file)
    faces = reconstructor.detector.detect(photo)
    chosen = {NEAREST: nearest_face(faces, annotated.box), LARGEST: faces[0] if faces else None}
    found: dict[str, dict[str, float]] = {}
    for variant, face in chosen.items():
        if face is not None and face is chosen[NEAREST] and variant != NEAREST:
            found[variant] = found[NEAREST]
        elif face is not None:
            points = points_of_face(reconstructor.stages, photo, face)
            found[variant] = {row: nme_percent(xy.points68, annotated.points68) for row, xy in points.items()}
    return found


def measure(options: EvaluateOptions, reporter: Reporter) -> int:
    """Measure every photo that has a ``.mat`` beside it, print the table and write the report.

    Returns:
        0 when every photo could be measured, else 1; 130 after an interrupt, with a report of what was done by then.

    Raises:
        GcnfaceError: the folder cannot be written to.
    """
    inputs = find_annotated(options.photos)
    files = inputs.files[: options.limit]
    for wrong in inputs.errors:
        reporter.error(wrong)
    if inputs.bare:
        reporter.warning(f"{len(inputs.bare)} photos have no .mat beside them and are passed over")
    if not files:
        reporter.error(GcnfaceError("no photo with its annotation (NAME.mat beside NAME.jpg) is left to measure"))
        return 1
    reporter.expect(len(files))
    table = Aflw2000()
    with writable(options.output):
        interrupted = _measure_all(options, reporter, files, table)
        if not table.yaw_bins:
            reporter.error(GcnfaceError("no photo could be measured; nothing was written"))
            return 130 if interrupted else 1
        _write(options.output, table)
    for line in table.markdown().splitlines():
        reporter.result(line)
    reporter.result(f"{len(table.yaw_bins)} photos -> {options.output / 'table.md'}")
    if interrupted:
        return 130
    return 1 if table.failed or inputs.errors else 0


def _measure_all(options: EvaluateOptions, reporter: Reporter, files: Sequence[Path], table: Aflw2000) -> bool:
    """Every photo; whether the user interrupted."""
    how = ReconstructionOptions(device=options.device, fit=options.fit, detector=options.detector)
    reconstructor = Reconstructor(how)
    try:
        with reporter.running(stages=1):
            for file in files:
                if reader_gone():
                    return True
                reporter.photo(file)
                try:
                    annotated = read_annotated(file)
                    table.add(annotated, measured(reconstructor, annotated))
                except GcnfaceError as error:
                    table.failed[str(file)] = str(error)
                    reporter.error(error)
    except KeyboardInterrupt:
        return True
    return False


def _write(folder: Path, table: Aflw2000) -> None:
    """table.md, table.json and metrics.csv: percent of each photo."""
    with staged(folder) as stage:
        (stage / "table.md").write_text(table.markdown(), encoding="utf-8")
        (stage / "table.json").write_text(json.dumps(table.data(), indent=1), encoding="utf-8")
        with (stage / "metrics.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("photo", "yaw_bin", "variant", "row", "nme_percent"))
            for variant in (NEAREST, LARGEST):
                for row, of_photo in table.values.get(variant, {}).items():
                    writer.writerows((p, table.yaw_bins[p], variant, row, f"{v:.4f}") for p, v in of_photo.items())
