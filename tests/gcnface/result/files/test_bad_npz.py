"""Files that somebody made to look like a result: each is one error that names it, before it is unpacked."""

import io
import json
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

import gcnface
from gcnface.errors import ResultError
from gcnface.io.array_layout import NOT_ALWAYS
from gcnface.result.files.npz import FILE_LAYOUT
from tests.gcnface.results import make_reconstruction

GIGABYTE = 1 << 30
V = len(make_reconstruction().mesh.vertices)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The entries of a valid file, by key."""
    folder = tmp_path_factory.mktemp("good")
    make_reconstruction().save(folder, "ball", ["npz"])
    with zipfile.ZipFile(folder / "ball.npz") as archive:
        return {info.filename.removesuffix(".npy"): archive.read(info) for info in archive.infolist()}


def npy(array, **how):
    content = io.BytesIO()
    np.lib.format.write_array(content, np.asanyarray(array), **how)
    return content.getvalue()


def header(descr, shape, order="False", version=b"\x01\x00"):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little") + text


def write(path, entries, packing=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", packing) as archive:
        for key, content in entries.items():
            archive.writestr(f"{key}.npy", content)


def number(name, place, value):
    """An edit: one number of an array changed."""

    def edit(entries):
        array = np.load(io.BytesIO(entries[name])).copy()
        array[place] = value
        entries[name] = npy(array)

    return edit


def array(name, value):
    """An edit: another array in its place; None takes it away."""

    def edit(entries):
        entries[name] = value if isinstance(value, bytes) else npy(value, allow_pickle=True)
        if value is None:
            del entries[name]

    return edit


def converted(name, change):
    """An edit: the array as `change` makes it."""

    def edit(entries):
        entries[name] = npy(change(np.load(io.BytesIO(entries[name]))))

    return edit


def metadata(text=None, **fields):
    """An edit: the metadata's text, or some of its fields."""

    def edit(entries):
        known = json.loads(str(np.load(io.BytesIO(entries["metadata"]))))
        entries["metadata"] = npy(np.array(json.dumps({**known, **fields}) if text is None else text))

    return edit


def provenance(**fields):
    return metadata(provenance=fields)


