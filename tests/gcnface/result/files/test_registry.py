"""One row makes a format: for faces, meshes, the command line and the documentation."""

import subprocess
import sys
from pathlib import Path

import pytest

from gcnface.result.files.registry import FORMATS, FileFormat
from tests.gcnface.results import make_mesh, make_reconstruction

TOY = FileFormat("two words", f"{__name__}:write_toy", ("{name}.toy", "{name}_more.txt"), mesh=True)


def write_toy(content, path, more):
    path.write_text(f"{content.name} {len(content.mesh.vertices)} {content.face is not None}")
    more.write_text(", ".join(content.files))


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(FORMATS, "toy", TOY)


def test_a_row_saves_a_face(toy, tmp_path):
    face = make_reconstruction()
    count = len(face.mesh.vertices)
    assert face.save(tmp_path / "x.toy") == [tmp_path / "x.toy", tmp_path / "x_more.txt"]
    assert (tmp_path / "x.toy").read_text() == f"x {count} True"
    assert face.save(tmp_path / "set", "y", formats="toy") == [
        tmp_path / "set" / "y.toy",
        tmp_path / "set" / "y_more.txt",
    ]
    assert (tmp_path / "set" / "y_more.txt").read_text() == "y.toy, y_more.txt"
    assert len(face.save(tmp_path / "all", "z")) == 13


def test_a_row_saves_a_mesh(toy, tmp_path):
    assert make_mesh().save(tmp_path / "m.TOY") == tmp_path / "m.TOY"
    assert (tmp_path / "m.TOY").read_text().endswith("False")
    with pytest.raises(ValueError, match=r"a mesh cannot be saved as .npz; use .glb, .obj, .ply, .html, .toy"):
        make_mesh().save(tmp_path / "m.npz")


def test_a_row_is_a_choice_of_the_command_line():
    add = "from tests.gcnface.result.files.test_registry import FORMATS, TOY; FORMATS['toy'] = TOY"
    run = "from gcnface.cli import main; main(['refine', '-h'])"
    shown = subprocess.run([sys.executable, "-c", f"{add}\n{run}"], capture_output=True, text=True, check=False).stdout
    assert "json,html,maps,toy" in shown.replace("\n", "").replace(" ", "")


def test_the_registry_loads_nothing_heavy():
    check = "import sys, gcnface.result.files.registry; print(sorted({'numpy', 'torch', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_documentation_has_every_row():
    text = (Path(__file__).parents[4] / "docs" / "outputs.md").read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if line.startswith("| ")]
    for kind, row in FORMATS.items():
        assert any(line.startswith(f"| `{kind}`") and row.summary in line for line in table), kind
