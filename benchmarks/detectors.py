"""Detectors side by side on pictures whose faces are known: one row a set and detector.

    python -m benchmarks.detectors [--faces FOLDER ...] [--aflw FOLDER] [--count N] [--detectors NAME ...]

A face is found where a box lies on it: centres nearer than half its size, sizes within a factor of two. Of those found:
the five points' mean error in % of the root of the area of the landmarks' box, and how many lean by more than 30
degrees from the truth; every other box, and every second one of a face, is false. Milliseconds are those of one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import detector_sets as sets
from benchmarks.detector_sets import Sample
from gcnface.photo.detection import DETECTORS, Detection, FaceDetector, make_detector

MOST_LEAN_DEG = 30


@dataclass
class Tally:
    """What one detector did on one set."""

    faces: int = 0
    pictures: int = 0
    false: int = 0
    errors: list[float] = field(default_factory=list)
    leans: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, sample: Sample, found: list[Detection]) -> None:
        """Match what was found with what is there."""
        self.pictures += 1
        self.faces += len(sample.sides)
        left = list(found)
        for points5, side in zip(sample.points5, sample.sides, strict=True):
            on_it = [each for each in left if lies_on(each, points5, side)]
            if on_it:
                best = max(on_it, key=lambda each: each.score)
                left = [each for each in left if each is not best]
                self.errors.append(100 * float(np.linalg.norm(best.points5 - points5, axis=1).mean() / side))
                truth = Detection(best.box, 1.0, points5.astype(np.float32))
                lean = abs((best.roll_rad - truth.roll_rad + np.pi) % (2 * np.pi) - np.pi)
                self.leans.append(float(np.rad2deg(lean)))
        self.false += len(left)

    def row(self) -> str:
        """Its cells."""
        found = len(self.errors)
        share = f"{100 * found / self.faces:.1f}" if self.faces else ""
        points = f"{np.median(self.errors):.1f}, {np.percentile(self.errors, 95):.1f}" if found else ""
        lean = f"{np.median(self.leans):.1f}, {sum(each > MOST_LEAN_DEG for each in self.leans)}" if found else ""
        return f"{share} | {self.false} | {points} | {lean} | {1e3 * np.median(self.seconds):.0f}"


def lies_on(face: Detection, points5: NDArray[np.float64], side: float) -> bool:
    """Whether a box is on the face of these points."""
    center, size = (face.box[:2] + face.box[2:]) / 2, np.sqrt(face.area)
    return bool(np.linalg.norm(center - points5.mean(0)) < 0.5 * side and 0.5 < size / side < 2)


def all_sets(
    portraits: list[Sample], aflw: Path | None, count: int
) -> Iterator[tuple[str, Callable[[], Iterator[Sample]]]]:
    """Every set by name."""
    few = portraits[:: max(1, len(portraits) // count)]
    yield "portraits", lambda: iter(portraits)
    yield "mirrored", lambda: sets.mirrored(few)
    for roll in sets.ROLLS_DEG[1:]:
        yield f"turned by {roll} degrees", lambda roll=roll: sets.turned(few, roll)
    for side in sets.FACES_PX:
        yield f"faces of {side} px", lambda side=side: sets.shrunk(few, side)
    for share in sets.CUT_SHARES:
        yield f"{share:.0%} beyond the edge", lambda share=share: sets.cut(few, share)
    yield "crowds, upright", lambda: sets.crowds(portraits, max(1, count // 8), rolled=False)
    yield "crowds, any roll", lambda: sets.crowds(portraits, max(1, count // 8), rolled=True)
    yield "no face", lambda: sets.faceless(few, count)
    if aflw is not None:
        yield "large poses", lambda: sets.large_poses(aflw)


def measured(detector: FaceDetector, samples: Iterator[Sample]) -> Tally:
    """One detector on one set."""
    tally = Tally()
    for sample in samples:
        start = time.process_time()
        found = detector.detect(sample.photo)
        tally.seconds.append(time.process_time() - start)
        tally.add(sample, found)
    return tally


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", nargs="*", type=Path, default=[Path("../shared/faces"), Path("../shared/wild")])
    parser.add_argument("--aflw", type=Path, help="photos with a .mat of pt3d_68 beside them")
    parser.add_argument("--count", type=int, default=24, help="photos of every made set")
    parser.add_argument("--detectors", nargs="*", choices=tuple(DETECTORS), default=tuple(DETECTORS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    portraits = [each for folder in arguments.faces for each in sets.held_out(folder, 1000)]
    detectors = {name: make_detector(name) for name in arguments.detectors}
    print("| set | faces | detector | found, % | false | points: median, 95 %, % | lean: median, over 30 | ms |")
    print("|---" * 8 + "|")
    for name, samples in all_sets(portraits, arguments.aflw, arguments.count):
        for which, detector in detectors.items():
            tally = measured(detector, samples())
            print(f"| {name} | {tally.faces} | {which} | {tally.row()} |", flush=True)


if __name__ == "__main__":
    main()
