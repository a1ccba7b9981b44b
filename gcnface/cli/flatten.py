"""``gcnface flatten``: its arguments."""

from __future__ import annotations

import argparse

from gcnface.cli.arguments import add_device, add_photos, add_verbosity
from render.devices import check_device

SUMMARY = "lay the faces of photos out flat, all in the same way"
DESCRIPTION = "Resample the largest face of every photo over the face chart: a texel is the same point of every face."
EPILOG = """\
examples:
  gcnface flatten portrait.jpg -o out/
  gcnface flatten anna/*.jpg -o out/ --mean anna --size 512

what comes out for portrait.jpg:
  portrait_flat.png     the photo's own colours, hidden parts transparent
and with --mean anna:
  anna_mean.png         the mean over the photos that show a texel
  anna_mean_mask.png    the share of the photos that show it, white is all

exit status: 0 all done; 1 some photo failed (the others are done); 2 wrong usage
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gcnface flatten``."""
    add_photos(parser)
    parser.add_argument(
        "--size",
        type=even_side,
        default=256,
        metavar="PX",
        help="side of the flat face in pixels, an even number from 16 to 4096 (default: 256)",
    )
    parser.add_argument(
        "--mean", type=file_name, metavar="NAME", help="also write the mean of all photos, which show one person"
    )
    add_device(parser)
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """``gcnface flatten`` with parsed arguments; the exit status."""
    check_device(options.device)
    from gcnface.batch.flatten import FlattenOptions, flatten_photos

    request = FlattenOptions(
        options.photos, options.output, options.size, options.mean, options.device, options.quiet, options.debug
    )
    return flatten_photos(request)


def even_side(text: str) -> int:
    """An even number of texels from 16 to 4096."""
    if not text.isdecimal() or int(text) % 2 or not 16 <= int(text) <= 4096:
        raise argparse.ArgumentTypeError(f"{text!r} given; expected an even number from 16 to 4096")
    return int(text)


def file_name(text: str) -> str:
    """A name without folders."""
    if not text or text in (".", "..") or "/" in text or "\\" in text:
        raise argparse.ArgumentTypeError(f"{text!r} given; expected a name without folders")
    return text
