"""``gcnface refine``: its arguments."""

from __future__ import annotations

import argparse
import sys

from gcnface.cli.arguments import add_device, add_photos, add_verbosity, count, positive, side_px, some_of

# Held equal to gcnface.result.reconstruction.FORMATS by a test: importing that would cost the help half a second.
FORMATS = ("glb", "obj", "ply", "overlay", "npz", "json", "html", "maps")

SUMMARY = "turn photos into textured 3D faces"
DESCRIPTION = "Turn photos into textured 3D faces."
EPILOG = """\
examples:
  gcnface refine portrait.jpg -o out/
  gcnface refine --same-person front.jpg left.jpg right.jpg -o out/
  gcnface refine holiday/ 'more/**/*.png' -o out/ --formats glb,html --all-faces

what comes out for portrait.jpg:
  portrait.glb          textured mesh, metres (Blender, three.js, Windows, macOS)
  portrait.obj          the same with portrait.mtl and portrait.png, millimetres
  portrait.ply          vertex colours, millimetres
  portrait_overlay.png  photo, coarse, refined, refined turned by 30 degrees each way
  portrait.npz          every array, read back by gcnface.load
  portrait.json         versions, seconds, figures
  portrait.html         a turntable for any browser
  portrait_source.png   which texels were seen, mirrored, inferred; portrait_confidence.png how far

exit status: 0 all done; 1 some photo failed (the others are done); 2 wrong usage
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gcnface refine``."""
    add_photos(parser)
    parser.add_argument(
        "--formats",
        type=some_of(FORMATS),
        default=FORMATS,
        metavar="A,B,...",
        help=f"what to write, some of {','.join(FORMATS)} (default: all)",
    )
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--all-faces", action="store_true", help="take every face of a photo instead of the largest")
    whose.add_argument(
        "--same-person",
        action="store_true",
        help="all photos show one person: one result, named after the first photo and posed as in it",
    )
    add_device(parser)
    parser.add_argument(
        "--no-fit", action="store_true", help="do not fit the shape to each photo: faster, but less like it"
    )
    parser.add_argument(
        "--adapt",
        type=count,
        default=0,
        metavar="N",
        help="train the refiner on the photo for N steps; slow (default: 0)",
    )
    parser.add_argument(
        "--texture-size",
        type=side_px(64, 8192),
        default=1024,
        metavar="PX",
        help="side of the texture in pixels (default: 1024)",
    )
    parser.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="processes that share the photos, one thread and up to 1.8 GB each"
        " (default: one a core where there are photos and memory for them)",
    )
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """``gcnface refine`` with parsed arguments; the exit status."""
    from gcnface.batch.person import refine_person
    from gcnface.batch.refine import RefineOptions, refine
    from gcnface.options import ReconstructionOptions

    if options.same_person and options.adapt:
        sys.stderr.write("gcnface refine: error: --adapt works on one photo; leave it out with --same-person\n")
        return 2
    if (options.workers or 1) > 1 and (options.same_person or options.device != "cpu"):
        sys.stderr.write("gcnface refine: error: --workers share single photos on the cpu; leave it out\n")
        return 2

    request = RefineOptions(
        photos=options.photos,
        output=options.output,
        formats=options.formats,
        how=ReconstructionOptions(
            all_faces=options.all_faces,
            device=options.device,
            fit=not options.no_fit,
            adapt=options.adapt,
            texture_size=options.texture_size,
        ),
        quiet=options.quiet,
        debug=options.debug,
        workers=options.workers,
    )
    return refine_person(request) if options.same_person else refine(request)
