"""Faces that the picture's edge cuts, against the same faces in the uncut picture: error of the 468 landmarks.

    python -m benchmarks.cut_faces [PHOTO ...]

Each photo is cut at a share of the box of its landmarks, from one side and from all; the error is the mean distance of
the landmarks to those of the uncut photo, in % of the distance of the outer eye corners.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gcnface.evaluation.methods import fit_photo
from gcnface.io.images import read_photo
from gcnface.options import ReconstructionOptions
from gcnface.pipeline import Reconstructor

SIDES = {"left": (1, 0, 0, 0), "top": (0, 1, 0, 0), "right": (0, 0, 1, 0), "bottom": (0, 0, 0, 1), "all": (1, 1, 1, 1)}
PERCENT = (-30, -15, -5, 0, 5, 15, 30)
OUTER_EYES = (33, 263)


@torch.no_grad()
def landmarks(reconstructor: Reconstructor, photo: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """(468, 2) photo px; None where no face is found, or too little of one."""
    fitted = fit_photo(reconstructor, photo)
    if fitted is None:
        return None
    points = reconstructor.stages.coarse.morphable.landmarks_cam(fitted.view.coarse.coefficients)
    return fitted.view.camera.project(points)[0, :, :2].numpy()


def cuts(photo: NDArray[np.float32], points: NDArray[np.float32]) -> Iterator[tuple[str, int, tuple[int, ...]]]:
    """Side, percent and x0, y0, x1, y1 of every cut."""
    low, high = points.min(0), points.max(0)
    whole = np.array([0, 0, photo.shape[1], photo.shape[0]])
    for side, which in SIDES.items():
        for percent in PERCENT:
            inset = percent / 100 * (high - low)
            edges = np.concatenate([low + inset, high - inset]).clip(0, np.tile(whole[2:], 2))
            yield side, percent, tuple(np.where(which, edges.round(), whole).astype(int).tolist())


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pictures = ["examples/portrait.jpg", "examples/smile.jpg", "tests/data/face.jpg", "tests/data/glasses.jpg"]
    parser.add_argument("photos", nargs="*", type=Path, default=[Path(name) for name in pictures])
    torch.set_num_threads(1)
    reconstructor = Reconstructor(ReconstructionOptions(texture_size=64))
    errors: dict[tuple[str, int], list[float]] = {}
    for path in parser.parse_args().photos:
        photo = read_photo(path)
        points = landmarks(reconstructor, photo)
        if points is None:
            parser.error(f"{path}: shows no face")
        eyes = np.linalg.norm(points[OUTER_EYES[0]] - points[OUTER_EYES[1]])
        for side, percent, (x0, y0, x1, y1) in cuts(photo, points):
            found = landmarks(reconstructor, np.ascontiguousarray(photo[y0:y1, x0:x1]))
            error = np.inf if found is None else np.linalg.norm(found + [x0, y0] - points, axis=1).mean() / eyes
            errors.setdefault((side, percent), []).append(100 * float(error))
    print("| cut at % of the face | " + " | ".join(f"{percent}" for percent in PERCENT) + " |")
    print("|---" * (1 + len(PERCENT)) + "|")
    for side in SIDES:
        cells = []
        for percent in PERCENT:
            known = [error for error in errors[side, percent] if np.isfinite(error)]
            refused = len(errors[side, percent]) - len(known)
            cells.append(f"{np.mean(known):.1f}, {max(known):.1f}" if known else "")
            cells[-1] += f" ({refused} refused)" * bool(refused)
        print(f"| {side}: mean, worst | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
