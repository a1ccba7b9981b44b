"""Files of results, spoilt in every way: a small valid one is the start of all."""

import io
import json
import pickle
import struct
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.case import (
    EITHER,
    REFUSE,
    SUCCEED,
    Expect,
    Input,
    Payload,
    Random,
    Shelf,
    file_input,
    flipped,
    truncated,
)
from tests.fuzz.faces import jpeg
from tests.fuzz.special_files import NAMES, SPECIAL, special

RESULTS = Shelf("results")

FLOATS = (
    "vertices vertices_cam px_from_cam vertex_rgb vertex_rgb_coarse vertex_albedo vertex_albedo_srgb uv normals "
    "landmarks68 landmarks468 landmarks68_model landmarks468_model identity expression albedo rotation translation "
    "lighting crop_from_photo vertex_light"
).split()
INTEGERS = "faces uv_faces visible texel_source texel_photo texel_confidence texture".split()
OPTIONAL = ("skin_tone", "texel_photo", "texel_confidence", "vertex_light")
"""Older files lack them."""
TEXTS = ("expression_names", "metadata")

Arrays = dict[str, Any]


@lru_cache
def whole() -> bytes:
    """A valid file."""
    from tests.gcnface.results import make_reconstruction

    with tempfile.TemporaryDirectory() as folder:
        replace(make_reconstruction(photo=False), figures={"psnr": 31.5}).save(folder, "ball", ("npz",))
        return (Path(folder) / "ball.npz").read_bytes()


