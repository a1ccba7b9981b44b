"""docs/render.md: its Python runs, its names are those of the code."""

import re
from pathlib import Path

from coarse.face_model import load_face_model
from gcnface.result.lights import LIGHTS
from tests.gcnface.results import make_head

TEXT = (Path(__file__).parents[3] / "docs" / "render.md").read_text(encoding="utf-8")


def test_python_runs(tmp_path, monkeypatch):
    make_head().save(tmp_path, "portrait", ["npz"])
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict = {}
    exec(compile(code, "render.md", "exec"), names)  # noqa: S102
    assert names["picture"].shape == (512, 512, 3)
    assert (tmp_path / "out" / "smiling.glb").exists()


def test_names():
    quoted = " ".join(line[2:] for line in TEXT.splitlines() if line.startswith("> "))
    assert tuple(quoted.split(", ")) == load_face_model().expression_names
    table = TEXT.split("## Pose")[0]
    assert [name for name in ("own", *LIGHTS) if f"`{name}`" not in table] == []
