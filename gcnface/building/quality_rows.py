"""What is measured of faces of known error: the table that the quality is learned from, and measured by."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coarse.position_map import WINDOW_MARGIN_PX
from gcnface.building.quality_samples import (
    QualitySample,
    face_samples,
    faceless_samples,
    head_samples,
    mistaken_detection,
)
from gcnface.data.faces import load_prepared
from gcnface.data.heads import load_heads
from gcnface.io.atomic import staged
from gcnface.photo.crop import warp_points
from gcnface.photo.detection import Detection
from gcnface.pipeline import Reconstructor
from gcnface.result.quality import QualityMeasures
from gcnface.stages.coarse import Stopwatch
from gcnface.stages.quality import STAGES
from gcnface.stages.quality_measures import measure_aligned, measure_fitted

log = logging.getLogger(__name__)

MEASURES = tuple(field.name for field in fields(QualityMeasures))
COUNTS = {"faces": 300, "heads": 150, "faceless": 200}
_PORTION = 20


@dataclass(frozen=True)
class QualityRows:
    """Faces that were looked for, and what was measured of them.

    Attributes:
        kind: (N,) str of `QualitySample`.
        group: (N,) str.
        held_out: (N,) bool.
        error: (N, 2) percent of the face's size, after alignment and after the fit (`STAGES`): the mean distance of the
            468 landmarks to the true ones in the picture; NaN where there is no face.
        measures: (N, 2, M) in the order of `MEASURES`.
        tried: number of pictures; in some no face is found.
    """

    kind: NDArray[np.str_]
    group: NDArray[np.str_]
    held_out: NDArray[np.bool_]
    error: NDArray[np.float64]
    measures: NDArray[np.float64]
    tried: int

    def __len__(self) -> int:
        return len(self.kind)

    def where(self, chosen: NDArray[np.bool_]) -> QualityRows:
        """Some of the rows."""
        arrays = {name: getattr(self, name)[chosen] for name in _ARRAYS}
        return replace(self, **arrays)

    def with_more(self, other: QualityRows) -> QualityRows:
        """These rows and others."""
        arrays = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in _ARRAYS}
        return replace(self, **arrays, tried=self.tried + other.tried)

    def of(self, row: int, stage: str) -> QualityMeasures:
        """The measures of one face."""
        values = self.measures[row, STAGES.index(stage)].tolist()
        return QualityMeasures(**dict(zip(MEASURES, values, strict=True)))


_ARRAYS = ("kind", "group", "held_out", "error", "measures")


def quality_samples(
    data: Path, heads: Path | None, faceless: Path, *, held_out: bool, share: float = 1.0
) -> Iterator[QualitySample]:
    """The samples of one side, their groups mixed, as many of each as `COUNTS` says, or a share of these.

    Args:
        data: prepared faces.
        heads: rendered heads; None leaves them out.
        faceless: folder with train/KIND and test/KIND, or with KIND for one side alone.
        held_out: people and pictures that nothing is learned from, or the others.
        share: of the usual number.
    """
    count = {name: max(1, round(share * number)) for name, number in COUNTS.items()}
    part = faceless / ("test" if held_out else "train")
    part = part if part.is_dir() else faceless
    groups = [
        face_samples(load_prepared(data), count["faces"], held_out=held_out),
        faceless_samples(part, count["faceless"], held_out=held_out),
    ]
    if heads is not None:
        groups.append(head_samples(load_heads(heads), count["heads"], held_out=held_out))
    for samples in zip_longest(*groups):
        yield from (sample for sample in samples if sample is not None)


def rows_of(samples: Iterable[QualitySample], load: Callable[[], Reconstructor], path: Path | None) -> QualityRows:
    """What is measured of samples; kept in a file, if one is named, and read from there as far as it is there.

    Raises:
        ValueError: there are no samples.
    """
    rows = load_rows(path) if path is not None and path.exists() else None
    left, reconstructor = islice(samples, rows.tried if rows else 0, None), None
    while portion := list(islice(left, _PORTION)):
        reconstructor = reconstructor or load()
        more = measured_rows(portion, reconstructor)
        rows = rows.with_more(more) if rows else more
        if path is not None:
            save_rows(rows, path)
        log.info("%d pictures, %d faces", rows.tried, len(rows))
    if rows is None:
        raise ValueError("there are no samples; expected some faces, and pictures without")
    return rows


def measured_rows(samples: Iterable[QualitySample], reconstructor: Reconstructor) -> QualityRows:
    """Look for the face in every sample; those in which none is found are left out."""
    looked = [_row(sample, reconstructor) for sample in samples]
    found = [row for row in looked if row is not None]
    measures = [[[getattr(m, name) for name in MEASURES] for m in row.measures] for row in found]
    return QualityRows(
        kind=np.array([row.sample.kind for row in found], dtype=np.str_),
        group=np.array([row.sample.group for row in found], dtype=np.str_),
        held_out=np.array([row.sample.held_out for row in found], dtype=np.bool_),
        error=np.array([row.error for row in found], dtype=np.float64).reshape(-1, len(STAGES)),
        measures=np.array(measures, dtype=np.float64).reshape(-1, len(STAGES), len(MEASURES)),
        tried=len(looked),
    )


@dataclass(frozen=True)
class _Row:
    """A sample, its errors and its measures by stage."""

    sample: QualitySample
    error: tuple[float, float]
    measures: tuple[QualityMeasures, QualityMeasures]


def _row(sample: QualitySample, reconstructor: Reconstructor) -> _Row | None:
    truth = sample.truth
    if truth is None:
        detection = mistaken_detection(sample.picture)
    else:
        found = reconstructor.detector.detect(sample.picture)
        if not found:
            return None
        detection = found[int(np.argmin([_distance(face, truth) for face in found]))]
    stages = reconstructor.stages
    view = stages.fit_face(sample.picture, detection, Stopwatch())
    assert view.alignment is not None
    assert stages.coarse.dense is not None
    layout = stages.coarse.dense.layout
    in_window = layout.landmarks468(view.alignment.position_map.float())[0, :, :2].cpu().numpy()
    mapped = warp_points(in_window - WINDOW_MARGIN_PX, view.crop.photo_from_crop)
    fitted = view.camera.project(stages.coarse.morphable.landmarks_cam(view.coarse.coefficients).cpu())[0].numpy()
    return _Row(
        sample,
        (_error(sample, mapped), _error(sample, fitted[:, :2])),
        (measure_aligned(sample.picture.shape[:2], view.alignment, layout), measure_fitted(view, stages.coarse)),
    )


def _distance(face: Detection, truth: NDArray) -> float:
    """Of the box's middle from that of the landmarks, px: the picture's borders may hold other faces."""
    return float(np.linalg.norm((face.box[:2] + face.box[2:]) / 2 - (truth.min(0) + truth.max(0)) / 2))


def _error(sample: QualitySample, points: NDArray) -> float:
    """Percent; NaN where there is no face."""
    if sample.truth is None:
        return math.nan
    size = np.sqrt(np.prod(np.ptp(sample.truth, axis=0)))
    return 100 * float(np.linalg.norm(points - sample.truth, axis=1).mean() / size)


def save_rows(rows: QualityRows, path: Path) -> None:
    """Write the rows, so that nothing needs to be looked at again."""
    arrays = {name: getattr(rows, name) for name in _ARRAYS}
    with staged(path.parent) as folder:
        np.savez(folder / path.name, **arrays, tried=np.array(rows.tried))


def load_rows(path: Path) -> QualityRows:
    """Read what `save_rows` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return QualityRows(**{name: file[name] for name in _ARRAYS}, tried=int(file["tried"]))
