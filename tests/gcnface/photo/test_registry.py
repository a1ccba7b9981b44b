"""A detector is chosen by its name, in Python, on the command line and in configuration files."""

import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest

import gcnface
from gcnface.batch import align as batch_align
from gcnface.batch import flatten as batch_flatten
from gcnface.cli import main
from gcnface.dense import aligner as dense
from gcnface.kinds import OptionError
from gcnface.options import AlignOptions, EvaluateOptions, FlattenOptions, ReconstructionOptions, RefineOptions
from gcnface.photo.detection import make_detector
from gcnface.photo.registry import DETECTORS, USUAL_DETECTOR
from gcnface.photo.yunet import YunetDetector
from gcnface.pipeline import Reconstructor

WORDS = {"photos": ("a.jpg",), "output": Path("out")}
RECORDS = [
    (ReconstructionOptions, {}),
    *((record, WORDS) for record in (RefineOptions, AlignOptions, FlattenOptions, EvaluateOptions)),
]


@pytest.mark.parametrize("name", DETECTORS)
def test_every_row_makes_a_detector(name):
    assert list(inspect.signature(make_detector(name).detect).parameters)[0] == "photo"


def test_the_first_row_is_the_usual_one():
    assert type(make_detector()) is type(make_detector(USUAL_DETECTOR))
    with pytest.raises(ValueError, match=f"'dots' is no detector; choose one of {', '.join(DETECTORS)}"):
        make_detector("dots")


@pytest.mark.parametrize(("record", "given"), RECORDS)
def test_every_command_that_finds_faces_takes_a_name(record, given):
    assert record(**given).detector == USUAL_DETECTOR
    assert record(**given, detector="mtcnn").detector == "mtcnn"
    with pytest.raises(OptionError, match="mtcn"):
        record(**given, detector="mtcn")


@pytest.mark.parametrize("command", ["refine", "align", "flatten", "evaluate"])
def test_a_wrong_name_is_one_line(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "a.jpg", "-o", "out", "--detector", "yune"])
    assert stop.value.code == 2
    assert "did you mean yunet?" in capsys.readouterr().err.splitlines()[-1]


def test_a_configuration_file_names_one(tmp_path, capsys):
    (tmp_path / "own.yaml").write_text("detector: mtcnn\n", encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        main(["refine", "a.jpg", "-o", "out", "--config", str(tmp_path / "own.yaml"), "--print_config"])
    assert not stop.value.code
    assert "detector: mtcnn" in capsys.readouterr().out


def test_the_named_one_finds_the_faces(monkeypatch):
    monkeypatch.setattr("gcnface.pipeline.FaceStages", lambda *_: SimpleNamespace(model=None))
    assert isinstance(Reconstructor(ReconstructionOptions(detector="yunet")).detector, YunetDetector)
    made = []
    monkeypatch.setattr(dense, "DenseAligner", lambda *_, detector, **__: made.append(detector))
    dense.load_aligner.cache_clear()
    batch_align._load(AlignOptions(**WORDS, detector="yunet"))
    dense.load_aligner.cache_clear()
    monkeypatch.setattr(batch_flatten, "Flattener", lambda *_, detector, **__: made.append(detector))
    batch_flatten._load(FlattenOptions(**WORDS, detector="yunet"))
    assert [type(each) for each in made] == [YunetDetector, YunetDetector]


def test_python_names_one_too():
    for call in (gcnface.align, gcnface.flatten):
        assert inspect.signature(call).parameters["detector"].default == USUAL_DETECTOR
    with pytest.raises(ValueError, match="detector is 'yune'"):
        gcnface.reconstruct("a.jpg", detector="yune")
