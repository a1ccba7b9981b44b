"""The Python of docs/python.md is run as it stands, block after block."""

import re
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def names():
    """What the blocks leave behind."""
    left = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
            exec(compile(code, "docs/python.md", "exec"), left)  # noqa: S102
    return left


def test_coefficients_give_the_mesh_of_the_result(names):
    verts = names["model"](names["Coefficients"](**names["found"])).verts[0]
    assert (verts - torch.from_numpy(names["face"].mesh.vertices)).abs().max() < 1e-3


def test_the_loss_falls_and_all_that_is_free_moves(names):
    assert names["losses"][-1] < 0.95 * names["losses"][0]
    for name, value in names["free"].items():
        assert value.grad.abs().max() > 0, name
        assert not torch.equal(value, names["found"][name]), name


def test_links_lead_somewhere():
    assert [to for to in re.findall(r"\]\(([^)#]+)\)", PAGE) if not (ROOT / "docs" / to).exists()] == []
