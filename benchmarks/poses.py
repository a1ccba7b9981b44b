"""Points at every turn of the head, and whether they agree when the picture is turned, mirrored or resized.

python -m benchmarks.poses --data runs/faces --heads runs/heads [--aflw FOLDER] [--before old.json] [--save new.json]

Held-out people only. Every picture goes through detection, alignment and fit; the face is the one that overlaps the
true box most, and where there is none the picture counts as a miss and for no mean. Errors are mean distances over the
root of the area of the true points' box. Turned, mirrored and resized pictures are held against the picture itself, in
its own pixels, by the box of the points found there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.pictures import Variant, varied
from coarse.face_model import LANDMARKS68_MIRROR, FaceModel
from coarse.morphable import VIEW_FROM_CAM, MorphableModel
from coarse.similarity import similarity_between
from gcnface.data.faces import PreparedFaces, load_prepared
from gcnface.data.heads import HeadRenders, load_heads
from gcnface.evaluation.protocols.annotated import (
    YAW_BINS_DEG,
    find_annotated,
    nearest_face,
    nme_percent,
    read_annotated,
    yaw_bin,
)
from gcnface.evaluation.protocols.rows import FacePoints, points_of_face
from gcnface.io.images import read_photo
from gcnface.pipeline import Reconstructor
from render.rotation import euler_from_rotation

BINS = tuple(f"{low}-{high}" for low, high in YAW_BINS_DEG)
SIZES_PX = (40, 80, 200, 2000)
TURNS_DEG = tuple(range(45, 360, 45))
Picture = NDArray[np.float32]


@dataclass(frozen=True)
class Known:
    """A picture and what is true of its face.

    Attributes:
        picture: (H, W, 3) float32 sRGB.
        yaw_deg: turn of the head.
        true68: (68, 2) px, None where nobody tells.
        true468: (468, 2) px, None where nobody tells.
    """

    picture: Picture
    yaw_deg: float
    true68: NDArray[np.floating] | None = None
    true468: NDArray[np.floating] | None = None

    @property
    def box(self) -> NDArray[np.floating]:
        """(4,) of the true points."""
        points = self.true68 if self.true68 is not None else self.true468
        assert points is not None
        return np.concatenate([points[:, :2].min(0), points[:, :2].max(0)])


@dataclass
class Table:
    """Values by row and column."""

    cells: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, row: str, column: str, value: float) -> None:
        """One more value."""
        self.cells.setdefault(row, {}).setdefault(column, []).append(value)

    def text(self, before: Mapping[str, Mapping[str, list[float]]]) -> str:
        """Means, and those of a previous version behind them in brackets."""
        columns = [*BINS, "all", "missed"]
        columns += sorted({c for row in self.cells.values() for c in row} - set(columns), key=str)
        lines = []
        for group in (columns[:5], columns[5:]):
            rows = {name: row for name, row in self.cells.items() if set(row) & set(group) - {"missed"}}
            if not rows:
                continue
            width = max(map(len, rows))
            lines += ["", " " * width + "".join(f"{column:>18}" for column in group)]
            lines += [
                f"{name:<{width}}" + "".join(f"{_cell(row, before.get(name, {}), column):>18}" for column in group)
                for name, row in rows.items()
            ]
        return "\n".join(lines)


def _cell(row: Mapping[str, list[float]], before: Mapping[str, list[float]], column: str) -> str:
    """One mean, or a count of misses."""

    def shown(values: list[float] | None) -> str:
        if not values:
            return "-"
        return f"{int(np.sum(values))}" if column == "missed" else f"{np.mean(values):.2f}"

    return shown(row.get(column)) + (f" ({shown(before.get(column))})" if column in before else "")


class Measurer:
    """All networks, loaded once, and the table."""

    def __init__(self) -> None:
        self.reconstructor = Reconstructor()
        self.model: FaceModel = self.reconstructor.model
        self.morphable: MorphableModel = self.reconstructor.stages.coarse.morphable
        self.table = Table()
        points = self.model.landmarks468(self.model.mean)
        flipped = points * np.array([-1, 1, 1], np.float32)
        self.mirror468 = np.linalg.norm(flipped[:, None] - points[None], axis=2).argmin(1)

    def points(self, picture: Picture, box: NDArray[np.floating]) -> dict[str, FacePoints]:
        """Points by row of the face that overlaps a box most; none where there is no such face."""
        face = nearest_face(self.reconstructor.detector.detect(picture), box)
        return points_of_face(self.reconstructor.stages, picture, face) if face is not None else {}

    def measure(self, name: str, known: Known) -> None:
        """Errors of one picture."""
        found = self.points(known.picture, known.box)
        for count, true in (("68", known.true68), ("468", known.true468)):
            if true is None:
                continue
            for row in ("align", "regressor", "fit"):
                key = f"{name}, {count} points, {row}"
                self.table.add(key, "missed", float(not found))
                if row in found:
                    points = found[row].points68 if count == "68" else found[row].points468
                    percent = nme_percent(points, true)
                    for column in (yaw_bin(known.yaw_deg), "all"):
                        self.table.add(key, column, percent)

    def agree(self, picture: Picture, box: NDArray[np.floating]) -> None:
        """How far the points of a turned, mirrored and resized picture lie from its own."""
        base = self.points(picture, box)
        if not base:
            return
        face = base["fit"].points68
        for variant in varied(picture, face, TURNS_DEG, SIZES_PX):
            found = self.points(variant.picture, variant.box_of(face))
            for row in base:
                key = f"same face again, {row}"
                self.table.add(key, "missed", float(not found))
                if found:
                    self._compare(key, variant, found[row], base[row])

    def _compare(self, key: str, variant: Variant, found: FacePoints, base: FacePoints) -> None:
        """Percent of the box for both sets of points."""
        for count, points, own, mirror in (
            ("68", found.points68, base.points68, np.array(LANDMARKS68_MIRROR)),
            ("468", found.points468, base.points468, self.mirror468),
        ):
            back = variant.back(points)
            percent = nme_percent(back[mirror] if variant.mirrored else back, own)
            self.table.add(f"{key}, {count} points", variant.kind, percent)


def annotated_photos(folder: Path, limit: int) -> Iterator[Known]:
    """Photos with AFLW2000-3D's files beside them."""
    for file in find_annotated([str(folder)]).files[:limit]:
        known = read_annotated(file)
        yield Known(read_photo(file), known.yaw_deg, true68=known.points68[:, :2])


