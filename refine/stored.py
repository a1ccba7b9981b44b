"""Refiners in files: weights as float16 safetensors that carry the network's configuration with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from safetensors.torch import save_file

from coarse.face_model import FaceModel
from coarse.weights import half_state, load_weights, read_metadata, weights_file
from refine.network import TextureRefiner, TextureRefinerConfig

_ASSETS = Path(__file__).parent / "assets"

REFINER_WEIGHTS = _ASSETS / "refiner.safetensors"
"""The shipped refiner, for the shipped face model."""

_CONFIG = "config"
_WHAT = "refiner weights"
_REMEDY = "name a file of this version, reinstall the package or train one with `gcnface train refiner`"

Record = TypeVar("Record")


def save_refiner(network: TextureRefiner, path: Path) -> None:
    """Write weights, float16, and configuration.

    Args:
        network: what to write.
        path: of the file; its folder exists.
    """
    save_file(half_state(network), path, {_CONFIG: json.dumps(asdict(network.config))})


def load_refiner(model: FaceModel, path: Path | None = None) -> TextureRefiner:
    """A refiner in evaluation mode, of the configuration its file names.

    Args:
        model: face model the weights were trained with.
        path: of the file, .safetensors; None takes the shipped one.

    Raises:
        WeightsError: the file is missing or damaged, or was trained on another mesh or layout.
    """
    path = path or REFINER_WEIGHTS
    with weights_file(path, _WHAT, _REMEDY):
        text = read_metadata(path, _WHAT, _REMEDY).get(_CONFIG, "{}")
        refiner = TextureRefiner.from_face_model(model, _record(TextureRefinerConfig, json.loads(text)))
    return load_weights(refiner, path, _WHAT, _REMEDY)


def _record(kind: type[Record], values: Mapping[str, Any]) -> Record:
    """A dataclass from plain values, those it holds included; lists become tuples again."""
    hints = get_type_hints(kind)
    unknown = set(values) - {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown:
        raise ValueError(f"it has settings that are not known here: {sorted(unknown)}")
    found = {}
    for name, value in values.items():
        if is_dataclass(hints[name]):
            value = _record(hints[name], value)  # type: ignore[arg-type]
        found[name] = tuple(value) if isinstance(value, list) else value
    return kind(**found)
