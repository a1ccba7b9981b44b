"""Files of weights, checkpoints and data sets that are none, are damaged, or would run code."""

import io
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.fuzz.case import EITHER, REFUSE, SUCCEED, Expect, Input, Payload, Random, Shelf, flipped, truncated
from tests.fuzz.faces import ROOT, jpeg
from tests.fuzz.special_files import SPECIAL

WEIGHTS = Shelf("weights")

SHIPPED = {
    "regressor": ROOT / "coarse/assets/regressor.safetensors",
    "position_map": ROOT / "coarse/assets/position_map.safetensors",
    "confidence": ROOT / "coarse/assets/confidence.safetensors",
    "localiser": ROOT / "coarse/assets/stn.safetensors",
    "skin_tone": ROOT / "coarse/assets/skin_tone.safetensors",
    "refiner": ROOT / "refine/assets/refiner.safetensors",
    "parser": ROOT / "gcnface/assets/parser.safetensors",
    "face_model": ROOT / "coarse/assets/face_model.npz",
}
"""Names of loaders (`tests.fuzz.attempts.LOADERS`) and the whole file that each reads."""


@dataclass(frozen=True)
class ToLoad:
    """A file and the loader that it is given to."""

    loader: str
    path: Path


def _laid(loader: str, name: str, lay: Callable[[Path, Random], None], folder: Path, rng: Random) -> Input:
    path = folder / name
    lay(path, rng)
    return Input(ToLoad(loader, path), path.name)


def _bytes(content: Callable[[Random], bytes]) -> Callable[[Path, Random], None]:
    return lambda path, rng: path.write_bytes(content(rng)) and None


def torch_zip(value: object) -> bytes:
    """What torch.save writes."""
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


_PAYLOADS: dict[str, Callable[[Random], bytes]] = {
    "pickled_code": lambda rng: pickle.dumps(Payload()),
    "torch_code": lambda rng: torch_zip({"weight": Payload()}),
}
DAMAGES: dict[str, Callable[[Random], bytes]] = {
    "empty": lambda rng: b"",
    "html": lambda rng: b"<!DOCTYPE html><html>404</html>",
    "lfs_pointer": lambda rng: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n",
    "random": lambda rng: rng.bytes(5000),
    "picture": lambda rng: jpeg(),
    "endless_header": lambda rng: b"\xff" * 8 + b"{}",
    "header_of_nothing": lambda rng: (2).to_bytes(8, "little") + b"{}",
    **_PAYLOADS,
}


def _spoilt(change: Callable[[dict], None], source: Path, path: Path, rng: Random) -> None:
    """A file of safetensors with changed tensors and its own notes."""
    tensors = load_file(source)
    with safe_open(source, "pt") as file:
        notes = file.metadata()
    change(tensors)
    save_file(tensors, path, notes)


def _with_nan(tensors: dict) -> None:
    name = next(name for name in sorted(tensors) if tensors[name].is_floating_point())
    tensors[name] = tensors[name].clone()
    tensors[name].view(-1)[0] = torch.nan


def _reshaped(tensors: dict) -> None:
    name = max(tensors, key=lambda name: (tensors[name].numel(), name))
    tensors[name] = tensors[name].reshape(-1)[:-1].clone()


def _without(tensors: dict) -> None:
    del tensors[min(tensors)]


def _with_more(tensors: dict) -> None:
    tensors["surplus"] = torch.zeros(3)


_CHANGES = {"nan": _with_nan, "shape": _reshaped, "tensor_missing": _without, "tensor_too_many": _with_more}


def _cut(source: Path, path: Path, rng: Random) -> None:
    path.write_bytes(truncated(source.read_bytes(), rng))


def _flip(source: Path, path: Path, rng: Random) -> None:
    path.write_bytes(flipped(source.read_bytes(), rng, 0, 4000))


def _link(source: Path, path: Path, rng: Random) -> None:
    path.symlink_to(source)


def weights(name: str, expect: Expect, loader: str, file: str, lay: Callable[[Path, Random], None]) -> None:
    """A file for one of the loaders."""
    WEIGHTS.add(name, expect, partial(_laid, loader, file, lay))


for _loader, _source in SHIPPED.items():
    _file = f"w{_source.suffix}"
    weights(f"{_loader}_whole", SUCCEED, _loader, _file, partial(_link, _source))
    weights(f"{_loader}_missing", REFUSE, _loader, _file, lambda path, rng: None)
    weights(f"{_loader}_cut", REFUSE, _loader, _file, partial(_cut, _source))
    weights(f"{_loader}_flipped", EITHER, _loader, _file, partial(_flip, _source))
    weights(f"{_loader}_folder", REFUSE, _loader, _file, lambda path, rng: path.mkdir())
    _other = SHIPPED["skin_tone" if _loader != "skin_tone" else "confidence"]
    weights(f"{_loader}_of_another", REFUSE, _loader, _file, partial(_link, _other))
    for _name, _content in _PAYLOADS.items():
        weights(f"{_loader}_{_name}", REFUSE, _loader, _file, _bytes(_content))
    if _source.suffix == ".safetensors" and _loader != "position_map":
        for _name, _change in _CHANGES.items():
            weights(f"{_loader}_{_name}", REFUSE, _loader, _file, partial(_spoilt, _change, _source))
for _loader in ("refiner", "face_model"):
    for _name in sorted(set(DAMAGES) - set(_PAYLOADS)):
        weights(f"{_loader}_{_name}", REFUSE, _loader, f"w{SHIPPED[_loader].suffix}", _bytes(DAMAGES[_name]))
for _name, _lay in SPECIAL.items():
    weights(f"special_{_name}", REFUSE, "refiner", "w.safetensors", lambda path, rng, lay=_lay: lay(path))


def _model_nan(path: Path, rng: Random) -> None:
    """The face model with a number that is none."""
    with np.load(SHIPPED["face_model"]) as archive, zipfile.ZipFile(path, "w") as changed:
        for name in archive.files:
            values = np.array(archive[name])
            if name == "albedo_mean":
                values.reshape(-1)[0] = np.nan
            content = io.BytesIO()
            np.lib.format.write_array(content, values, allow_pickle=False)
            changed.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())


weights("face_model_nan", REFUSE, "face_model", "w.npz", _model_nan)

_STATE = {"conv2d_1a.conv.weight": torch.zeros(2, 2)}
for _name, _content in {
    **DAMAGES,
    "another_state": lambda rng: torch_zip(_STATE),
    "no_state": lambda rng: torch_zip([1, 2]),
    "cut": lambda rng: torch_zip(_STATE)[:300],
}.items():
    weights(f"facenet_{_name}", REFUSE, "facenet", "facenet.pt", _bytes(_content))
weights("facenet_graph_random", REFUSE, "facenet", "graph.pb", _bytes(lambda rng: rng.bytes(9000)))
weights("facenet_missing", REFUSE, "facenet", "facenet.pt", lambda path, rng: None)
