"""``gcnface train``: a typed configuration from a YAML file and ``key=value`` words, then the training itself."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gcnface.errors import GcnfaceError

if TYPE_CHECKING:
    import jsonargparse


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
The resolved configuration is saved beside the checkpoints. Needs the extra packages: pip install "gcnface[train]"
"""


def main(arguments: Sequence[str]) -> int:
    """Run ``gcnface train``; the exit status: 0 done, 1 failed, 2 wrong usage.

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
        sys.stderr.write(f"{usage()}\ngcnface train: {words[0]!r} cannot be trained; expected {' or '.join(PARTS)}\n")
        return 2
    try:
        function, configuration = resolve(words[0], words[1:])
        weights = function(configuration)
    except GcnfaceError as error:
        sys.stderr.write(f"gcnface: {error}\n")
        return 1
    except (FileNotFoundError, PermissionError) as error:
        sys.stderr.write(f"gcnface: {error}\n")
        if "--debug" in arguments:
            traceback.print_exc()
        return 1
    if os.environ.get("LOCAL_RANK", "0") == "0":  # Lightning starts the others of several processes with this command
        sys.stdout.write(f"{weights}\n")
    return 0


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
        GcnfaceError: the packages of the extra "train" are missing.
        SystemExit: an unknown key, a value of the wrong type, a missing file (status 2), or help.
    """
    part = PARTS[name]
    try:
        import jsonargparse  # noqa: F401

        function = getattr(importlib.import_module(part.module), part.function)
    except ModuleNotFoundError as error:
        raise GcnfaceError(f'training needs the package {error.name}; pip install "gcnface[train]"') from error
    return function, parse_configuration(configuration_type(function), name, words)


def configuration_type(function: Callable[[Any], Path]) -> type:
    """The dataclass that a training function takes: the type of its one parameter."""
    hints = typing.get_type_hints(function)
    hints.pop("return", None)
    return next(iter(hints.values()))


def parse_configuration(kind: type, name: str, words: Sequence[str]) -> Any:
    """Defaults, then the YAML file, then the ``KEY=VALUE`` words, as one instance of ``kind``.

    Raises:
        SystemExit: see `resolve`.
    """
    parser = _parser(kind, name)
    namespace = parser.parse_args([f"--{word}" if "=" in word and word[0] != "-" else word for word in words])
    try:
        values = parser.instantiate_classes(namespace)
        return kind(**{field.name: values[field.name] for field in fields(kind)})
    except ValueError as error:
        return parser.error(str(error))


def _parser(kind: type, name: str) -> jsonargparse.ArgumentParser:
    """A parser with an option for every field of the dataclass, nested ones with dots."""
    import jsonargparse

    parser = jsonargparse.ArgumentParser(
        prog=f"gcnface train {name}",
        description=f"Train {PARTS[name].summary}. Write KEY=VALUE or --KEY VALUE.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="config", help="YAML file of what differs from the defaults")
    parser.add_class_arguments(kind, None)
    return parser
