"""Commands over photos: a face that is refused is one line, and costs no other photo anything."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from gcnface import cli
from gcnface.batch import refine as refine_command
from gcnface.batch.loop import left_out_faces
from gcnface.batch.refine import refine
from gcnface.cli.program import status_of
from gcnface.errors import LowQualityWarning
from gcnface.options import AlignOptions, FlattenOptions, RefineOptions
from gcnface.result.quality import FaceQuality, QualityMeasures, check_believed
from tests.gcnface.results import make_reconstruction

POOR = FaceQuality(0.03, ("not a face",), QualityMeasures(face_logit=-4.0))
GOOD = FaceQuality(0.96, (), QualityMeasures(face_logit=7.0))


class FakeReconstructor:
    """A face a hundred px of width, the first poor where the photo is dark, all others good."""

    def __init__(self, how):
        self.how = how

    def __call__(self, photo, *, on_stage=None):
        faces = [POOR if photo.mean() < 0.2 else GOOD] + [GOOD] * (photo.shape[1] // 100 - 1)
        faces = faces if self.how.all_faces else faces[:1]
        believed = [quality.value >= self.how.least_quality for quality in faces]
        check_believed(faces, believed)
        return [replace(make_reconstruction(), quality=q) for q, take in zip(faces, believed, strict=True) if take]


@pytest.fixture
def photos(tmp_path):
    for name, gray, width in (("good.png", 180, 120), ("poor.png", 10, 120), ("two.png", 10, 240)):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(np.full((40, width, 3), gray, np.uint8)).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def run(photos, output, **options):
    wanted = RefineOptions(photos=tuple(map(str, photos)), output=output, formats=("json",), **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refine_command, "load_reconstructor", FakeReconstructor)
        return status_of(refine, wanted)


def test_a_poor_face_is_one_line_and_no_file(photos, tmp_path, capsys):
    assert run([photos / "poor.png", photos / "good.png"], tmp_path / "out") == 1
    told = capsys.readouterr()
    lines = told.err.strip().splitlines()
    assert len(lines) == 1
    for part in (str(photos / "poor.png"), "quality 0.03", "not a face", "--force"):
        assert part in lines[0]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.json"]
    assert "quality 0.96" in told.out


def test_force_writes_it(photos, tmp_path, capsys):
    assert run([photos / "poor.png"], tmp_path / "out", force=True) == 0
    about = json.loads((tmp_path / "out" / "poor.json").read_text())
    assert about["quality"] == {"value": 0.03, "reasons": ["not a face"], "measures": {"face_logit": -4.0}}
    assert "quality 0.03" in capsys.readouterr().out


def test_a_lower_floor_takes_it_and_a_higher_one_refuses_more(photos, tmp_path, capsys):
    assert run([photos / "poor.png"], tmp_path / "low", min_quality=0.01) == 0
    assert run([photos / "good.png"], tmp_path / "high", min_quality=0.99) == 1
    assert "quality 0.96" in capsys.readouterr().err


def test_other_faces_of_a_photo_are_written(photos, tmp_path, capsys):
    assert run([photos / "two.png"], tmp_path / "out", all_faces=True) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["two.json"]
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"gcnface: warning: {photos / 'two.png'}: 1 of its faces left out (quality 0.03")


def test_other_warnings_go_their_way():
    told = []

    def warn():
        with left_out_faces() as words:
            warnings.warn("one left out", LowQualityWarning, stacklevel=1)
            warnings.warn("something else", UserWarning, stacklevel=1)
        told.extend(words)

    with pytest.warns(UserWarning, match="something else"):
        warn()
    assert told == ["one left out"]


@pytest.mark.parametrize("record", [RefineOptions, AlignOptions, FlattenOptions])
def test_every_command_has_the_floor(record, tmp_path):
    wanted = {"photos": ("a.png",), "output": tmp_path}
    assert record(**wanted).least_quality == record(**wanted).min_quality > 0
    assert record(**wanted, min_quality=0.7).least_quality == 0.7
    assert record(**wanted, min_quality=0.7, force=True).least_quality == 0
    with pytest.raises(ValueError, match="min_quality"):
        record(**wanted, min_quality=1.5)


@pytest.mark.parametrize("command", ["refine", "align", "flatten"])
def test_a_floor_beyond_1_is_wrong_usage(command, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([command, "a.png", "-o", "out", "--min-quality", "2"])
    assert left.value.code == 2
    assert "--min-quality" in capsys.readouterr().err
