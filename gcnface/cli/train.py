"""``gcnface train``: a typed configuration from a YAML file and ``key=value`` words, then the training itself."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcnface.errors import GcnfaceError, printable
from gcnface.training.configuration import did_you_mean, parse_configuration
from gcnface.training.stopping import Stopped, signals_stop


@dataclass(frozen=True)
class Part:
    """A network that can be trained.

    Attributes:
        module: where its training lives; imported when it is trained.
        function: takes its configuration, a dataclass, and returns the path of the weights.
        summary: for the help.
    """

    module: str
    function: str
    summary: str


PARTS = {
    "parser": Part("gcnface.training.parser", "train_parser", "face parsing"),
    "regressor": Part("gcnface.training.regressor", "train_regressor", "coefficients from a crop"),
    "identity": Part("gcnface.training.identity", "train_identity", "identities that tell people apart"),
    "confidence": Part("gcnface.training.confidence", "train_confidence", "how far each photo of a person is believed"),
    "position-map": Part("gcnface.training.position_map", "train_position_map", "UV position maps from a window"),
    "refiner": Part("gcnface.training.refiner", "train_refiner", "the mesh network that refines colours"),
    "stn": Part("gcnface.training.stn", "train_stn", "the spatial transformer that flattens faces"),
}

USAGE = """\
usage: gcnface train {parts} --config configs/PART.yaml [KEY=VALUE ...] [--debug]

Train one of the networks:
{summaries}

A configuration holds only what differs from the defaults; `gcnface train PART -h` lists every key with its default.
KEY=VALUE words come last and win: gcnface train regressor --config configs/regressor.yaml run.epochs=3
The resolved configuration is saved beside the checkpoints; the same command goes on from the last of them.
Needs the extra packages: pip install "gcnface[train]"
"""


def main(arguments: Sequence[str]) -> int:
    """Run ``gcnface train``; the exit status: 0 done, 1 failed, 2 wrong usage, 128 and more stopped by a signal.

    Args:
        arguments: what follows ``gcnface train``.

    Raises:
        SystemExit: for help and wrong usage.
    """
    words = [word for word in arguments if word != "--debug"]
    if not words or words[0] in ("-h", "--help"):
        sys.stdout.write(usage())
        return 0 if words else 2
    if words[0] not in PARTS:
        unknown = f"{words[0]!r} cannot be trained{did_you_mean(words[0], list(PARTS))}"
        sys.stderr.write(f"{usage()}\ngcnface train: {printable(unknown)}\n")
        return 2
    run: Any = None
    try:
        with signals_stop():
            function, configuration = resolve(words[0], words[1:])
            run = getattr(configuration, "run", None)
            weights = function(configuration)
    except (GcnfaceError, OSError) as error:
        return _failed(printable(error), 1, debug="--debug" in arguments)
    except Stopped as stop:
        return _failed(f"stopped by {stop}; {_how_to_go_on(run)}", stop.status, debug="--debug" in arguments)
    if _is_first():
        sys.stdout.write(f"{weights}\n")
    return 0


def _failed(text: str, status: int, *, debug: bool) -> int:
    """Say it in one line; the exit status."""
    if debug:
        traceback.print_exc()
    sys.stderr.write(f"gcnface: {text}\n")
    return status


def _how_to_go_on(run: Any) -> str:
    if run is not None and (run.output / "last.ckpt").exists():
        return f"the same command goes on from {run.output / 'last.ckpt'}"
    return "no epoch was over, so the same command starts anew"


def _is_first() -> bool:
    """Whether this process is the one that speaks: Lightning starts the others of several with this command."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def usage() -> str:
    """The help of ``gcnface train``."""
    summaries = "\n".join(f"  {name:<12} {part.summary}" for name, part in PARTS.items())
    return USAGE.format(parts="{" + ",".join(PARTS) + "}", summaries=summaries)


def resolve(name: str, words: Sequence[str]) -> tuple[Callable[[Any], Path], Any]:
    """The training function of a part and its configuration.

    Args:
        name: a key of `PARTS`.
        words: ``--config FILE`` and ``KEY=VALUE`` words.

    Raises:
        GcnfaceError: the packages of the extra "train" are missing, or the YAML file is none.
        SystemExit: an unknown key, a value of the wrong type, a missing file (status 2), or help.
    """
    part = PARTS[name]
    try:
        import jsonargparse  # noqa: F401

        function = getattr(importlib.import_module(part.module), part.function)
    except ModuleNotFoundError as error:
        raise GcnfaceError(f'training needs the package {error.name}; pip install "gcnface[train]"') from error
    kind = configuration_type(function)
    return function, parse_configuration(kind, name, words, part.summary)


def configuration_type(function: Callable[[Any], Path]) -> type:
    """The dataclass that a training function takes: the type of its one parameter."""
    hints = typing.get_type_hints(function)
    hints.pop("return", None)
    return next(iter(hints.values()))
