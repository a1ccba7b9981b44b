"""Views of many people are kept part by part, and become one data set."""

from pathlib import Path

import numpy as np
import pytest

from gcnface.building import rendered_heads
from gcnface.building.head_views import RenderedViews
from gcnface.building.rendered_heads import _assembled, _Job
from gcnface.data.caches import Cache
from gcnface.data.faces import CANVAS_PX
from gcnface.data.heads import load_heads


def drawn(first, count):
    """What `_draw_people` answers."""
    numbers = np.arange(first, first + count)
    return {
        "canvases": np.full((count, CANVAS_PX, CANVAS_PX, 3), numbers[:, None, None, None], np.uint8),
        "identity": np.zeros((count, 100), np.float32),
        "expression": np.zeros((count, 52), np.float32),
        "rotation": np.zeros((count, 3), np.float32),
        "translation": np.zeros((count, 3), np.float32),
        "canvas_from_crop": np.tile(np.eye(3, dtype=np.float32), (count, 1, 1)),
        "landmarks": np.zeros((count, 468, 3), np.float32),
        "person": numbers,
        "yaw": numbers.astype(np.float32),
        "photographic": np.zeros(count, bool),
        "validation": np.zeros(count, bool),
        "source": numbers.astype(np.uint64),
    }


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """Two jobs of three and two views, and a list of those that were drawn."""
    asked = []

    def draw(job):
        asked.append(int(job.rows[0]))
        return drawn(int(job.rows[0]), len(job.rows))

    monkeypatch.setattr(rendered_heads, "_draw_people", draw)
    rows = [np.array([0, 1, 2]), np.array([3, 4])]
    caches = [Cache(tmp_path / "parts", "views", {"rows": str(own)}) for own in rows]
    return [_Job(Path("data"), own, RenderedViews(), c) for own, c in zip(rows, caches, strict=True)], asked


def test_what_was_drawn_before_is_not_drawn_again(jobs):
    made, asked = jobs
    assert rendered_heads._draw(made[0]) == 3
    assert [rendered_heads._draw(job) for job in made] == [3, 2]
    assert asked == [0, 3]


def test_parts_become_one_data_set_in_order(jobs, tmp_path):
    made, asked = jobs
    heads = _assembled(made, 5, tmp_path)
    assert asked == [0, 3]
    assert heads.person.tolist() == [0, 1, 2, 3, 4]
    assert heads.canvases[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert not (tmp_path / "parts").exists()
    again = load_heads(tmp_path)
    assert again.yaw.tolist() == heads.yaw.tolist()
    assert np.array_equal(again.canvases, heads.canvases)