def prepared_faces(faces: PreparedFaces, model: FaceModel, *, drawn: bool, limit: int) -> Iterator[Known]:
    """Held-out faces, spread over those there are, against the teacher's 468 points."""
    rows = np.flatnonzero(faces.validation & (faces.drawn == drawn))
    mean = torch.from_numpy(model.landmarks468(model.mean)).double()
    for row in rows[:: max(1, len(rows) // limit)][:limit]:
        upright = torch.from_numpy(faces.landmarks[row]).double() * torch.tensor(VIEW_FROM_CAM).double()
        turn = similarity_between(mean[None], upright[None]).rotation
        yaw_deg = float(torch.rad2deg(euler_from_rotation(turn)[0, 0]))
        picture = np.array(faces.canvases[row], np.float32) / 255
        yield Known(picture, yaw_deg, true468=faces.landmarks[row, :, :2])


@torch.no_grad()
def rendered_heads(heads: HeadRenders, morphable: MorphableModel, limit: int) -> Iterator[Known]:
    """Held-out rendered heads, as many of each bin, against their true geometry."""
    yaw_deg = np.degrees(heads.yaw)
    for name in BINS:
        rows = np.flatnonzero(heads.validation & (np.array([yaw_bin(float(yaw)) for yaw in yaw_deg]) == name))
        for row in rows[:: max(1, len(rows) // limit)][:limit]:
            chosen = np.array([row])
            points = morphable.landmarks68_cam(heads.coefficients(chosen, morphable))
            true68 = heads.cameras(chosen).project(points)[0, :, :2].numpy()
            picture = np.array(heads.canvases[row], np.float32) / 255
            yield Known(picture, float(yaw_deg[row]), true68, heads.landmarks[row, :, :2])


def same_faces(faces: PreparedFaces, limit: int) -> Iterator[tuple[Picture, NDArray[np.floating]]]:
    """Held-out photographs as they are, and the box of the face."""
    assert faces.files is not None
    assert faces.canvas_from_photo is not None
    rows = np.flatnonzero(faces.validation & ~faces.drawn)
    for row in rows[:: max(1, len(rows) // limit)][:limit]:
        back = np.linalg.inv(faces.canvas_from_photo[row])
        points = faces.landmarks[row, :, :2] @ back[:2, :2].T + back[:2, 2]
        yield read_photo(Path(faces.files[row])), np.concatenate([points.min(0), points.max(0)])


def measured(data: Path | None, heads: Path | None, aflw: Path | None, *, limit: int, again: int) -> Table:
    """All sets that are given.

    Args:
        data: prepared faces.
        heads: rendered heads.
        aflw: photos with AFLW2000-3D's files beside them.
        limit: pictures of a set, rendered heads of a bin.
        again: photographs that are turned, mirrored and resized.
    """
    measurer = Measurer()
    sets: list[tuple[str, Iterator[Known]]] = []
    if aflw:
        sets.append(("AFLW2000-3D", annotated_photos(aflw, limit)))
    faces = load_prepared(data) if data else None
    if faces is not None:
        for drawn, name in ((False, "photographs"), (True, "drawn faces")):
            sets.append((name, prepared_faces(faces, measurer.model, drawn=drawn, limit=limit)))
    if heads:
        sets.append(("rendered heads", rendered_heads(load_heads(heads), measurer.morphable, limit)))
    for name, pictures in sets:
        for known in pictures:
            measurer.measure(name, known)
    for picture, box in same_faces(faces, again) if faces is not None else ():
        measurer.agree(picture, box)
    return measurer.table


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="prepared faces; left out when not given")
    parser.add_argument("--heads", type=Path, help="rendered heads; left out when not given")
    parser.add_argument("--aflw", type=Path, help="photos with NAME.mat beside them; left out when not given")
    parser.add_argument("--limit", type=int, default=60, help="pictures of a set, rendered heads of a bin")
    parser.add_argument("--again", type=int, default=8, help="photographs that are turned, mirrored and resized")
    parser.add_argument("--before", type=Path, help="what --save of a previous version wrote")
    parser.add_argument("--save", type=Path, help="write every value here")
    args = parser.parse_args()
    table = measured(args.data, args.heads, args.aflw, limit=args.limit, again=args.again)
    before = json.loads(args.before.read_text())["cells"] if args.before else {}
    print(table.text(before))
    if args.save:
        args.save.write_text(json.dumps({"cells": table.cells}))


if __name__ == "__main__":
    main()
