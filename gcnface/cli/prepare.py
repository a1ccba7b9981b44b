"""``gcnface prepare``: its arguments."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from gcnface.cli.arguments import add_verbosity, output_folder, positive

# Held equal to gcnface.preparing.layouts.LAYOUTS by a test: importing that would cost the help a second.
LAYOUTS = ("auto", "photos", "annotated", "celeba", "300w-lp")

SUMMARY = "make a training set out of photos"
DESCRIPTION = "Make a training set out of any folder of photos: aligned faces, landmarks, label maps, embeddings."
EPILOG = """\
examples:
  gcnface prepare people/ -o runs/faces --landmarks mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl
  gcnface prepare CelebA/ -o runs/celeba --workers 8

layouts:
  photos     any folder with its subfolders; a photo in a subfolder shows the person of that name, any other one
             a person of its own (or as --identities says)
  annotated  photos/, photos.csv, photos_landmarks.npz, photos_parsing/, and the same for synthetic/
  celeba     img_align_celeba/ or img_celeba/, Anno/, Eval/
  300w-lp    AFW/ HELEN/ IBUG/ LFPW/ and their _Flip with NAME.jpg and NAME.mat

Interrupted, it goes on where it stopped when called again; called again later, it adds the photos that are new.
exit status: 0 done; 1 it could not be done, or no photo gave a face; 2 wrong usage
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gcnface prepare``."""
    parser.add_argument("photos", nargs="+", metavar="PHOTOS", help="folders, image files or glob patterns")
    parser.add_argument(
        "-o", "--output", required=True, type=output_folder, metavar="DATASET", help="folder of the data set"
    )
    parser.add_argument("--layout", choices=LAYOUTS, default="auto", help="how the photos lie (default: auto)")
    parser.add_argument(
        "--workers", type=positive, default=os.cpu_count() or 1, metavar="N", help="processes (default: all cores)"
    )
    parser.add_argument(
        "--landmarks",
        type=Path,
        metavar="TFLITE",
        help="MediaPipe's face_landmark.tflite or the wheel of mediapipe that holds it (default: that of an installed "
        "mediapipe, else the landmarks are the shipped regressor's, which teach a network nothing new)",
    )
    parser.add_argument(
        "--parsing",
        choices=("shipped", "stored"),
        default="shipped",
        help="label maps drawn by the shipped parser, or those stored beside the photos as they are (default: shipped)",
    )
    parser.add_argument("--identities", type=Path, metavar="CSV", help="table file,identity: whom each photo shows")
    parser.add_argument("--no-embed", action="store_true", help="no FaceNet embeddings")
    parser.add_argument(
        "--min-face", type=positive, default=40, metavar="PX", help="smallest face, side of its box (default: 40)"
    )
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Prepare the faces and say what came of it; the exit status."""
    from gcnface.batch.progress import Reporter
    from gcnface.errors import GcnfaceError
    from gcnface.preparing.dataset import PrepareOptions, prepare

    reporter = Reporter(0, quiet=options.quiet, debug=options.debug)
    try:
        report = prepare(
            PrepareOptions(
                photos=options.photos,
                output=options.output,
                layout=options.layout,
                workers=options.workers,
                landmarks=options.landmarks,
                identities=options.identities,
                parsing=options.parsing,
                embed=not options.no_embed,
                min_face_px=options.min_face,
                quiet=options.quiet,
                debug=options.debug,
            )
        )
    except GcnfaceError as error:
        reporter.error(error)
        return 1
    for line in report.text(options.output).splitlines():
        reporter.result(line)
    if not report.prepared:
        reporter.failure(f"no photo gave a face; {options.output / 'report.json'} says why", "")
    return 0 if report.prepared else 1
