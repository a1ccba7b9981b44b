"""Prepared data sets and their parts are read with suspicion."""

import json

import numpy as np
import pytest

from gcnface.data.faces import ROWS, load_prepared, read_settings
from gcnface.errors import GcnfaceError
from gcnface.preparing.shards import assemble, read_shard
from tests.gcnface.annotated_folder import write_prepared_faces

REMEDY = "run `gcnface prepare PHOTOS -o "


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def longer(path):
    path.write_bytes(path.read_bytes() + b"more")


def saved(change):
    return lambda path: np.save(path, change(np.load(path)), allow_pickle=True)


BAD_ARRAYS = {
    "cut off": cut,
    "longer": longer,
    "empty": lambda path: path.write_bytes(b""),
    "no array": lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535),
    "of another type": saved(lambda array: array.astype(np.int16)),
    "of another shape": saved(lambda array: array.reshape(len(array), -1)),
    "of fewer rows": saved(lambda array: array[:-1]),
    "a pickle": saved(lambda array: np.array([{}] * len(array), object)),
    "claiming 11 TB": lambda path: path.write_bytes(
        path.read_bytes()[:10] + b"{'descr': '|u1', 'fortran_order': False, 'shape': (11000000000000,), }\n"
    ),
    "missing": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
@pytest.mark.parametrize("name", ["canvases", "landmarks"])
def test_an_array_that_is_not_right_is_named(tmp_path, name, case):
    folder = write_prepared_faces(tmp_path)
    BAD_ARRAYS[case](folder / f"{name}.npy")
    with pytest.raises(GcnfaceError, match=f"{name}.npy .*{REMEDY}") as caught:
        load_prepared(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"name\n1\n", b"name,identity,drawn,validation,file\na,b\n", b"a" * 200_000]
)
def test_a_table_that_is_not_right_is_named(tmp_path, content):
    folder = write_prepared_faces(tmp_path)
    (folder / "table.csv").write_bytes(content)
    with pytest.raises(GcnfaceError, match=f"table.csv .*{REMEDY}"):
        load_prepared(folder)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_settings_that_are_not_right_are_named(tmp_path, content):
    (tmp_path / "settings.json").write_bytes(content)
    with pytest.raises(GcnfaceError, match=f"settings.json .*{REMEDY}"):
        read_settings(tmp_path)


def part(**changes):
    arrays = {name: np.zeros((1, *shape), dtype) for name, (dtype, shape) in ROWS.items()}
    return {"told": np.array(json.dumps({"rows": [{"name": "a"}], "drops": []})), **arrays, **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"told": np.array("{")},
        {"told": np.array("[]")},
        {"told": np.array(json.dumps({"rows": [], "drops": [{"what": 1}]}))},
        {"told": np.zeros(3)},
        {"canvases": np.zeros((1, 9, 9, 3), np.uint8)},
        {"labels": np.zeros((2, *ROWS["labels"][1]), np.uint8)},
        {"landmarks": np.array([{}], object)},
        b"no archive",
    ],
)
def test_a_damaged_part_is_named(tmp_path, changes):
    path = tmp_path / "part.npz"
    if isinstance(changes, bytes):
        path.write_bytes(changes)
    else:
        np.savez(path, **part(**changes))
    with pytest.raises(GcnfaceError, match="part.npz: cannot be read .*delete it and run `gcnface prepare` again"):
        read_shard(path)
    if isinstance(changes, bytes) or "told" in changes:
        with pytest.raises(GcnfaceError, match="part.npz: cannot be read"):
            assemble(tmp_path / "data", [path], None)


def test_a_good_part_is_read(tmp_path):
    np.savez(tmp_path / "part.npz", **part(more=np.zeros(3)))
    rows, arrays = read_shard(tmp_path / "part.npz")
    assert arrays.keys() == ROWS.keys()
    assert rows == [{"name": "a"}]
