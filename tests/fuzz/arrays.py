"""Arrays and options handed to the Python interface."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.case import EITHER, REFUSE, SUCCEED, Expect, Input, Random, Shelf
from tests.fuzz.faces import PHOTOS, face

ARRAYS = Shelf("arrays")


@dataclass(frozen=True)
class Call:
    """A public function and what it is given."""

    argument: Any
    function: str = "reconstruct"
    options: dict[str, Any] = field(default_factory=lambda: {"fit": False, "texture_size": 64})


def _bytes() -> np.ndarray:
    return np.array(face())


def _floats() -> np.ndarray:
    return _bytes().astype(np.float32) / 255


def _with(value: float) -> np.ndarray:
    photo = _floats()
    photo[3, 5, 1] = value
    return photo


def _read_only() -> np.ndarray:
    photo = _bytes()
    photo.flags.writeable = False
    return photo


def _wider() -> np.ndarray:
    return np.concatenate([_bytes(), _bytes()], 1)


_PHOTOS: dict[str, tuple[Expect, Callable[[], Any]]] = {
    "bytes": (SUCCEED, _bytes),
    "floats": (SUCCEED, _floats),
    "doubles": (SUCCEED, lambda: _floats().astype(np.float64)),
    "halves": (SUCCEED, lambda: _floats().astype(np.float16)),
    "read_only": (SUCCEED, _read_only),
    "column_major": (SUCCEED, lambda: np.asfortranarray(_bytes())),
    "mirrored_view": (SUCCEED, lambda: _bytes()[:, ::-1]),
    "turned_view": (EITHER, lambda: _bytes()[::-1, ::-1]),
    "bgr_view": (SUCCEED, lambda: _bytes()[..., ::-1]),
    "strided": (SUCCEED, lambda: np.repeat(np.repeat(_bytes(), 2, 0), 2, 1)[::2, ::2]),
    "part_of_wider": (SUCCEED, lambda: _wider()[:, :224]),
    "channels_first_view": (SUCCEED, lambda: np.ascontiguousarray(_bytes().transpose(2, 0, 1)).transpose(1, 2, 0)),
    "other_endian": (EITHER, lambda: _floats().astype(">f4")),
    "subclass": (EITHER, lambda: np.ma.masked_array(_floats(), mask=False)),
    "half_masked": (EITHER, lambda: np.ma.masked_array(_floats(), mask=_floats() > 0.5)),
    "longdouble": (EITHER, lambda: _floats().astype(np.longdouble)),
    "channels_first": (REFUSE, lambda: _bytes().transpose(2, 0, 1)),
    "grey": (SUCCEED, lambda: _bytes()[..., 0]),
    "one_channel": (SUCCEED, lambda: _bytes()[..., :1]),
    "rgba": (REFUSE, lambda: np.concatenate([_bytes(), _bytes()[..., :1]], 2)),
    "batch": (REFUSE, lambda: _bytes()[None]),
    "empty": (REFUSE, lambda: np.zeros((0, 0, 3), np.uint8)),
    "no_rows": (REFUSE, lambda: np.zeros((0, 9, 3), np.float32)),
    "a_number": (REFUSE, lambda: np.float32(1)),
    "zero_dimensions": (REFUSE, lambda: np.array(0.5)),
    "one_pixel": (REFUSE, lambda: np.zeros((1, 1, 3), np.uint8)),
    "one_row": (REFUSE, lambda: np.zeros((1, 900, 3), np.uint8)),
    "two_rows_of_20000": (REFUSE, lambda: np.zeros((2, 20000, 3), np.uint8)),
    "nan": (REFUSE, lambda: _with(np.nan)),
    "inf": (REFUSE, lambda: _with(np.inf)),
    "minus_inf": (REFUSE, lambda: _with(-np.inf)),
    "above_1": (REFUSE, lambda: _with(1.01)),
    "below_0": (REFUSE, lambda: _with(-0.01)),
    "floats_to_255": (REFUSE, lambda: _floats() * 255),
    "sixteen_bits": (SUCCEED, lambda: _bytes().astype(np.uint16) * 257),
    "integers": (REFUSE, lambda: _bytes().astype(np.int64)),
    "booleans": (REFUSE, lambda: _bytes() > 127),
    "complex": (REFUSE, lambda: _floats().astype(complex)),
    "objects": (REFUSE, lambda: _floats().astype(object)),
    "texts": (REFUSE, lambda: np.full((9, 9, 3), "x")),
    "list": (REFUSE, lambda: [[[0, 0, 0]]]),
    "none": (REFUSE, lambda: None),
    "number": (REFUSE, lambda: 7),
    "picture": (SUCCEED, lambda: face()),
    "bytes_of_a_path": (EITHER, lambda: str(PHOTOS[0]).encode()),
    "text_path": (SUCCEED, lambda: str(PHOTOS[0])),
    "path": (SUCCEED, lambda: PHOTOS[0]),
}
for _name, (_what, _make) in _PHOTOS.items():
    ARRAYS.add(_name, _what, lambda folder, rng, make=_make: Input(Call(make())))


def _tensor(folder: Path, rng: Random) -> Input:
    import torch

    return Input(Call(torch.from_numpy(_floats())))


ARRAYS.add("tensor", SUCCEED, _tensor)

_OPTIONS: dict[str, dict[str, Any]] = {
    "size_0": {"texture_size": 0},
    "size_negative": {"texture_size": -64},
    "size_9000": {"texture_size": 9000},
    "size_text": {"texture_size": "sixty-four"},
    "size_float": {"texture_size": 64.5},
    "size_nan": {"texture_size": float("nan")},
    "size_none": {"texture_size": None},
    "adapt_negative": {"adapt": -1},
    "adapt_text": {"adapt": "few"},
    "device_gpu": {"device": "gpu"},
    "device_cuda_7": {"device": "cuda:7"},
    "device_empty": {"device": ""},
    "device_none": {"device": None},
    "device_meta": {"device": "meta"},
    "device_control": {"device": "\x1b[31m\n"},
}
for _name, _options in _OPTIONS.items():
    ARRAYS.add(
        f"option_{_name}",
        REFUSE,
        lambda folder, rng, options=_options: Input(Call(_bytes(), options={"fit": False, **options})),
    )

# A number in words is that number, as in a file of options.
ARRAYS.add(
    "option_size_digits",
    SUCCEED,
    lambda folder, rng: Input(Call(_bytes(), options={"fit": False, "texture_size": "64"})),
)

_PEOPLE: dict[str, tuple[Expect, Callable[[], Any]]] = {
    "nobody": (REFUSE, lambda: []),
    "one": (SUCCEED, lambda: [_bytes()]),
    "one_and_nan": (REFUSE, lambda: [_bytes(), _with(np.nan)]),
    "one_and_missing": (REFUSE, lambda: [_bytes(), "missing.jpg"]),
    "one_and_black": (REFUSE, lambda: [_bytes(), np.zeros((99, 99, 3), np.uint8)]),
    "none": (REFUSE, lambda: None),
    "number": (REFUSE, lambda: 3),
}
for _name, (_what, _make) in _PEOPLE.items():
    ARRAYS.add(
        f"person_{_name}", _what, lambda folder, rng, make=_make: Input(Call(make(), function="reconstruct_person"))
    )
