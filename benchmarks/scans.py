"""Texture completion and shape on a textured scan, by the evaluation's protocol "scans".

python -m benchmarks.scans --scan head.obj --texture colour.jpg [--sheet sheet.png] [-o REPORT]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gcnface.evaluation.methods import Method, build_methods
from gcnface.evaluation.protocols.scan_files import read_scan
from gcnface.evaluation.protocols.scans import ScanView, judge, scan_views
from gcnface.evaluation.records import PHOTO_ITSELF, MetricValue
from gcnface.evaluation.registries import METHODS, usual
from gcnface.evaluation.rendering import HeadRenderer
from gcnface.evaluation.summary import Report, Summary, column_of
from gcnface.evaluation.table import markdown, write_tables
from gcnface.pipeline import Reconstructor


def sheet(
    reconstructor: Reconstructor, views: list[ScanView], methods: Mapping[str, Method], yaw_deg: float = 40.0
) -> NDArray:
    """A row a view: the picture, then each method's answer from the side that was hidden, `yaw_deg` off the front."""
    renderer, rows = HeadRenderer(reconstructor.model, 256), []
    for view in views:
        fitted = view.held_out.fitted
        if fitted is None:
            continue
        away = -np.sign(view.held_out.yaw_deg or 1.0) * (yaw_deg + abs(view.held_out.yaw_deg))
        frame = renderer.frame(fitted.view.coarse, float(away))
        drawn = [renderer.shade(frame, method(fitted)).picture for method in methods.values()]
        rows.append(np.hstack([cv2.resize(view.held_out.picture, (256, 256), interpolation=cv2.INTER_AREA), *drawn]))
    return np.vstack(rows)


def main() -> None:
    """Measure one scan and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scan", type=Path, required=True, help="textured OBJ or GLB, y up, looking along +z")
    parser.add_argument("--texture", type=Path, help="picture of its colors, when the file names none")
    parser.add_argument("--methods", default=",".join(usual(METHODS)))
    parser.add_argument("--sheet", type=Path, help="picture of every view and answer")
    parser.add_argument("-o", "--output", type=Path, help="folder for table.md, table.json and metrics.csv")
    args = parser.parse_args()
    reconstructor = Reconstructor()
    methods, left_out = build_methods(reconstructor, args.methods.split(","), strict=False)
    views = scan_views(reconstructor, read_scan(args.scan, args.texture))
    name = str(args.scan)
    values = [MetricValue(name, name, *measured) for measured in judge(reconstructor.model, views, methods)]
    summary = Summary(Report(values, list(methods), left_out=left_out))
    print(markdown(summary))
    for value in values:
        if value.method == PHOTO_ITSELF:
            print(f"{column_of(value.metric).title}: {value.value:.2f}")
    if args.output:
        args.output.mkdir(parents=True, exist_ok=True)
        write_tables(args.output, summary)
    if args.sheet:
        cv2.imwrite(str(args.sheet), np.rint(sheet(reconstructor, views, methods)[..., ::-1] * 255))


if __name__ == "__main__":
    main()
