"""IoU of the face parser on validation people: `python -m benchmarks.parser [--help]`.

Truths are label maps of teachers, not of people. The folder's own maps often miss an eye, a brow or the nose; with
`--labels` the maps of `gcnface.building.parsing_teacher` are the truth instead.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gcnface.parsing import PARSING_CLASSES, FaceParser, load_parser
from gcnface.training.parser_augment import centre_views
from gcnface.training.parser_data import annotated_photos, is_validation, stored_crop
from gcnface.training.parser_metrics import confusion_matrix, intersection_over_union

CROP_PX = 224
BATCH = 16


def crops_with_labels(faces: Path, labels: Path | None) -> list[tuple[Tensor, Tensor, bool]]:
    """For each validation person's photo: image (3, 224, 224), labels (224, 224) int64, whether it is drawn."""
    teacher = None if labels is None else np.load(labels, mmap_mode="r")
    found = []
    for row, sample in enumerate(annotated_photos(faces)):
        if is_validation(sample.identity):
            image, own = stored_crop(sample)
            truth = own if teacher is None else np.array(teacher[row])
            view = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
            centre, target = centre_views(view, torch.from_numpy(truth)[None], CROP_PX)
            found.append((centre[0], target[0], sample.drawn))
    return found


def confusions(parser: FaceParser, faces: Path, labels: Path | None) -> dict[str, Tensor]:
    """Confusion matrix (10, 10) over the real and over the drawn photographs."""
    counts = {
        name: torch.zeros(len(PARSING_CLASSES), len(PARSING_CLASSES), dtype=torch.int64) for name in ("real", "drawn")
    }
    samples = crops_with_labels(faces, labels)
    for start in range(0, len(samples), BATCH):
        images, truths, drawn = zip(*samples[start : start + BATCH], strict=True)
        predicted = parser.parse(torch.stack(images)).argmax(1)
        for answer, truth, is_drawn in zip(predicted, truths, drawn, strict=True):
            counts["drawn" if is_drawn else "real"] += confusion_matrix(answer, truth)
    return counts


def milliseconds_a_crop(parser: FaceParser, repeats: int = 30) -> float:
    """Median time of one crop."""
    image = torch.rand(1, 3, CROP_PX, CROP_PX)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        parser.parse(image)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


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
        "--faces", type=Path, default=Path("../shared/faces"), help="folder of annotated photographs"
    )
    arguments.add_argument("--labels", type=Path, help="npy of better label maps, a row for each annotated photograph")
    arguments.add_argument("--weights", type=Path, help="safetensors file (default: the shipped one)")
    arguments.add_argument("--threads", type=int, default=2)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    parser = load_parser(options.weights)
    print_table(confusions(parser, options.faces, options.labels))
    print(f"{milliseconds_a_crop(parser):.1f} ms a crop, {options.threads} threads")


if __name__ == "__main__":
    main()
