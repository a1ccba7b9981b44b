"""``gcnface train``: Lightning's command line for each network that can be trained."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from gcnface.errors import GcnfaceError, printable
from gcnface.names import nearest
from gcnface.system.signals import ENDING

if TYPE_CHECKING:
    from gcnface.training.command import TrainingCLI


@dataclass(frozen=True)
class Trainable:
    """A network that can be trained.

    Attributes:
        module: where its training lives, as ``package.module:Class``; imported when it is trained.
        data: where its data module lives, likewise.
        summary: for the help.
    """

    module: str
    data: str
    summary: str


def _trainable(name: str, kind: str, summary: str, data: str | None = None) -> Trainable:
    home = f"gcnface.training.{name}"
    return Trainable(f"{home}:{kind}Module", f"{f'gcnface.training.{data}' if data else home}:{kind}Data", summary)


TRAINABLES = {
    "parser": _trainable("parser", "Parser", "face parsing"),
    "regressor": _trainable("regressor", "Regressor", "coefficients from a crop"),
    "identity": _trainable("identity", "Identity", "identities that tell people apart"),
    "confidence": _trainable("confidence", "Confidence", "how far each photo of a person is believed"),
    "pose": _trainable("pose", "Pose", "the head's pose in any window"),
    "position-map": _trainable("position_map", "PositionMap", "UV position maps from a window"),
    "refiner": _trainable("refiner", "Refiner", "the mesh network that refines colours", "refiner_data"),
    "stn": _trainable("stn", "Stn", "the spatial transformer that flattens faces"),
}

USAGE = """\
usage: gcnface train {parts} --config configs/PART.yaml [--KEY VALUE ...] [--debug]

Train one of the networks:
{summaries}

The keys are those of Lightning's Trainer (trainer.max_epochs), of the network (model.learning_rate) and of its data
(data.batch_size); `gcnface train PART -h` lists all with their defaults. A configuration holds what differs from them;
words come last and win: gcnface train regressor --config configs/regressor.yaml --trainer.max_epochs 3
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
    if words[0] not in TRAINABLES:
        likely = nearest(words[0], TRAINABLES)
        unknown = f"{words[0]!r} cannot be trained" + (f" (did you mean {likely}?)" if likely else "")
        sys.stderr.write(f"{usage()}\ngcnface train: {printable(unknown)}\n")
        return 2
    run: Any = None
    debug = "--debug" in arguments
    try:
        with signals_stop():
            run = prepared(words[0], words[1:])
            weights = run.fit()
    except (GcnfaceError, OSError) as error:
        return _failed(printable(error), 1, debug=debug)
    except Stopped as stop:
        return _failed(f"stopped by {stop}; {_how_to_go_on(run)}", stop.status, debug=debug)
    first = os.environ.get("LOCAL_RANK", "0") == "0"  # Lightning starts the other processes with this command, too
    if weights is not None and first:
        sys.stdout.write(f"{weights}\n")
    return 0


def _failed(text: str, status: int, *, debug: bool) -> int:
    """Say it in one line; the exit status."""
    if debug:
        traceback.print_exc()
    sys.stderr.write(f"gcnface: {text}\n")
    return status


def _how_to_go_on(run: Any) -> str:
    if run is not None and (run.root / "last.ckpt").exists():
        return f"the same command goes on from {run.root / 'last.ckpt'}"
    return "no epoch was over, so the same command starts anew"


def usage() -> str:
    """The help of ``gcnface train``."""
    summaries = "\n".join(f"  {name:<12} {part.summary}" for name, part in TRAINABLES.items())
    return USAGE.format(parts="{" + ",".join(TRAINABLES) + "}", summaries=summaries)


def train(name: str, words: Sequence[str] | Mapping[str, Any]) -> Path | None:
    """Train a network, as ``gcnface train`` does.

    Args:
        name: a key of `TRAINABLES`.
        words: as on the command line, or a mapping of nested keys.

    Returns:
        The path of the weights; None after a ``fast_dev_run``.

    Raises:
        GcnfaceError: something is missing, damaged or cannot be.
        SystemExit: an unknown key, a value of the wrong type, a missing file (status 2), or help.
    """
    return prepared(name, words).fit()


def prepared(name: str, words: Sequence[str] | Mapping[str, Any]) -> TrainingCLI:
    """The module, its data and its trainer; arguments and errors are those of `train`."""
    part = TRAINABLES[name]
    try:
        from gcnface.training.command import TrainingCLI

        module, data = (resolve_name(place) for place in (part.module, part.data))
    except ModuleNotFoundError as error:
        raise GcnfaceError(f'training needs the package {error.name}; pip install "gcnface[train]"') from error
    return TrainingCLI.of(module, data, words, name, part.summary)


class Stopped(BaseException):
    """A signal asked the process to end: one exception for Ctrl-C, SIGTERM and SIGHUP, so that a training ends tidily.

    Inside `gcnface.system.signals`, whose exceptions Lightning treats differently: of a KeyboardInterrupt it makes
    status 1.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number  # as shells expect


@contextmanager
def signals_stop() -> Iterator[None]:
    """Raise `Stopped` where the first signal comes, but for those that are ignored; in threads none can be caught."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    known = [number for number in (signal.SIGINT, *ENDING) if signal.getsignal(number) != signal.SIG_IGN]

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        for other in known:
            signal.signal(other, _stay)
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in known}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stay(number: int, frame: FrameType | None) -> None:
    """The process is leaving; a second signal must not break off the tidying up."""
