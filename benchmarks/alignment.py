"""How far the crop of a face, and the points found in it, hang on what the detector says and on how the face lies.

    python -m benchmarks.alignment [--faces ../shared/faces] [--count 12] [--turns 8] [--json F]

Held-out photographs are turned in the plane, mirrored and scaled, and what the detector says is spoilt: points moved at
random, eyes swapped, all points on a line, the box of a wrong size or elsewhere. The 468 points of the position map are
compared with those of the photograph as it is, in % of the distance of the outer eye corners; a flip is a head that is
turned by more than 45 degrees against the other. "five points" cuts the crop as the points say.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.face_model import load_face_model
from gcnface.io.images import read_photo
from gcnface.photo.crop import WINDOW_FROM_CROP, warp_image, warp_points
from gcnface.photo.detection import Detection, make_detector
from gcnface.photo.registry import DETECTORS
from gcnface.preparing.layouts import find_sources
from gcnface.stages.alignment import FaceAligner, load_face_aligner
from gcnface.stages.first_crops import points_crop
from gcnface.stages.looks import Evidence
from gcnface.training.crops import mirror468
from render.rotation import rotation_from_euler

OUTER_EYES = (33, 263)
FLIP_DEG = 45.0
MIRRORED_POINTS5 = [1, 0, 2, 4, 3]


@dataclass(frozen=True)
class Found:
    """Points (468, 2) in px of the photo as it is, the head's rotation (3, 3) there, and how it was found."""

    points: NDArray[np.float64]
    rotation: NDArray[np.float64]
    looks: int
    doubt: float


@dataclass(frozen=True)
class Case:
    """A photo, its detection, and the way back."""

    name: str
    photo: NDArray[np.float32]
    face: Detection
    original_from_photo: NDArray[np.float64]
    mirrored: bool = False


class Looker:
    """The two ways to a face's points."""

    def __init__(self) -> None:
        self.aligner: FaceAligner = load_face_aligner(load_face_model())
        self.detectors = {name: make_detector(name) for name in DETECTORS}

    def __call__(self, case: Case) -> dict[str, Found]:
        """What both find, in px of the photo as it is."""
        dense = self.aligner(case.photo, case.face)
        five = self.aligner.viewer(case.photo, case.face, [("points", points_crop(case.face))])[0]
        return {
            "five points": self._found(case, five.crop_from_photo, five.position_map, five.evidence, 1),
            "dense points": self._found(
                case, dense.crop.crop_from_photo, dense.position_map, dense.evidence, dense.looks
            ),
        }

    def _found(self, case: Case, crop: NDArray[np.float64], maps: Tensor, evidence: Evidence, looks: int) -> Found:
        points = self.aligner.viewer.layout.landmarks468(maps)[0, :, :2].double().cpu().numpy()
        matrix = case.original_from_photo @ np.linalg.inv(WINDOW_FROM_CROP @ crop)
        points = points @ matrix[:2, :2].T + matrix[:2, 2]
        angles = (torch.tensor([np.radians(float(angle))]) for angle in evidence.euler_deg)
        rotation = rotation_from_euler(*angles)[0].numpy()
        turn, flip = np.eye(3), np.diag([1.0, -1.0, 1.0])
        turn[:2, :2] = case.original_from_photo[:2, :2] / np.sqrt(abs(np.linalg.det(case.original_from_photo[:2, :2])))
        rotation = flip @ turn @ flip @ rotation
        if case.mirrored:
            points, rotation = points[mirror468()], rotation @ np.diag([-1.0, 1.0, 1.0])
        return Found(points, rotation, looks, evidence.doubt)


def turned(photo: NDArray[np.float32], degrees: float, scale: float = 1.0) -> tuple[NDArray[np.float32], NDArray]:
    """A photo turned clockwise as seen, whole, and turned_from_photo (3, 3)."""
    height, width = photo.shape[:2]
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    matrix = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) @ matrix[:2, :2].T
    matrix[:2, 2] = -corners.min(0)
    wh = np.ceil(np.ptp(corners, axis=0)).astype(int)
    return warp_image(photo, matrix, (int(wh[1]), int(wh[0]))), matrix


def moved_detection(face: Detection, matrix: NDArray) -> Detection:
    """What the detector would say of a turned photo: its points and the square of its box go along."""
    middle = warp_points(face.box.reshape(2, 2).mean(0)[None], matrix)[0]
    half = np.ptp(face.box.reshape(2, 2), axis=0) / 2 * np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    box = np.concatenate([middle - half, middle + half]).astype(np.float32)
    return replace(face, box=box, points5=warp_points(face.points5, matrix))


