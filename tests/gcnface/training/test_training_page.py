"""The code of docs/training.md is run as it stands, on a tiny folder of faces."""

import csv
import re
import shlex
from pathlib import Path

import pytest
import torch
import yaml

from coarse.face_model import load_face_model
from coarse.morphable import layout_of
from coarse.regressor import load_regressor
from gcnface import cli
from tests.gcnface.annotated_folder import write_prepared_faces

pytestmark = pytest.mark.usefixtures("quiet_training")

PAGE = (Path(__file__).parents[3] / "docs" / "training.md").read_text(encoding="utf-8")


def blocks(heading):
    return re.findall(rf"```{re.escape(heading)}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the page's reader is: faces in runs/faces, and the files that the page shows."""
    (tmp_path / "runs").mkdir()
    write_prepared_faces(tmp_path).rename(tmp_path / "runs" / "faces")
    for name, content in re.findall(r"```\w+ file=(\S+)\n(.*?)```", PAGE, re.DOTALL):
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_plain_trainer_runs_the_modules(folder):
    names = {}
    for code in blocks("python"):
        exec(compile(code, "docs/training.md", "exec"), names)  # noqa: S102
    load_regressor(layout_of(load_face_model()), names["weights"])
    assert names["again"].settings == names["module"].settings
    assert names["again"].settings.learning_rate == 5e-4
    kept = torch.load(folder / "runs" / "python" / "mine.ckpt", weights_only=True)
    assert kept["datamodule_hyper_parameters"]["faces"] == "runs/faces"


@pytest.mark.slow
def test_parts_of_the_readers_own_plug_in(folder):
    commands = [shlex.split(line) for block in blocks("sh") for line in block.splitlines()]
    assert len(commands) == 2
    for words in commands:
        assert words[:3] == ["python", "-m", "gcnface"]
        assert cli.main(words[3:]) == 0
    for log in ("words/log", "yaml/mine"):
        with (folder / "runs" / log / "version_0" / "metrics.csv").open() as file:
            assert any(row["mine/largest"] for row in csv.DictReader(file)), log
    assert (folder / "runs" / "yaml" / "best.ckpt").exists()
    assert (folder / "runs" / "words" / "regressor.safetensors").exists()
    resolved = yaml.safe_load((folder / "runs" / "words" / "config.yaml").read_text())
    assert resolved["data"]["class_path"] == "mine.Photographs"
    assert torch.load(folder / "runs" / "words" / "last.ckpt", weights_only=True)["global_step"] == 1