NAN, INF = float("nan"), float("inf")
FLOATS = [key for key, layout in FILE_LAYOUT.items() if layout.dtype is np.float32]
REQUIRED = [key for key in FILE_LAYOUT if key not in NOT_ALWAYS]
SOME = ("uv", "faces", "rotation")
BAD = {
    **{f"{key} is missing": array(key, None) for key in REQUIRED},
    **{f"{key} holds NaN": number(key, 0, NAN) for key in FLOATS},
    **{f"{key} holds infinity": number(key, -1, INF) for key in FLOATS},
    **{f"{key} is big-endian": converted(key, lambda a: a.astype(a.dtype.newbyteorder(">"))) for key in SOME},
    **{f"{key} has another rank": converted(key, lambda a: a[None]) for key in (*SOME, "texture", "metadata")},
    **{f"{key} is text": array(key, np.full(V, "yes")) for key in ("visible", "identity")},
    **{f"{key} is empty": array(key, np.zeros(0, np.float32)) for key in ("identity", "expression", "albedo")},
    "faces reach too far": number("faces", (3, 1), V),
    "faces are negative": number("faces", (0, 0), -1),
    "uv_faces reach too far": number("uv_faces", (0, 0), 10**6),
    "faces wrap around": converted("faces", lambda a: a.astype(np.int64) + (1 << 32)),
    "faces are floats": converted("faces", lambda a: a.astype(np.float32)),
    "faces are unsigned": converted("faces", lambda a: a.astype(np.uint64)),
    "fewer uv_faces": converted("uv_faces", lambda a: a[:-1]),
    "fewer vertices": converted("vertices", lambda a: a[:-1]),
    "an oblong texture": converted("texture", lambda a: np.ascontiguousarray(a[:, :-1])),
    "a smaller texel_source": converted("texel_source", lambda a: np.ascontiguousarray(a[:-1, :-1])),
    "a texture of floats": converted("texture", lambda a: a / np.float32(255)),
    "Fortran order": converted("uv", np.asfortranarray),
    "complex numbers": converted("uv", lambda a: a.astype(np.complex64)),
    "dates": array("translation", np.zeros(3, "datetime64[s]")),
    "a structured array": array("translation", np.zeros(3, [("x", "<f4")])),
    "float16": converted("uv", lambda a: a.astype(np.float16)),
    "beyond float32": converted("vertices", lambda a: a.astype(np.float64) * 1e300),
    "a pickle": array("identity", np.array([{"a": 1}], object)),
    "another pickle": array("metadata", np.array(["{}", None], object)),
    "huge vertices": converted("vertices", lambda a: a * np.float32(1e6)),
    "loud colours": converted("vertex_rgb", lambda a: a + 2),
    "negative colours": converted("vertex_albedo", lambda a: a - 2),
    "uv far away": converted("uv", lambda a: a * 9),
    "long normals": converted("normals", lambda a: a * 2),
    "an unknown texel_source": number("texel_source", (0, 0), 4),
    "truth that is neither": array("visible", header("'|b1'", f"({V},)") + b"\x07" * V),
    "dark light": converted("vertex_light", lambda a: -a),
    "behind the camera": number("translation", 2, -5.0),
    "vertices behind the camera": number("vertices_cam", (0, 2), -5.0),
    "a camera of zeros": converted("px_from_cam", np.zeros_like),
    "a crop of zeros": converted("crop_from_photo", np.zeros_like),
    "a turn of many turns": converted("rotation", lambda a: a + 1000),
    "fewer names": converted("expression_names", lambda a: a[:-1]),
    "names twice": array("expression_names", np.array(["a", "b", "a"])),
    "names of control characters": array("expression_names", np.array(["a", "b", "\x1b[31m"])),
    "names that are no characters": array("expression_names", header("'<U1'", "(3,)") + b"\xff" * 12),
    "names that are too long": array("expression_names", np.array(["a", "b", "c" * 1000])),
    "names in two dimensions": array("expression_names", np.array([["a", "b", "c"]])),
    "names that are numbers": array("expression_names", np.zeros(3, np.float32)),
    "a header that claims 37 GB": array("vertices", header("'<f4'", "(3100000000, 3)")),
    "a header that claims 11 TB": array("identity", header("'<f8'", "(1400000000000,)")),
    "a header beyond all memory": array("uv", header("'<f4'", f"({10**17}, {10**17})")),
    "a negative shape": array("uv", header("'<f4'", "(-1, 2)")),
    "no end of a header": array("uv", header("'<f4'", "(5, 2")),
    "a header that is code": array("uv", header("__import__('os')", "(5, 2)")),
    "a header of brackets": array("uv", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535),
    "a header in version 3": array("translation", header("'<f4'", "(3,)", version=b"\x03\x00") + bytes(12)),
    "an array without content": array("uv", header("'<f4'", "(325, 2)")),
    "an array with more content": lambda entries: entries.update(uv=entries["uv"] + b"more"),
    "an empty entry": array("uv", b""),
    "metadata that is no JSON": metadata("{"),
    "metadata that is a list": metadata("[]"),
    "metadata that is deep": metadata("[" * 100_000),
    "metadata that is rather deep": metadata(provenance={"a": json.loads("[" * 50 + "]" * 50)}),
    "metadata that is huge": metadata("x" * 1_000_001),
    "metadata that is empty": metadata(""),
    "metadata without a format": metadata(format=None),
    "timings that are text": metadata(timings={"fit": "long"}),
    "timings that are infinite": metadata(timings={"fit": INF}),
    "timings before they began": metadata(timings={"fit": -1}),
    "figures that are lists": metadata(figures={"psnr": [1]}),
    "figures that are a list": metadata(figures=[1]),
    "a digit too many": metadata('{"format": ' + "9" * 5000 + "}"),
    "a provenance that is text": metadata(provenance="mine"),
    "a photo without a size": provenance(photo_hw=[0, 100]),
    "a photo with a size of text": provenance(photo_hw=["a", "b"]),
    "a photo beyond all sizes": provenance(photo_hw=[10**9, 10**9]),
    "a photo with a number": provenance(photo_hw=7),
    "a photo_hw of one side": metadata(photo_hw=[100]),
    "a photo_hw of floats": metadata(photo_hw=[100.0, 50.0]),
    "photo_names that are numbers": metadata(photo_names=[1, 2]),
    "photo_names that are text": metadata(photo_names="a.jpg"),
    "too many photo_names": metadata(photo_names=["a"] * 256),
    "a face_model of a list": metadata(face_model=["a"]),
    "photos that are numbers": provenance(photos=[1, 2]),
    "a face model that is a number": provenance(face_model=7),
    "a face model that colours terminals": provenance(face_model="\x1b[31m"),
}


