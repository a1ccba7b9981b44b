"""Texture completion and shape on a textured scan, by the evaluation's protocol "scans".

python -m benchmarks.scans --scan head.obj --texture colour.jpg [-o REPORT]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gcnface.evaluation.methods import build_methods
from gcnface.evaluation.protocols.scan_files import read_scan
from gcnface.evaluation.records import PHOTO_ITSELF, MetricValue
from gcnface.evaluation.registries import METHODS, PROTOCOLS, usual
from gcnface.evaluation.summary import Report, Summary, column_of
from gcnface.evaluation.table import markdown, write_tables
from gcnface.pipeline import Reconstructor


def main() -> None:
    """Measure one scan and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scan", type=Path, required=True, help="textured OBJ or GLB, y up, looking along +z")
    parser.add_argument("--texture", type=Path, help="picture of its colors, when the file names none")
    parser.add_argument("--methods", default=",".join(usual(METHODS)))
    parser.add_argument("-o", "--output", type=Path, help="folder for table.md, table.json and metrics.csv")
    args = parser.parse_args()
    reconstructor = Reconstructor()
    methods, left_out = build_methods(reconstructor, args.methods.split(","), strict=False)
    found = PROTOCOLS["scans"].load()(reconstructor, methods, read_scan(args.scan, args.texture))
    values = [MetricValue(str(args.scan), args.scan.stem, *measured) for measured in found]
    summary = Summary(Report(values, list(methods), left_out=left_out))
    print(markdown(summary))
    for value in values:
        if value.method == PHOTO_ITSELF:
            print(f"{column_of(value.metric).title}: {value.value:.2f}")
    if args.output:
        args.output.mkdir(parents=True, exist_ok=True)
        write_tables(args.output, summary)


if __name__ == "__main__":
    main()