def spoilt(face: Detection, rng: np.random.Generator) -> Iterator[tuple[str, Detection]]:
    """Wrong detections of a face, and what is wrong."""
    side, middle = np.sqrt(face.area), face.box.reshape(2, 2).mean(0)
    for percent in (10, 20, 30):
        shift = rng.normal(0, percent / 100 * side / np.sqrt(2), (5, 2)).astype(np.float32)
        yield f"points off by {percent} %", replace(face, points5=face.points5 + shift)
    yield "eyes swapped", replace(face, points5=face.points5[[1, 0, 2, 3, 4]])
    yield "mirror points", replace(face, points5=face.points5[MIRRORED_POINTS5])
    line = face.points5.mean(0) + (face.points5 - face.points5.mean(0)) * (0.1, 1.0)
    yield "points on a line", replace(face, points5=line.astype(np.float32))
    tilted = line @ np.array([[0.7, 0.7], [-0.7, 0.7]])
    tilted += face.points5.mean(0) - tilted.mean(0)
    yield "points on a tilted line", replace(face, points5=tilted.astype(np.float32))
    quarter = (face.points5 - middle) @ np.array([[0.0, 1.0], [-1.0, 0.0]]) + middle
    yield "points turned by 90", replace(face, points5=quarter.astype(np.float32), score=0.95)
    for factor in (0.7, 1.4):
        yield f"box {factor}", replace(face, box=_box(middle, face, factor))
    yield "box off by 20 %", replace(face, box=_box(middle + 0.2 * side, face, 1.0))
    yield (
        "box off, points on a line",
        replace(face, box=_box(middle + 0.2 * side, face, 1.0), points5=line.astype("f4")),
    )


def _box(middle: NDArray, face: Detection, factor: float) -> NDArray[np.float32]:
    half = factor * np.ptp(face.box.reshape(2, 2), axis=0) / 2
    return np.concatenate([middle - half, middle + half]).astype(np.float32)


def cases(photo: NDArray[np.float32], face: Detection, turns: int, looker: Looker, seed: int) -> Iterator[Case]:
    """All of one photo; the first is the photo as it is."""
    yield Case("as it is", photo, face, np.eye(3))
    for name, wrong in spoilt(face, np.random.default_rng(seed)):
        yield Case(name, photo, wrong, np.eye(3))
    mirror = np.array([[-1.0, 0, photo.shape[1]], [0, 1, 0], [0, 0, 1]])
    other = moved_detection(replace(face, points5=face.points5[MIRRORED_POINTS5]), mirror)
    yield Case("mirrored", np.ascontiguousarray(photo[:, ::-1]), other, mirror, mirrored=True)
    for turn in range(1, turns):
        picture, matrix = turned(photo, 360 / turns * turn)
        yield Case("turned, points known", picture, moved_detection(face, matrix), np.linalg.inv(matrix))
        for name, detector in looker.detectors.items():
            found = detector.detect(picture)
            if found:
                yield Case(f"turned, {name}", picture, found[0], np.linalg.inv(matrix))
    for face_px in (200, 80, 40):
        picture, matrix = turned(photo, 0.0, face_px / np.sqrt(face.area))
        yield Case(f"face of {face_px} px", picture, moved_detection(face, matrix), np.linalg.inv(matrix))


def held_out(folder: Path, count: int) -> list[Path]:
    """Photographs of held-out people, spread over the folder."""
    files = sorted(s.file for s in find_sources([str(folder)], "annotated", {}) if s.validation and not s.drawn)
    return [files[i] for i in np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, default=Path("../shared/faces"))
    parser.add_argument("--count", type=int, default=12, help="photographs")
    parser.add_argument("--turns", type=int, default=8, help="turns in the plane")
    parser.add_argument("--json", type=Path, help="write every value here")
    args = parser.parse_args()
    torch.set_num_threads(1)
    looker, rows = Looker(), []
    for k, path in enumerate(held_out(args.faces, args.count)):
        photo = read_photo(path)
        found = looker.detectors[next(iter(DETECTORS))].detect(photo)
        truth: Found | None = None
        for case in cases(photo, found[0], args.turns, looker, k) if found else ():
            answers = looker(case)
            truth = truth or answers["dense points"]
            for way, answer in answers.items():
                rows.append({"photo": path.name, "case": case.name, "way": way} | difference(answer, truth))
    print(table(rows))
    if args.json:
        args.json.write_text(json.dumps(rows))


def difference(found: Found, truth: Found) -> dict[str, float]:
    """Distance of the points in % of that of the eyes, whether the head is flipped, looks and doubt."""
    eyes = np.linalg.norm(truth.points[OUTER_EYES[0]] - truth.points[OUTER_EYES[1]])
    away = np.linalg.norm(found.points - truth.points, axis=1).mean()
    cosine = (np.trace(found.rotation.T @ truth.rotation) - 1) / 2
    angle = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return {"percent": 100 * float(away / eyes), "flip": angle > FLIP_DEG, "looks": found.looks, "doubt": found.doubt}


def table(rows: list[dict]) -> str:
    """Median, 90th percentile and worst error, flips and looks, by case and way."""
    lines = ["| case | way | median % | p90 % | worst % | flips | looks |", "|---|---|---|---|---|---|---|"]
    for key in dict.fromkeys((row["case"], row["way"]) for row in rows):
        part = [row for row in rows if (row["case"], row["way"]) == key]
        median, p90, worst = np.percentile([row["percent"] for row in part], [50, 90, 100])
        flips, looks = sum(row["flip"] for row in part), np.mean([row["looks"] for row in part])
        lines.append(
            f"| {key[0]} | {key[1]} | {median:.1f} | {p90:.1f} | {worst:.1f} | {flips} of {len(part)} | {looks:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
