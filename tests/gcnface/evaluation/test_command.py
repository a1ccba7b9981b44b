"""The command on the drawn portrait with the shipped weights, two methods."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gcnface import cli
from gcnface.evaluation import command
from gcnface.evaluation.groups import TONE_KINDS, TONES
from gcnface.evaluation.records import Metric

PORTRAIT = Path(__file__).parents[2] / "data" / "face.jpg"


def turned(yaw_deg):
    return Metric("cosine", "turned", yaw_deg, "facenet")


def values_of(photo, method):
    """Values by metric of one method, from a photo's records in table.json."""
    names = list(Metric("").fields())
    records = [record for record in photo["metrics"] if record["method"] == method]
    return {Metric(**{name: record[name] for name in names}): record["value"] for record in records}


@pytest.fixture
def evaluate(monkeypatch, reconstructor, tmp_path):
    """Runs the command; the networks are loaded once for all tests."""
    monkeypatch.setattr(command, "Reconstructor", lambda options: reconstructor)

    def run(*words):
        return cli.main(["evaluate", *map(str, words), "-o", str(tmp_path / "report")])

    return run


@pytest.fixture
def cold(monkeypatch):
    """No photo is reconstructed before the clock starts: quicker."""
    monkeypatch.setattr(command.PhotoEvaluator, "_warm_up", lambda self, photo: None)


@pytest.fixture
def folder(tmp_path):
    """Two people, one of whom no network can find a face of, and a file that is no picture."""
    for name in ("anna/face.jpg", "bert/wall.png", "cleo/broken.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True)
    (tmp_path / "photos/anna/face.jpg").write_bytes(PORTRAIT.read_bytes())
    Image.fromarray(np.full((80, 80, 3), 120, np.uint8)).save(tmp_path / "photos/bert/wall.png")
    (tmp_path / "photos/cleo/broken.jpg").write_bytes(b"no picture")
    return tmp_path / "photos"


def test_a_folder_gives_one_table_and_survives_what_fails(evaluate, folder, tmp_path, capsys):
    groups = tmp_path / "ages.csv"
    groups.write_text("file,age\nanna/face.jpg,young\n")
    words = (folder, "--methods", "coarse,ours", "--identity", "facenet", "--groups", groups)
    assert evaluate(*words) == 1
    out, err = capsys.readouterr()
    assert "1 photo of 1 people" in out
    assert "wall.png" in err
    assert "broken.jpg" in err
    report = tmp_path / "report"
    assert {path.name for path in report.iterdir()} >= {"metrics.csv", "table.json", "table.md", "index.html"}
    data = json.loads((report / "table.json").read_text())
    assert {Path(name).name for name in data["failed"]} == {"wall.png", "broken.jpg"}
    assert list(data["methods"]) == ["coarse", "ours"]
    photo = data["photos"][0]
    assert photo["person"] == "anna"
    tones = {kind: photo["groups"][kind] for kind in TONE_KINDS}
    assert photo["groups"] == {"age": "young", "glasses": "without"} | tones
    assert set(tones.values()) <= set(TONES)
    coarse, ours = values_of(photo, "coarse"), values_of(photo, "ours")
    psnr, pasted = Metric("psnr", "face"), Metric("cosine", "pasted_head", network="facenet")
    assert ours[psnr] > coarse[psnr] + 4
    assert ours[Metric("l1", "face")] < coarse[Metric("l1", "face")]
    assert ours[Metric("ssim", "face")] > coarse[Metric("ssim", "face")]
    assert ours[Metric("psnr", "frame")] > ours[psnr]
    assert 1 > ours[pasted] > coarse[pasted]
    assert ours[pasted] > ours[turned(30.0)] > ours[turned(45.0)] > 0.3
    assert values_of(photo, "photo")[Metric("cosine", "mirror", network="facenet")] > 0.9
    assert 20 < ours[Metric("psnr", "mirrored")] < 60
    assert ours[Metric("seconds", "whole")] > ours[Metric("seconds", "method")] > 0
    assert data["settings"]["peak_memory_gb"] > 0.1
    with (report / "metrics.csv").open() as file:
        assert {row["method"] for row in csv.DictReader(file)} == {"photo", "coarse", "ours"}


def test_larger_pictures_and_fewer_parts(evaluate, cold, tmp_path):
    words = (PORTRAIT, "--methods", "coarse", "--identity", "facenet", "--size", 320, "--yaws", "20", "--no-mirrored")
    assert evaluate(*words) == 0
    found = values_of(json.loads((tmp_path / "report" / "table.json").read_text())["photos"][0], "coarse")
    assert turned(20.0) in found
    assert turned(45.0) not in found
    assert Metric("psnr", "mirrored") not in found


def test_a_method_that_is_asked_for_must_be_there(evaluate, monkeypatch, tmp_path, capsys):
    missing = tmp_path / "image.safetensors"
    monkeypatch.setattr("gcnface.evaluation.methods.baseline_weights", lambda name: missing)
    assert evaluate(PORTRAIT, "--methods", "image") == 1
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert str(missing) in error[0]
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--methods", "best"],
        ["--methods", ","],
        ["--yaws", "120"],
        ["--yaws", "90"],
        ["--yaws", "x"],
        ["--size", "8"],
        ["--limit", "0"],
    ],
)
def test_wrong_usage(evaluate, words):
    with pytest.raises(SystemExit) as exit_:
        evaluate(PORTRAIT, *words)
    assert exit_.value.code == 2


def test_nothing_to_measure(evaluate, tmp_path, capsys):
    assert evaluate(tmp_path / "gone.jpg") == 1
    assert "gone.jpg" in capsys.readouterr().err


def test_an_interrupt_keeps_what_was_done(evaluate, cold, monkeypatch, tmp_path, folder):
    (folder / "anna" / "again.jpg").write_bytes(PORTRAIT.read_bytes())
    read, fitted = command.read_photo, []

    def interrupted(path):
        if fitted:
            raise KeyboardInterrupt
        fitted.append(path)
        return read(path)

    monkeypatch.setattr(command, "read_photo", interrupted)
    assert evaluate(folder, "--methods", "mean", "--identity", "facenet", "--no-mirrored") == 130
    data = json.loads((tmp_path / "report" / "table.json").read_text())
    assert len(data["photos"]) == 1
    assert any("interrupted" in note for note in data["notes"])


@pytest.mark.slow
def test_several_processes_measure_what_one_does(evaluate, cold, tmp_path, folder):
    (folder / "anna" / "again.jpg").write_bytes(PORTRAIT.read_bytes())
    words = (folder, "--methods", "mean,coarse", "--identity", "facenet", "--no-mirrored", "--relit", "1")
    found = []
    for workers in (1, 2):
        assert evaluate(*words, "--workers", workers) == 1  # two of the photos give nothing
        data = json.loads((tmp_path / "report" / "table.json").read_text())
        values = [record for photo in data["photos"] for record in photo["metrics"] if "second" not in record["metric"]]
        found.append((values, data["failed"], sorted(path.name for path in tmp_path.rglob("*.jpg"))))
        assert sum(record["metric"].startswith("relit") or "relit" in str(record["view"]) for record in values) > 0, (
            sorted({str(r) for r in values})
        )
    assert found[0] == found[1]