REMEDY = "pass the NAME.npz that `gcnface refine` wrote"


def refused(path, says="", remedy=REMEDY):
    with pytest.raises(ResultError) as caught:
        gcnface.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith(remedy)
    assert says in message
    assert "\n" not in message
    assert len(message) < 500
    return message


def test_the_untouched_file_is_read(tmp_path, good):
    write(tmp_path / "good.npz", good)
    assert np.array_equal(gcnface.load(tmp_path / "good.npz").mesh.uv, make_reconstruction().mesh.uv)


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_right_is_refused(tmp_path, good, case):
    entries = dict(good)
    BAD[case](entries)
    write(tmp_path / "bad.npz", entries)
    refused(tmp_path / "bad.npz")


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packing_is_refused(tmp_path, good, packing):
    write(tmp_path / "bad.npz", good, packing)
    refused(tmp_path / "bad.npz", "packed in another way")


@pytest.mark.parametrize("flag", [0x1, 0x20, 0x40, 0x2000])
def test_encryption_and_patches_are_refused(tmp_path, good, flag):
    path = tmp_path / "bad.npz"
    write(path, good)
    content = bytearray(path.read_bytes())
    place = content.find(b"PK\x01\x02")
    content[place + 8 : place + 10] = flag.to_bytes(2, "little")
    path.write_bytes(content)
    refused(path)


def test_an_array_that_is_there_twice_is_refused(tmp_path, good):
    write(tmp_path / "bad.npz", good)
    with zipfile.ZipFile(tmp_path / "bad.npz", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("uv.npy", good["uv"])
    refused(tmp_path / "bad.npz", "uv is there twice")


def declared(path, entries, key, size):
    """Write a file whose directory says that an entry unpacks to `size`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(f"{name}.npy", content)
        archive.getinfo(f"{key}.npy").file_size = size


def measured(action):
    """Bytes of memory that it took at most."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", ["(325, 2)", "(805306368, 2)"])
def test_a_bomb_in_a_known_array_is_not_unpacked(tmp_path, good, shape):
    path = tmp_path / "bomb.npz"
    declared(path, {**good, "uv": header("'<f4'", shape) + bytes(4_000_000)}, "uv", 6 * GIGABYTE)
    assert measured(lambda: refused(path)) < 20_000_000


def test_a_bomb_that_hides_its_size_is_not_unpacked(tmp_path, good):
    path = tmp_path / "bomb.npz"
    declared(path, {**good, "uv": header("'<f4'", "(350, 2)") + bytes(200_000_000)}, "uv", 128 + 350 * 8)
    assert measured(lambda: refused(path)) < 20_000_000


def test_a_bomb_beside_the_arrays_is_left_alone(tmp_path, good):
    path = tmp_path / "bomb.npz"
    declared(path, {**good, "more": header("'<u1'", f"({6 * GIGABYTE},)") + bytes(4_000_000)}, "more", 6 * GIGABYTE)
    assert measured(lambda: gcnface.load(path)) < 20_000_000


def test_random_damage_is_one_error_or_does_not_matter(tmp_path, good):
    path, rng = tmp_path / "bad.npz", np.random.default_rng(0)
    write(path, good, zipfile.ZIP_DEFLATED)
    whole, expected = path.read_bytes(), gcnface.load(path)
    for _ in range(150):
        content = bytearray(whole)
        for place in rng.integers(0, len(content), rng.integers(1, 4)):
            content[place] ^= 1 << rng.integers(8)
        path.write_bytes(content[: rng.integers(len(content))] if rng.random() < 0.2 else content)
        try:
            found = gcnface.load(path)
        except ResultError:
            continue
        assert np.array_equal(found.mesh.vertices, expected.mesh.vertices)
        assert np.array_equal(found.mesh.texture, expected.mesh.texture)


@pytest.mark.parametrize("place", ["folder", "pipe", "/dev/zero", "/dev/null", "loop", "missing", "behind a file"])
def test_what_is_no_plain_file_is_refused_at_once(tmp_path, place):
    path = tmp_path / "bad.npz"
    if place == "folder":
        path.mkdir()
    elif place == "pipe":
        os.mkfifo(path)
    elif place.startswith("/dev"):
        path.symlink_to(place)
    elif place == "loop":
        path.symlink_to(path)
    elif place == "behind a file":
        (tmp_path / "file").write_text("")
        path = tmp_path / "file" / "bad.npz"
    refused(path, remedy=("check the path and the permissions", REMEDY))
