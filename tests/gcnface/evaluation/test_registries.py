"""One row adds a method, an identity network, a metric or a protocol; nothing heavy is loaded to know their names."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gcnface.errors import WeightsError
from gcnface.evaluation import registries
from gcnface.evaluation.records import Metric
from gcnface.evaluation.registries import MethodRow, MetricRow, ViewRow, build_all
from gcnface.evaluation.summary import column_of
from refine.baselines import BASELINES

ROOT = Path(__file__).parents[3]
PORTRAIT = ROOT / "tests" / "data" / "face.jpg"


def python(*words):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_names_come_without_networks():
    code = "import sys, gcnface.evaluation.registries; print(*{'torch', 'numpy', 'cv2', 'scipy'} & set(sys.modules))"
    found = python("-c", code)
    assert found.stderr == ""
    assert found.stdout.split() == []


def test_every_row_names_something_that_is_there():
    tables = (registries.METHODS, registries.IDENTITY_NETWORKS, registries.METRICS, registries.PROTOCOLS)
    for name, row in [pair for table in tables for pair in table.items()]:
        assert row.name == name
        assert row.title
        assert row.summary
        assert not row.source or callable(row.load())
    assert {row.weights for row in registries.METHODS.values()} - {""} == set(BASELINES)


def test_views_are_found_with_those_of_the_protocols(monkeypatch):
    monkeypatch.setitem(registries.METRICS, "most", MetricRow("most", "worst pixel", "", digits=1, higher=False))
    monkeypatch.setitem(registries.VIEWS, "dusk", ViewRow("dusk", "at dusk", "After sunset"))
    column = column_of(Metric("most", "dusk"))
    assert (column.title, column.section, column.digits, column.higher) == (
        "worst pixel, at dusk",
        "After sunset",
        1,
        False,
    )
    names = list(registries.sections())
    assert names[:2] == ["Picture against photo", "Identity"]
    assert "The side that was not shown" in names[2:-2]


def test_rows_that_cannot_be_made_are_left_out_unless_they_are_required():
    rows = {name: MethodRow(name, name, name) for name in ("there", "gone")}

    def build(row):
        if row.name == "gone":
            raise WeightsError("gone.safetensors", "weights are missing", "train them")
        return row.title

    built, left_out = build_all(rows, rows, build)
    assert built == {"there": "there"}
    assert "gone.safetensors" in left_out["gone"]
    with pytest.raises(WeightsError):
        build_all(rows, rows, build, required=["gone"])


def test_rows_appear_in_the_help():
    told = python("-m", "tests.gcnface.evaluation.added_rows", "evaluate", "-h").stdout
    for word in ("grey", "tint", "--dusk", "at dusk"):
        assert word in told


@pytest.mark.slow
def test_rows_appear_in_table_and_report(tmp_path):
    words = ["--methods", "mean,grey", "--identity", "tint", "--dusk", "1", "--no-mirrored", "-o", tmp_path / "report"]
    found = python("-m", "tests.gcnface.evaluation.added_rows", "evaluate", PORTRAIT, *words)
    assert found.returncode == 0, found.stderr
    table = (tmp_path / "report" / "table.md").read_text()
    page = (tmp_path / "report" / "index.html").read_text()
    worst = (tmp_path / "report" / "worst.html").read_text()
    assert "| grey paint |" in table
    assert "## After sunset\n\n| method | PSNR, at dusk, 10° ↑ |" in table
    for title in ("worst pixel, face", "Tint, head pasted", "PSNR, at dusk, 10°"):
        assert f"{title} " in table
        assert title in page
        assert title in worst
    data = json.loads((tmp_path / "report" / "table.json").read_text())
    assert list(data["methods"]) == ["mean", "grey"]
    dusk = [record for record in data["means"] if record["view"] == "dusk"]
    assert [(record["method"], record["mean"]) for record in dusk] == [("mean", 12.5), ("grey", 12.5)]
    assert data["settings"]["photos_of"] == {"dusk": 1}
