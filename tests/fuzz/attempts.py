"""What each kind of input goes through: the real thing, in this process."""

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gcnface
from tests.fuzz.arrays import Call
from tests.fuzz.weights import ToLoad
from tests.fuzz.words import Words

PROGRAMMERS = (ValueError, TypeError)
"""What may be raised where no file is at fault but the caller."""


class SpoiltError(AssertionError):
    """What came out is not as it must be."""


class RefusedError(Exception):
    """The command line said no: its exit status and what it wrote to stderr, or to stdout if that was nothing."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


def try_picture(path: Any) -> None:
    """Reconstruct, without fit, a small texture."""
    check_finite(gcnface.reconstruct(path, fit=False, texture_size=64))


def try_result(path: Path) -> None:
    """Load; what loads must draw."""
    face = gcnface.load(path)
    check_finite(face)
    check_finite(face.draw(64))


def try_weights(what: ToLoad) -> None:
    """Load with the loader they are meant for."""
    loaded = _loaders()[what.loader](what.path)
    if isinstance(loaded, torch.nn.Module):
        for name, value in loaded.state_dict().items():
            if value.is_floating_point() and not value.isfinite().all():
                raise SpoiltError(f"{name} of the loaded network is not finite")
    else:
        check_finite(loaded)


def try_call(call: Call) -> None:
    """Call a public function."""
    check_finite(getattr(gcnface, call.function)(call.argument, **call.options))


def try_words(words: Words) -> None:
    """Run a command line in this process."""
    from gcnface import cli

    words = Words(*(word.replace("{data}", str(prepared_data())) for word in words))
    streams = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        try:
            status = cli.main(list(words))
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
    out, err = (_written(stream) for stream in streams)
    if "Traceback" in err + out:
        raise SpoiltError(f"a traceback: {(err + out).strip().splitlines()[-1]}")
    if status:
        raise RefusedError(status, err or out)
    shows_bar = words[:1] == ("train",)
    if not shows_bar and not all(line.isprintable() for line in out.split("\n")):
        raise SpoiltError("control characters on stdout")
    for path in Path.cwd().glob("out/**/*.npz"):
        check_finite(gcnface.load(path))


def try_configuration(words: Words) -> None:
    """Read a configuration with the real command line; nothing is trained."""
    with _untrained():
        try_words(words)


@contextlib.contextmanager
def _untrained() -> Iterator[None]:
    """Everything is made as for a run, which then does nothing."""
    from gcnface.training.command import TrainingCLI

    kept = TrainingCLI.fit
    TrainingCLI.fit = lambda self: Path("untrained")  # type: ignore[method-assign]
    try:
        yield
    finally:
        TrainingCLI.fit = kept  # type: ignore[method-assign]


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined]


ATTEMPTS: dict[str, Callable[[Any], None]] = {
    "pictures": try_picture,
    "results": try_result,
    "weights": try_weights,
    "checkpoints": try_words,
    "configs": try_configuration,
    "words": try_words,
    "arrays": try_call,
}

_MAY_LACK = ("chart_uv",)
"""Fields with NaN where there is nothing: vertices that the face chart does not hold."""

NO_FILE = ("arrays",)
"""Kinds in which the caller is at fault, not a file."""


@lru_cache
def prepared_data() -> Path:
    """A tiny data set."""
    from tests.gcnface.annotated_folder import write_prepared_faces

    return write_prepared_faces(Path(tempfile.mkdtemp(prefix="data-", dir=Path(tempfile.gettempdir()).parent)))


@lru_cache
def _loaders() -> dict[str, Callable[[Path], Any]]:
    """By name; each takes a path."""
    from coarse.confidence import load_confidence
    from coarse.face_model import load_face_model
    from coarse.morphable import layout_of
    from coarse.position_map import PositionMapLayout
    from coarse.position_network import load_position_map_network
    from coarse.regressor import load_regressor
    from coarse.skin_tone import load_skin_tone
    from coarse.spatial_transformer.localizer import load_localizer
    from gcnface.dense.flattener import theta_layout_of
    from gcnface.face_model import shipped_model
    from gcnface.photo.parsing import load_parser
    from refine.facenet import load_facenet
    from refine.stored import load_refiner

    model = shipped_model()
    layout = layout_of(model)
    regressor = load_regressor(layout)
    return {
        "regressor": lambda path: load_regressor(layout, path),
        "position_map": lambda path: load_position_map_network(PositionMapLayout(model), path),
        "confidence": lambda path: load_confidence(regressor, path),
        "localiser": lambda path: load_localizer(theta_layout_of(model), path),
        "skin_tone": load_skin_tone,
        "refiner": lambda path: load_refiner(model, path),
        "parser": load_parser,
        "face_model": load_face_model,
        "facenet": load_facenet,
    }


def check_finite(value: Any, name: str = "the result") -> None:
    """Every number in it, however deep.

    Raises:
        SpoiltError: one is not.
    """
    if value is None or isinstance(value, str | bytes | Path | bool):
        return
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, int | float | np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            raise SpoiltError(f"{name} holds numbers that are not finite")
    elif isinstance(value, dict):
        for key, item in value.items():
            check_finite(item, f"{name}[{key!r}]")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            check_finite(item, f"{name}[{index}]")
    elif is_dataclass(value):
        for field in fields(value):
            if field.name in _MAY_LACK:
                continue
            check_finite(getattr(value, field.name), field.name)
