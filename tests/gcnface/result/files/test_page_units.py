import base64
import gzip
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from gcnface.result.files.html import STEP_MM, page_units
from gcnface.result.morph_targets import MorphTarget
from tests.gcnface.results import make_head, make_mesh


def unpacked(content, corner_count):
    """The corners' vertices and each unit's vertices and offsets in metres, by the documented layout."""
    data = np.frombuffer(gzip.decompress(base64.b64decode(content["data"])), np.uint8).astype(np.int64)
    lengths = [corner_count, *[sum(content["counts"])] * 4]
    assert len(data) == 2 * sum(lengths)
    columns, place = [], 0
    for length in lengths:
        columns.append(data[place : place + length] + 256 * data[place + length : place + 2 * length])
        place += 2 * length
    corners, rows, *zigzag = columns
    steps = np.stack([np.where(part % 2, -(part + 1) // 2, part // 2) for part in zigzag], 1)
    ends = np.cumsum(content["counts"])[:-1]
    rows = [np.cumsum(part) for part in np.split(rows, ends)]
    offsets = [np.cumsum(part, axis=0) * content["step"] for part in np.split(steps, ends)]
    return np.cumsum(corners), rows, offsets


@pytest.fixture(scope="module")
def head():
    return make_head()


def test_units_come_back(head):
    targets, split = tuple(head.mesh.morph_targets), head.mesh.split
    content = page_units(split, targets)
    assert content["names"] == [target.name for target in targets if len(target.moved)]
    assert "tongueOut" not in content["names"]
    vertex, rows, offsets = unpacked(content, len(split.vertex))
    assert np.array_equal(vertex, split.vertex)
    moving = [target for target in targets if len(target.moved)]
    for target, found, offset in zip(moving, rows, offsets, strict=True):
        assert np.array_equal(found, target.moved), target.name
        assert np.abs(offset * 1000 - target.offset_mm).max() <= STEP_MM / 2 + 1e-4, target.name
    assert len(content["data"]) < 1e6


def test_a_mesh_without_units_offers_none():
    split = make_mesh().split
    still = MorphTarget("tongueOut", np.zeros(0, int), np.zeros((0, 3)), np.zeros(0, int), np.zeros((0, 3)))
    assert page_units(split, ()) is None
    assert page_units(split, (still,)) is None


def test_what_does_not_fit_into_two_bytes_is_refused():
    far = MorphTarget("far", np.array([3]), np.full((1, 3), 5000.0), np.zeros(0, int), np.zeros((0, 3)))
    with pytest.raises(ValueError, match="16 bits"):
        page_units(make_mesh().split, (far,))


def test_the_page_holds_them(tmp_path):
    nod = MorphTarget(
        "nod", np.array([3, 9]), np.array([(0, 1, 0), (0, -2, 0)], float), np.zeros(0, int), np.zeros((0, 3))
    )
    replace(make_mesh(), morph_targets=(nod,)).save(tmp_path / "a.html")
    make_mesh().save(tmp_path / "b.html")
    found = [re.search(r'id="units">([^<]*)<', (tmp_path / name).read_text())[1] for name in ("a.html", "b.html")]
    assert json.loads(found[0])["names"] == ["nod"]
    assert json.loads(found[0])["counts"] == [2]
    assert found[1] == "null"
