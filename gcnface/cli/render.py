"""``gcnface render``: its arguments."""

from __future__ import annotations

import argparse
import math
import re
import sys
from pathlib import Path

from gcnface.cli.arguments import add_verbosity

# Held equal to gcnface.result.lights.LIGHTS and gcnface.result.rendering.VIEWS by tests: importing those would
# cost the help a second.
LIGHTS = ("ambient", "studio", "left", "right", "top", "below", "sunset")
VIEWS = ("portrait", "photo")
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
LARGEST_PX = 4096

SUMMARY = "draw a face in another light, pose or expression"
DESCRIPTION = "Draw a face that gcnface refine wrote (its .npz alone) in another light, pose or expression."
EPILOG = f"""\
examples:
  gcnface render out/portrait.npz -o turned.png --yaw 30 --light studio
  gcnface render out/portrait.npz -o smile.png --expression mouthSmileLeft=0.7 mouthSmileRight=0.7
  gcnface render out/portrait.npz --turntable turn.mp4 --light sunset --size 720
  gcnface render out/portrait.npz -o photo.png --view photo --background portrait.jpg --light left

lights: own (the photo's), {", ".join(LIGHTS)}; or a file: nine harmonics of red, green, blue (.json, .npy, .npz),
the .npz of another face, or a panorama (.hdr, .png, .jpg). docs/render.md shows them.

exit status: 0 all done; 1 something failed; 2 wrong usage
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gcnface render``."""
    parser.add_argument("face", type=Path, metavar="NAME.npz", help="what gcnface refine wrote")
    parser.add_argument("-o", "--output", type=_picture, metavar="OUT.png", help="the picture; also .jpg, .webp")
    parser.add_argument("--turntable", type=_video, metavar="OUT.mp4", help="a video of a full turn")
    turn = parser.add_argument_group("pose, in degrees")
    turn.add_argument(
        "--yaw", type=_angle, default=0.0, metavar="DEG", help="turn the head; positive is to the viewer's right"
    )
    turn.add_argument("--pitch", type=_angle, default=0.0, metavar="DEG", help="nod; positive is down")
    turn.add_argument("--roll", type=_angle, default=0.0, metavar="DEG", help="tilt; positive is counter-clockwise")
    light = parser.add_argument_group("light")
    light.add_argument("--light", default="own", metavar="LIGHT", help="a name or a file, see below (default: own)")
    light.add_argument("--light-follows", action="store_true", help="turn the light with the head")
    face = parser.add_argument_group("expression")
    face.add_argument(
        "--expression",
        nargs="+",
        action="extend",
        type=_unit,
        default=[],
        metavar="UNIT=X",
        help="ARKit blendshapes, added to the face's own, such as jawOpen=0.6",
    )
    face.add_argument("--neutral", action="store_true", help="start from the face at rest")
    _add_picture(parser)
    add_verbosity(parser)


def _add_picture(parser: argparse.ArgumentParser) -> None:
    """What the picture is like."""
    picture = parser.add_argument_group("picture")
    picture.add_argument(
        "--view",
        choices=VIEWS,
        default="portrait",
        help="portrait: the whole head, turned from looking straight ahead (default); photo: through the photo's "
        "camera, turned from the pose it has there",
    )
    picture.add_argument(
        "--size",
        type=_size,
        metavar="PX",
        help="side, or WIDTHxHEIGHT; with --view photo the longer side (default: 1024; turntable 512)",
    )
    picture.add_argument(
        "--background",
        metavar="WHAT",
        help="transparent, a colour (white, '#d8d4cc') or a picture (default: transparent in .png and .webp)",
    )
    picture.add_argument(
        "--seconds",
        type=_seconds,
        default=4.0,
        metavar="S",
        help="duration of a full turn, 30 frames a second (default: 4)",
    )


def run(options: argparse.Namespace) -> int:
    """``gcnface render`` with parsed arguments; the exit status."""
    from gcnface.batch.render import RenderOptions, render

    wrong = _contradiction(options)
    if wrong:
        sys.stderr.write(f"gcnface render: error: {wrong}\n")
        return 2
    wanted = {key: value for key, value in vars(options).items() if key in RenderOptions.__dataclass_fields__}
    return render(RenderOptions(**{**wanted, "expression": dict(options.expression)}))


def _contradiction(options: argparse.Namespace) -> str | None:
    """What is wrong with the options together."""
    if options.output is None and options.turntable is None:
        return "nothing to write; give -o OUT.png or --turntable OUT.mp4"
    opaque = options.output is not None and options.output.suffix.lower() in (".jpg", ".jpeg")
    if (options.background or "").lower() == "transparent" and (opaque or options.turntable is not None):
        return "neither JPEG nor video can be transparent; write a .png, or give another --background"
    return None


def _picture(text: str) -> Path:
    return _with_suffix(text, PICTURES)


def _video(text: str) -> Path:
    return _with_suffix(text, (".mp4",))


def _with_suffix(text: str, suffixes: tuple[str, ...]) -> Path:
    """A path of one of these kinds."""
    path = Path(text)
    if path.suffix.lower() not in suffixes:
        raise argparse.ArgumentTypeError(f"{text!r} given; expected a name that ends with {', '.join(suffixes)}")
    return path


def _angle(text: str) -> float:
    """Degrees."""
    return _number(text, -math.inf, math.inf, "degrees")


def _seconds(text: str) -> float:
    return _number(text, 0.1, 600, "0.1 to 600 seconds")


def _number(text: str, smallest: float, largest: float, what: str) -> float:
    """A finite number within bounds."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and smallest <= value <= largest):
        raise argparse.ArgumentTypeError(f"{text!r} given; expected {what}")
    return value


def _unit(text: str) -> tuple[str, float]:
    """A blendshape and its weight."""
    name, sign, value = text.partition("=")
    if not name.strip() or not sign:
        raise argparse.ArgumentTypeError(f"{text!r} given; expected UNIT=NUMBER, such as jawOpen=0.6")
    return name.strip(), _number(value, -10, 10, f"a number from -10 to 10 behind {name}=")


def _size(text: str) -> int | tuple[int, int]:
    """A side, or width and height, which come back as height and width."""
    found = re.fullmatch(r"(\d+)(?:[xX](\d+))?", text)
    sides = [int(side) for side in found.groups() if side] if found else []
    if not sides or not all(16 <= side <= LARGEST_PX for side in sides):
        raise argparse.ArgumentTypeError(f"{text!r} given; expected PX or WIDTHxHEIGHT, 16 to {LARGEST_PX} a side")
    return sides[0] if len(sides) == 1 else (sides[1], sides[0])
