"""IoU of the face parser on validation people: `python -m benchmarks.parser [--help]`.

Truths are label maps of teachers, not of people. Those that come with the photographs often miss an eye, a brow or the
nose; with `--labels` the maps of `gcnface.building.parsing_teacher` are the truth instead.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import milliseconds
from gcnface.photo.parsing import PARSING_CLASSES, FaceParser, load_parser
from gcnface.training.parser import (
    ParserDataSettings,
    confusion_matrix,
    gather,
    intersection_over_union,
    training_samples,
)
from gcnface.training.parser_augment import center_views

CROP_PX = 224
BATCH = 16


def confusions(parser: FaceParser, data: Path, labels: Path | None) -> dict[str, Tensor]:
    """Confusion matrix (10, 10) over the real and over the drawn photographs of held-out people."""
    counts = {
        name: torch.zeros(len(PARSING_CLASSES), len(PARSING_CLASSES), dtype=torch.int64) for name in ("real", "drawn")
    }
    faces = training_samples(ParserDataSettings(faces=data, labels=labels))
    rows = np.flatnonzero(faces.validation)
    for start in range(0, len(rows), BATCH):
        chosen = rows[start : start + BATCH]
        batch = gather(faces, chosen)
        images, truths = center_views(batch.images, batch.labels, CROP_PX)
        predicted = parser.parse(images).argmax(1)
        for answer, truth, drawn in zip(predicted, truths, faces.drawn[chosen], strict=True):
            counts["drawn" if drawn else "real"] += confusion_matrix(answer, truth)
    return counts


def print_table(counts: dict[str, Tensor]) -> None:
    """IoU of each class, real and drawn apart and together."""
    columns = {**counts, "all": counts["real"] + counts["drawn"]}
    scores = {name: intersection_over_union(confusion) for name, confusion in columns.items()}
    print(f"{'IoU':<16}" + "".join(f"{name:>8}" for name in scores))
    for index, label in enumerate(PARSING_CLASSES):
        print(f"{label:<16}" + "".join(f"{float(score[index]):>8.3f}" for score in scores.values()))
    print(f"{'mean':<16}" + "".join(f"{float(score.nanmean()):>8.3f}" for score in scores.values()))


def main() -> None:
    """Command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument(
        "--data", type=Path, default=Path("runs/faces"), help="faces of `gcnface prepare --parsing stored`"
    )
    arguments.add_argument("--labels", type=Path, help="npy of better label maps, a row for each face")
    arguments.add_argument("--weights", type=Path, help="safetensors file (default: the shipped one)")
    arguments.add_argument("--threads", type=int, default=2)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    parser = load_parser(options.weights)
    print_table(confusions(parser, options.data, options.labels))
    image = torch.rand(1, 3, CROP_PX, CROP_PX)
    print(f"{milliseconds([lambda: parser.parse(image)], 30)[0][0]:.1f} ms a crop, {options.threads} threads")


if __name__ == "__main__":
    main()
