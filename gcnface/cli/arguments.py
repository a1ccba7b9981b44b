"""Types and options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from gcnface.cli.parser import did_you_mean
from render.devices import EXPECTED, is_device_name, unknown_device


def add_photos(parser: argparse.ArgumentParser) -> None:
    """PHOTO arguments and -o OUT."""
    parser.add_argument(
        "photos", nargs="+", metavar="PHOTO", help="image files, folders (without their subfolders) or glob patterns"
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=output_folder,
        metavar="OUT",
        help="folder for the results; made if missing",
    )


def output_folder(text: str) -> Path:
    """A folder to write to; an empty word, such as an empty variable of a shell gives, would be the current folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("nothing given; expected a folder")
    return Path(text)


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device."""
    parser.add_argument("--device", type=device, default="cpu", help=f"{EXPECTED} (default: cpu)")


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    """--quiet and --debug."""
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print neither a progress bar nor the list of results"
    )
    parser.add_argument("--debug", action="store_true", help="print stack traces and warnings")


def device(text: str) -> str:
    """A device's name; whether it is there is seen when the command begins."""
    if not is_device_name(text):
        raise argparse.ArgumentTypeError(unknown_device(text))
    return text


def count(text: str) -> int:
    """A number, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} given; expected a number, 0 or more")
    return int(text)


def positive(text: str) -> int:
    """A number, 1 or more."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} given; expected a number, 1 or more")
    return int(text)


def side_px(smallest: int, largest: int) -> Callable[[str], int]:
    """The type of a picture's side within bounds."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not smallest <= int(text) <= largest:
            raise argparse.ArgumentTypeError(f"{text!r} given; expected {smallest} to {largest}")
        return int(text)

    return parse


def some_of(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """The type of comma-separated names, each once, in the order given."""

    def parse(text: str) -> tuple[str, ...]:
        wanted = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip()))
        unknown = [word for word in wanted if word not in known]
        if unknown or not wanted:
            what = f"{', '.join(unknown) or 'nothing'} given; expected some of {','.join(known)}"
            raise argparse.ArgumentTypeError(what + "".join(did_you_mean(word, known) for word in unknown))
        return wanted

    return parse