def arrays() -> Arrays:
    """What it holds, to be changed."""
    with np.load(io.BytesIO(whole()), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def as_npy(value: Any) -> bytes:
    """An array as a file; bytes are one already."""
    if isinstance(value, bytes):
        return value
    content = io.BytesIO()
    np.lib.format.write_array(content, np.asanyarray(value), allow_pickle=True)
    return content.getvalue()


def packed(values: Arrays, packing: int = zipfile.ZIP_STORED) -> bytes:
    """Arrays as an .npz."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, value in values.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), as_npy(value), packing)
    return content.getvalue()


def _changed(change: Callable[[Arrays, Random], Arrays | None], rng: Random) -> bytes:
    values = arrays()
    return packed(change(values, rng) or values)


def result(name: str, expect: Expect, change: Callable[[Arrays, Random], Arrays | None]) -> None:
    """A file whose arrays were changed, in place or into those given back."""
    RESULTS.add_file(f"{name}.npz", expect, partial(_changed, change))


def _spoil(key: str, value: float, values: Arrays, rng: Random) -> None:
    flat = np.array(values[key], np.float32)
    flat.reshape(-1)[rng.integers(flat.size)] = value
    values[key] = flat


def _replace(key: str, make: Callable[[np.ndarray], Any], values: Arrays, rng: Random) -> None:
    values[key] = make(values[key])


def _drop(key: str, values: Arrays, rng: Random) -> None:
    del values[key]


def _objects(old: np.ndarray) -> np.ndarray:
    content = np.full(1, None, object)
    content[0] = Payload()
    return content


result("whole", SUCCEED, lambda values, rng: None)
for _key in FLOATS:
    result(f"nan_in_{_key}", REFUSE, partial(_spoil, _key, np.nan))
    result(f"shape_of_{_key}", REFUSE, partial(_replace, _key, lambda old: old.reshape(-1)[:-1][None]))
for _key in ("vertices", "uv", "normals", "lighting", "rotation", "translation", "px_from_cam", "vertex_light"):
    result(f"inf_in_{_key}", REFUSE, partial(_spoil, _key, np.inf))
    result(f"huge_in_{_key}", EITHER, partial(_spoil, _key, 1e30))
for _key in ("vertices", "faces", "texture", "expression_names", "identity", "visible", "metadata"):
    result(f"pickle_in_{_key}", REFUSE, partial(_replace, _key, _objects))
for _key in ("vertices", "faces", "uv_faces", "texture", "visible", "lighting", "texel_source"):
    result(f"text_in_{_key}", REFUSE, partial(_replace, _key, lambda old: old.astype("U")))
    result(f"empty_{_key}", REFUSE, partial(_replace, _key, lambda old: old[:0]))
for _key in ("vertices", "lighting", "faces", "texture"):
    result(f"complex_in_{_key}", REFUSE, partial(_replace, _key, lambda old: old.astype(complex)))
    result(f"number_for_{_key}", REFUSE, partial(_replace, _key, lambda old: np.float32(1)))
    result(f"void_in_{_key}", REFUSE, partial(_replace, _key, lambda old: np.zeros(len(old), "i4,f4")))
for _key in ("identity", "expression", "albedo", "expression_names"):
    result(f"none_of_{_key}", EITHER, partial(_replace, _key, lambda old: old[:0]))
for _key in (*FLOATS, *INTEGERS, *TEXTS):
    result(f"without_{_key}", SUCCEED if _key in OPTIONAL else REFUSE, partial(_drop, _key))

_FACES: dict[str, tuple[Expect, Callable[[np.ndarray], np.ndarray]]] = {
    "negative": (REFUSE, lambda old: np.where(old == 5, -1, old)),
    "beyond": (REFUSE, lambda old: old + 1),
    "far_beyond": (REFUSE, lambda old: np.where(old == 7, 2**31 - 1, old)),
    "wrapping": (REFUSE, lambda old: old.astype(np.int64) + 2**32),
    "of_floats": (EITHER, lambda old: old.astype(np.float32)),
    "of_halves": (REFUSE, lambda old: old + 0.5),
    "of_four": (REFUSE, lambda old: np.concatenate([old, old[:, :1]], 1)),
    "of_one_point": (EITHER, lambda old: old * 0),
    "unsigned": (EITHER, lambda old: old.astype(np.uint64)),
}
for _name, (_what, _make) in _FACES.items():
    result(f"faces_{_name}", _what, partial(_replace, "faces", _make))
    result(f"uv_faces_{_name}", _what, partial(_replace, "uv_faces", _make))

_VALUES: dict[str, tuple[Expect, str, Callable[[np.ndarray], Any]]] = {
    "double": (SUCCEED, "vertices", lambda old: old.astype(np.float64)),
    "half": (EITHER, "vertex_albedo", lambda old: old.astype(np.float16)),
    "other_endian": (EITHER, "vertices", lambda old: old.astype(">f4")),
    "column_major": (EITHER, "vertices", np.asfortranarray),
    "integers": (EITHER, "translation", lambda old: old.astype(np.int32)),
    "sources_of_200": (EITHER, "texel_source", lambda old: np.full_like(old, 200)),
    "sources_negative": (EITHER, "texel_source", lambda old: old.astype(np.int16) - 300),
    "texture_of_16_bits": (EITHER, "texture", lambda old: old.astype(np.uint16) * 257),
    "texture_of_floats": (EITHER, "texture", lambda old: old / np.float32(255)),
    "texture_oblong": (REFUSE, "texture", lambda old: old[:-3]),
    "texture_of_one": (REFUSE, "texture", lambda old: old[:1, :1]),
    "texture_rgba": (REFUSE, "texture", lambda old: np.concatenate([old, old[..., :1]], 2)),
    "visible_as_numbers": (EITHER, "visible", lambda old: old.astype(np.float32) * 7),
    "camera_of_zeros": (EITHER, "px_from_cam", np.zeros_like),
    "crop_of_zeros": (EITHER, "crop_from_photo", np.zeros_like),
    "behind_the_camera": (EITHER, "vertices_cam", np.negative),
    "at_one_point": (EITHER, "vertices", np.zeros_like),
    "light_negative": (EITHER, "lighting", np.negative),
    "colors_of_1e9": (EITHER, "vertex_rgb", lambda old: old * np.float32(1e9)),
    "uv_beyond": (EITHER, "uv", lambda old: old * 50),
    "normals_of_zero": (EITHER, "normals", np.zeros_like),
    "turned_by_1e6": (EITHER, "rotation", lambda old: old + np.float32(1e6)),
    "names_too_few": (EITHER, "expression_names", lambda old: old[:1]),
    "names_in_columns": (REFUSE, "expression_names", lambda old: old[:, None]),
    "names_as_numbers": (EITHER, "expression_names", lambda old: np.arange(len(old))),
    "names_of_control": (EITHER, "expression_names", lambda old: np.array(["\x1b[2J\n"] * len(old))),
}
for _name, (_what, _key, _make) in _VALUES.items():
    result(_name, _what, partial(_replace, _key, _make))


def _metadata(change: Callable[[dict], Any], values: Arrays, rng: Random) -> None:
    told = json.loads(str(values["metadata"]))
    text = change(told)
    values["metadata"] = np.array(text if isinstance(text, str) else json.dumps(told if text is None else text))


_METADATA: dict[str, tuple[Expect, Callable[[dict], Any]]] = {
    "deep": (REFUSE, lambda told: "[" * 100000),
    "deep_and_closed": (REFUSE, lambda told: "[" * 50000 + "]" * 50000),
    "no_json": (REFUSE, lambda told: "no json"),
    "nothing": (REFUSE, lambda told: ""),
    "a_list": (REFUSE, lambda told: [1, 2]),
    "a_number": (REFUSE, lambda told: 7),
    "null": (REFUSE, lambda told: "null"),
    "of_the_future": (REFUSE, lambda told: {**told, "format": 999}),
    "format_text": (REFUSE, lambda told: {**told, "format": "one"}),
    "format_missing": (REFUSE, lambda told: {k: v for k, v in told.items() if k != "format"}),
    "timings_missing": (REFUSE, lambda told: {k: v for k, v in told.items() if k != "timings"}),
    "timings_a_list": (EITHER, lambda told: {**told, "timings": [1]}),
    "timings_text": (EITHER, lambda told: {**told, "timings": {"fit": "long"}}),
    "provenance_text": (EITHER, lambda told: {**told, "provenance": "somewhere"}),
    "huge_number": (EITHER, lambda told: json.dumps(told).replace("0.25", "1" * 5000)),
    "surplus": (EITHER, lambda told: {**told, "surplus": {"a": [1]}}),
}
for _name, (_what, _change) in _METADATA.items():
    result(f"metadata_{_name}", _what, partial(_metadata, _change))
result("metadata_as_bytes", EITHER, partial(_replace, "metadata", lambda old: old.astype("S")))
result("metadata_as_numbers", REFUSE, partial(_replace, "metadata", lambda old: np.arange(5)))


def _claim(key: str, shape: str, dtype: str = "<f4") -> Callable[[Arrays, Random], None]:
    """An array whose header promises more than there is."""

    def change(values: Arrays, rng: Random) -> None:
        told = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
        values[key] = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(told)) + told + bytes(64)

    return change


result("claims_37_gigabytes", REFUSE, _claim("vertices", "(3333333333, 3)"))
result("claims_terabytes", REFUSE, _claim("texture", "(2000000, 2000000, 3)", "|u1"))
result("claims_negative", REFUSE, _claim("vertices", "(-5, 3)"))
result("claims_objects", REFUSE, _claim("vertices", "(5, 3)", "|O"))
result("header_broken", REFUSE, _claim("vertices", "(5, ("))
result("header_calls", REFUSE, _claim("vertices", "(open('executed', 'w'), 3)"))
result("header_long_text", REFUSE, _claim("metadata", "()", "<U500000000"))


def _zeros(gigabytes: float, name: str) -> Callable[[Random], bytes]:
    """The valid file and beside it a small entry that becomes huge."""

    def content(rng: Random) -> bytes:
        whole_file = io.BytesIO(packed({key: value for key, value in arrays().items() if key != name}))
        length = int(gigabytes * (1 << 28))
        told = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({length},), }}".encode().ljust(117) + b"\n"
        with zipfile.ZipFile(whole_file, "a") as archive:
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type, entry._compresslevel = zipfile.ZIP_DEFLATED, 1  # type: ignore[attr-defined]
            with archive.open(entry, "w", force_zip64=True) as file:
                file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(told)) + told)
                for _ in range(length >> 22):
                    file.write(bytes(1 << 24))
        return whole_file.getvalue()

    return content


RESULTS.add_file("bomb_beside.npz", EITHER, _zeros(1.2, "surplus"))
RESULTS.add_file("bomb_in_texture.npz", REFUSE, _zeros(1.2, "texture"))


def _flagged(place: int, value: int, width: str = "<H") -> Callable[[Random], bytes]:
    """A field of all entries of the folder at the end set, and the same of their own heads."""

    def content(rng: Random) -> bytes:
        changed = bytearray(whole())
        for mark, shift in ((b"PK\x01\x02", 0), (b"PK\x03\x04", -2)):
            at = changed.find(mark)
            while at >= 0:
                struct.pack_into(width, changed, at + place + shift, value)
                at = changed.find(mark, at + 4)
        return bytes(changed)

    return content


RESULTS.add_file("encrypted.npz", REFUSE, _flagged(8, 1))
RESULTS.add_file("strongly_encrypted.npz", REFUSE, _flagged(8, 0x41))
RESULTS.add_file("patched.npz", REFUSE, _flagged(8, 0x20))
RESULTS.add_file("method_99.npz", REFUSE, _flagged(10, 99))
RESULTS.add_file("version_255.npz", REFUSE, _flagged(6, 255))
for _name, _method in (("deflated", 8), ("bzip2", 12), ("lzma", 14)):
    RESULTS.add_file(f"{_name}.npz", EITHER, lambda rng, method=_method: packed(arrays(), method))
for _number in range(8):
    RESULTS.add_file(f"cut_{_number}.npz", REFUSE, lambda rng: truncated(whole(), rng))
    RESULTS.add_file(f"flipped_{_number}.npz", EITHER, lambda rng: flipped(whole(), rng))
    RESULTS.add_file(f"flipped_end_{_number}.npz", EITHER, lambda rng: flipped(whole(), rng, len(whole()) - 1500))
    RESULTS.add_file(
        f"flipped_lzma_{_number}.npz", EITHER, lambda rng: flipped(packed(arrays(), zipfile.ZIP_LZMA), rng)
    )


def _renamed(names: dict[str, str], values: Arrays, rng: Random) -> Arrays:
    return {**values, **{new: values[old] for new, old in names.items()}}


result("surplus_array", SUCCEED, partial(_renamed, {"surplus": "lighting"}))
result("surplus_outside", EITHER, partial(_renamed, {"../../executed": "lighting"}))
result("surplus_at_root", EITHER, partial(_renamed, {"/tmp/gcnface-fuzz-executed": "lighting"}))
result("surplus_pickle", EITHER, lambda values, rng: {**values, "surplus": _objects(values["faces"])})
result("nothing_in_it", REFUSE, lambda values, rng: {"metadata": values["metadata"]})


def _twice(rng: Random) -> bytes:
    content = io.BytesIO(whole())
    with zipfile.ZipFile(content, "a") as archive:
        # A second entry of a name, by another file's name of the same length that is then overwritten.
        archive.writestr(zipfile.ZipInfo("LIGHTING.npy"), as_npy(np.full((9, 3), np.nan, np.float32)))
    return content.getvalue().replace(b"LIGHTING.npy", b"lighting.npy")


RESULTS.add_file("array_twice.npz", EITHER, _twice)


def _empty_zip(rng: Random) -> bytes:
    return b"PK\x05\x06" + bytes(18)


def _zip_of_texts(rng: Random) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(zipfile.ZipInfo("vertices.npy"), "no array")
        archive.writestr(zipfile.ZipInfo("readme.txt"), "hello")
    return content.getvalue()


_FOREIGN: dict[str, Callable[[Random], bytes]] = {
    "empty": lambda rng: b"",
    "one_byte": lambda rng: b"P",
    "zip_mark": lambda rng: b"PK\x03\x04",
    "empty_zip": _empty_zip,
    "zip_of_texts": _zip_of_texts,
    "npy": lambda rng: as_npy(np.zeros((3, 3))),
    "npy_of_objects": lambda rng: as_npy(_objects(np.zeros(1))),
    "pickle": lambda rng: pickle.dumps(Payload()),
    "picture": lambda rng: jpeg(),
    "json": lambda rng: b'{"vertices": []}',
    "html": lambda rng: b"<!DOCTYPE html><html></html>",
    "random": lambda rng: rng.bytes(30000),
    "random_behind_mark": lambda rng: b"PK\x03\x04" + rng.bytes(30000),
    "zeros": lambda rng: bytes(30000),
}
for _name, _content in _FOREIGN.items():
    RESULTS.add_file(f"{_name}_called.npz", REFUSE, _content)
for _name, _lay in SPECIAL.items():
    RESULTS.add(f"special_{_name}", REFUSE, partial(special, _name, _lay, ".npz"))
for _device in ("zero", "null", "full"):
    RESULTS.add(f"dev_{_device}", REFUSE, lambda folder, rng, name=_device: Input(Path("/dev", name), name))
RESULTS.add("missing", REFUSE, lambda folder, rng: file_input(folder / "missing.npz"))


def _odd_name(name: str, content: Callable[[], bytes], folder: Path, rng: Random) -> Input:
    path = folder / NAMES[name].replace(".jpg", ".npz")
    path.write_bytes(content())
    return file_input(path)


for _name in ("escape", "newline", "not_unicode", "dash", "of_250"):
    RESULTS.add(f"name_{_name}", SUCCEED, partial(_odd_name, _name, whole))
    RESULTS.add(f"name_of_broken_{_name}", REFUSE, partial(_odd_name, _name, lambda: whole()[:900]))
