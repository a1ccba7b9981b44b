"""The command line. What a command needs is imported when the command runs, so that help comes at once."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from gcnface.version import __version__

# Held equal to gcnface.reconstruction.FORMATS by a test: importing that would cost the help half a second.
FORMATS = ("glb", "obj", "ply", "overlay", "npz", "json", "html")

_DESCRIPTION = "From one photograph to a textured 3D face mesh."
_REFINE_EPILOG = """\
examples:
  gcnface refine portrait.jpg -o out/
  gcnface refine holiday/ 'more/**/*.png' -o out/ --formats glb,html --all-faces

what comes out for portrait.jpg:
  portrait.glb          textured mesh, metres (Blender, three.js, Windows, macOS)
  portrait.obj          the same with portrait.mtl and portrait.png, millimetres
  portrait.ply          vertex colours, millimetres
  portrait_overlay.png  photo, coarse, refined, refined turned by 30 degrees each way
  portrait.npz          every array, read back by gcnface.load
  portrait.json         versions, seconds, figures
  portrait.html         a turntable for any browser

exit status: 0 all done; 1 some photo failed (the others are done); 2 wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status.

    Args:
        arguments: without the program's name; None takes those of the process.

    Raises:
        SystemExit: for help, version and wrong usage (status 2).
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["train"]:
        from gcnface.training.cli import main as train

        return train(words[1:])
    parser = build_parser()
    options = parser.parse_args(words)
    if options.command is None:
        parser.print_help()
        return 2
    return _refine(options)


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command but ``train``, which reads its own arguments."""
    parser = argparse.ArgumentParser("gcnface", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"gcnface {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    _add_refine(commands)
    commands.add_parser("train", help="train parser, regressor or refiner (gcnface train -h)", add_help=False)
    return parser


def _add_refine(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of ``gcnface refine``."""
    parser = commands.add_parser(
        "refine",
        help="turn photos into textured 3D faces (gcnface refine -h)",
        description="Turn photos into textured 3D faces.",
        epilog=_REFINE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "photos", nargs="+", metavar="PHOTO", help="image files, folders (without their subfolders) or glob patterns"
    )
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="OUT", help="folder of the results")
    parser.add_argument(
        "--formats",
        type=_formats,
        default=FORMATS,
        metavar="A,B,...",
        help=f"what to write, some of {','.join(FORMATS)} (default: all)",
    )
    parser.add_argument("--all-faces", action="store_true", help="every face of a photo instead of the largest")
    parser.add_argument("--device", type=_device, default="cpu", help="cpu, cuda, cuda:1 or mps (default: cpu)")
    parser.add_argument("--no-fit", action="store_true", help="skip the fit of the shape to each photo; faster")
    parser.add_argument(
        "--adapt", type=_steps, default=0, metavar="N", help="N steps of refinement on the photo itself (default: 0)"
    )
    parser.add_argument(
        "--texture-size", type=_texture_size, default=1024, metavar="PX", help="side of the texture (default: 1024)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no list of results")
    parser.add_argument("--debug", action="store_true", help="stack traces and warnings")


def _refine(options: argparse.Namespace) -> int:
    """``gcnface refine`` with parsed arguments."""
    # Read by OpenMP when torch is imported. Threads that spin while they wait make a busy machine ten times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from gcnface.api import Options
    from gcnface.refine_command import RefineOptions, refine

    request = RefineOptions(
        photos=options.photos,
        output=options.output,
        formats=options.formats,
        how=Options(options.all_faces, options.device, not options.no_fit, options.adapt, options.texture_size),
        quiet=options.quiet,
        debug=options.debug,
    )
    _print_any_name()
    with warnings.catch_warnings(), _terminated_by_exception():
        if not options.debug:
            warnings.simplefilter("ignore")
        try:
            return refine(request)
        except KeyboardInterrupt:
            sys.stderr.write("gcnface: interrupted\n")
            return 130


def _formats(text: str) -> tuple[str, ...]:
    """Comma-separated formats, each once, in the order given."""
    wanted = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip()))
    unknown = [word for word in wanted if word not in FORMATS]
    if unknown or not wanted:
        raise argparse.ArgumentTypeError(
            f"{', '.join(unknown) or 'nothing'} given; expected some of {','.join(FORMATS)}"
        )
    return wanted


def _device(text: str) -> str:
    """A device's name; whether it is there is seen when the networks are loaded."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?|mps", text):
        raise argparse.ArgumentTypeError(f"{text!r} given; expected cpu, cuda, cuda:1 or mps")
    return text


def _steps(text: str) -> int:
    """A number of steps."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} given; expected a number, 0 or more")
    return int(text)


def _texture_size(text: str) -> int:
    """A texture's side in px."""
    if not text.isdecimal() or not 64 <= int(text) <= 8192:
        raise argparse.ArgumentTypeError(f"{text!r} given; expected 64 to 8192")
    return int(text)


def _print_any_name() -> None:
    """File names may hold what the terminal's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _terminated_by_exception() -> Iterator[None]:
    """Let SIGTERM raise SystemExit, so that temporary files are removed; in threads, signals cannot be caught."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
