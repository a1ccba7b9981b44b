"""Photographs as people have them, in one table: points at every turn, quality, skin tone, tracking, seconds a photo.

    python -m benchmarks.wild --data runs/faces --heads runs/heads --nonfaces FOLDER [--aflw FOLDER]
        [--save now.json] [--before then.json]

Held-out people only; a part whose data is not given is left out. The parts are commands of their own, which tell more:
`benchmarks.poses`, `benchmarks.quality`, `benchmarks.skin_tone`, `benchmarks.tracking` and `benchmarks.speed`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from benchmarks import poses, quality, skin_tone, tracking
from gcnface.building.quality_rows import rows_of
from gcnface.io.images import read_photo
from gcnface.names import QUALITY_FLOOR
from gcnface.pipeline import Reconstructor
from gcnface.stages.quality import STAGES

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.jpg"))


def pose_figures(args: argparse.Namespace) -> dict[str, float]:
    """Means of `benchmarks.poses`, without the count of misses where there are none."""
    table = poses.measured(args.data, args.heads, args.aflw, limit=args.limit, again=args.again)
    means = {
        f"{name}, {column}": float(np.sum(values) if column == "missed" else np.mean(values))
        for name, row in table.cells.items()
        for column, values in sorted(row.items())
    }
    return {name: value for name, value in means.items() if value or not name.endswith("missed")}


def quality_figures(args: argparse.Namespace) -> dict[str, float]:
    """Of `benchmarks.quality`, both stages."""
    samples = quality.samples(args.data, args.heads, args.nonfaces, args.portraits, args.share)
    rows = rows_of(samples, Reconstructor, args.rows)
    judged = [quality.Judged.of(rows, stage) for stage in STAGES[::-1]]
    return {k: v for one in judged for k, v in one.figures(QUALITY_FLOOR).items()}


def tone_figures(args: argparse.Namespace) -> dict[str, float]:
    """Of `benchmarks.skin_tone`."""
    heads, photos = skin_tone.measured(args.shared, args.tones, 4, args.photos, args.fidelity)
    return skin_tone.head_figures(heads) | skin_tone.photo_figures(photos)


def tracking_figures(args: argparse.Namespace) -> dict[str, float]:
    """Of `benchmarks.tracking`."""
    photo = read_photo(tracking.PHOTO)
    return {k: v for part in tracking.PARTS.values() for k, v in part(photo, args.frames).items()}


def speed_figures(args: argparse.Namespace) -> dict[str, float]:
    """Seconds of the clock and of the processor a photo of the examples, when all is loaded."""
    reconstructor, seconds = Reconstructor(), []
    photos = [read_photo(file) for file in EXAMPLES]
    reconstructor(photos[0])
    for photo in photos * args.rounds:
        begin = time.perf_counter(), time.process_time()
        reconstructor(photo)
        seconds.append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
    clock, processor = np.median(np.array(seconds), axis=0)
    return {"a photo, warm, s": float(clock), "a photo, warm, s of processors": float(processor)}


PARTS = {
    "speed": speed_figures,
    "tracking": tracking_figures,
    "poses": pose_figures,
    "quality": quality_figures,
    "tones": tone_figures,
}


def chosen_parts(args: argparse.Namespace) -> list[str]:
    """Parts that are asked for and whose data is there."""
    there = {
        "poses": args.data or args.heads or args.aflw,
        "quality": args.data and args.nonfaces,
        "tones": args.shared.is_dir(),
    }
    return [name for name in args.parts if there.get(name, True)]


def lines(figures: Mapping[str, float], before: Mapping[str, float]) -> Iterator[str]:
    """The table; figures that there were before and are not now are left out."""
    yield "| figure | before | now |\n|---|---|---|"
    for name, value in figures.items():
        then = f"{before[name]:.3f}" if name in before else ""
        yield f"| {name} | {then} | {value:.3f} |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="prepared faces (`gcnface prepare`)")
    parser.add_argument("--heads", type=Path, help="rendered heads")
    parser.add_argument("--nonfaces", type=Path, help="folder of pictures without faces, a subfolder a kind")
    parser.add_argument("--aflw", type=Path, help="photos with AFLW2000-3D's NAME.mat beside them")
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="tones: folder with faces/ and wild/")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what is measured")
    parser.add_argument("--limit", type=int, default=24, help="poses: pictures of a set, rendered heads of a bin")
    parser.add_argument("--again", type=int, default=4, help="poses: photographs that are turned, mirrored and resized")
    parser.add_argument("--portraits", type=int, default=100, help="quality: held-out photographs as they are")
    parser.add_argument("--share", type=float, default=0.6, help="quality: of the number of pictures learned from")
    parser.add_argument("--rows", type=Path, help="quality: npz file that keeps what was measured")
    parser.add_argument("--tones", type=int, default=6, help="tones: heads a group")
    parser.add_argument("--photos", type=int, default=140, help="tones: photographs")
    parser.add_argument("--fidelity", type=int, default=24, help="tones: people whose drawing is compared")
    parser.add_argument("--frames", type=int, default=90, help="tracking: frames of a video")
    parser.add_argument("--rounds", type=int, default=3, help="speed: times each example is reconstructed")
    parser.add_argument("--before", type=Path, help="what --save of a previous version wrote")
    parser.add_argument("--save", type=Path, help="write all figures here")
    args = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    for name in chosen_parts(args):
        figures |= PARTS[name](args)
        if args.save:  # what is there is there, however the next part ends
            args.save.write_text(json.dumps(figures, indent=1))
    print("\n".join(lines(figures, json.loads(args.before.read_text()) if args.before else {})))


if __name__ == "__main__":
    main()
