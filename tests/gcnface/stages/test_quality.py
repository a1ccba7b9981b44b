"""What is measured of a face, what it is worth, and what is said of it."""

import json
import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

import gcnface
from gcnface.errors import LowQualityError, WeightsError
from gcnface.options import ReconstructionOptions
from gcnface.photo.detection import Detection
from gcnface.pipeline import Reconstructor
from gcnface.result.quality import QualityMeasures
from gcnface.stages.coarse import Stopwatch
from gcnface.stages.quality import STAGES, WORSE, QualityModel, Term, load_quality_model, measures_of, reasons

PLAIN = QualityMeasures(
    expected_error_percent=1.5,
    face_logit=8.0,
    misfit_percent=3.0,
    points_percent=3.0,
    box_percent=4.0,
    moved_px=0.8,
    detection_score=0.999,
    face_px=250.0,
    sharpness=0.1,
    yaw_deg=-3.0,
    pitch_deg=4.0,
    outside_share=0.0,
    brightness=0.4,
    shadow_share=0.0,
    rest_share=0.02,
    hair_share=0.02,
    glasses_share=0.0,
    map_percent=1.5,
    regressor_percent=2.0,
    color_residual=0.1,
)
"""About what a passport photo gives."""

WORST = {
    "expected_error_percent": 40.0,
    "face_logit": -12.0,
    "misfit_percent": 30.0,
    "points_percent": 60.0,
    "box_percent": 80.0,
    "moved_px": 60.0,
    "detection_score": 0.3,
    "face_px": 8.0,
    "sharpness": 0.001,
    "yaw_deg": -110.0,
    "pitch_deg": 70.0,
    "outside_share": 0.9,
    "brightness": 0.0005,
    "shadow_share": 0.8,
    "rest_share": 0.95,
    "hair_share": 0.9,
    "glasses_share": 0.5,
    "map_percent": 30.0,
    "regressor_percent": 40.0,
    "color_residual": 3.0,
}


def test_every_measure_has_its_scale():
    names = {field.name for field in fields(QualityMeasures)}
    assert names == set(WORSE) == set(WORST)
    for name, worst in WORST.items():
        assert WORSE[name](worst) > WORSE[name](getattr(PLAIN, name)), name


def test_a_term_bends_at_its_knots_and_knows_what_to_do_without():
    term = Term(center=1.0, spread=2.0, knots=(0.0, 1.0), slopes=(1.0, 3.0), missing=0.25)
    assert [term(value) for value in (-5.0, 1.0, 2.0, 3.0, 5.0)] == [0.0, 0.0, 0.5, 1.0, 5.0]
    assert term(math.nan) == 0.25


@pytest.mark.parametrize("stage", STAGES)
def test_no_measure_that_grows_worse_makes_a_face_better(stage):
    model = load_quality_model(stage)
    assert set(model.terms) <= set(measures_of(stage))
    for name, worst in WORST.items():
        path = np.linspace(getattr(PLAIN, name), worst, 25)
        values = [model(replace(PLAIN, **{name: float(x)})).value for x in path]
        assert all(b <= a + 1e-12 for a, b in zip(values, values[1:], strict=False)), name


@pytest.mark.parametrize("stage", STAGES)
def test_a_passport_photo_is_good_and_everything_wrong_is_bad(stage):
    model = load_quality_model(stage)
    assert model(PLAIN).value > 0.9
    assert model(PLAIN).reasons == ()
    assert model(QualityMeasures(**WORST)).value < 0.01


@pytest.mark.parametrize("stage", STAGES)
def test_what_could_not_be_measured_counts_neither_way(stage):
    assert load_quality_model(stage)(QualityMeasures()).value > 0.5


@pytest.mark.parametrize(
    ("measure", "words"),
    [
        ({"face_logit": -2.0}, "not a face"),
        ({"rest_share": 0.7}, "not a face"),
        ({"outside_share": 0.3}, "cut by the picture's edge"),
        ({"yaw_deg": -95.0}, "profile beyond 90 degrees"),
        ({"yaw_deg": 80.0}, "near profile"),
        ({"pitch_deg": -50.0}, "head thrown back"),
        ({"pitch_deg": 50.0}, "head bent down"),
        ({"face_px": 20.0}, "too small"),
        ({"brightness": 0.003}, "too dark"),
        ({"shadow_share": 0.5}, "half of the face in shadow"),
        ({"hair_share": 0.3}, "covered by hair"),
        ({"glasses_share": 0.3}, "covered by dark glasses"),
        ({"rest_share": 0.4}, "covered by hands, a mask or something else"),
        ({"sharpness": 0.01}, "blurred"),
        ({"detection_score": 0.5}, "the detector doubts it"),
    ],
)
def test_reasons_in_words(measure, words):
    assert reasons(replace(PLAIN, **measure), 0.2) == (words,)
    assert reasons(replace(PLAIN, **measure), 0.95) == ()


def test_a_poor_face_always_has_a_reason():
    assert reasons(PLAIN, 0.2) == ("no face, or found wrong",)
    assert reasons(replace(PLAIN, face_px=15.0, sharpness=0.01), 0.2) == ("too small",)


def test_a_model_that_is_missing_or_none_is_told(tmp_path):
    with pytest.raises(WeightsError, match="holds no quality model"):
        load_quality_model("fitted", tmp_path / "none.json")
    for content in ("", "[]", '{"fitted": {"bias": "x", "terms": {}}}', '{"fitted": {"bias": 1}}'):
        path = tmp_path / f"{len(content)}.json"
        path.write_text(content)
        with pytest.raises(WeightsError, match="holds no quality model"):
            load_quality_model("fitted", path)


def test_a_model_is_read_as_it_was_written(tmp_path):
    line = {"center": 0.0, "spread": 1.0, "knots": [0.0], "slopes": [2.0], "missing": 0.5}
    path = tmp_path / "quality.json"
    path.write_text(json.dumps({"fitted": {"bias": 1.0, "terms": {"yaw_deg": line}}}))
    model = load_quality_model("fitted", path)
    assert model == QualityModel(1.0, {"yaw_deg": Term(0.0, 1.0, (0.0,), (2.0,), 0.5)})
    assert model(QualityMeasures(yaw_deg=0.5)).value == pytest.approx(0.5)


@pytest.fixture(scope="module")
def reconstructor():
    return Reconstructor(ReconstructionOptions(texture_size=64))


class Insists:
    """A detector that takes the middle of any picture for a face."""

    def detect(self, photo):
        side = min(photo.shape[:2]) / 2
        points = np.array([[-0.2, -0.2], [0.2, -0.2], [0.0, 0.05], [-0.18, 0.2], [0.18, 0.2]]) * side
        center = np.array(photo.shape[1::-1]) / 2
        box = np.concatenate([center - side / 2, center + side / 2])
        return [Detection(np.float32(box), 0.99, np.float32(points + center))]


def picture(kind):
    rng = np.random.default_rng(0)
    if kind == "noise":
        return rng.random((240, 240, 3), dtype=np.float32)
    y, x = np.mgrid[:240, :240] / 240
    return np.stack([0.5 + 0.4 * np.sin(40 * x), 0.5 + 0.4 * np.sin(30 * y), 0.3 * x], -1).astype(np.float32)


@pytest.mark.parametrize("name", ["portrait", "smile"])
def test_the_examples_are_good(reconstructor, name):
    face = reconstructor(gcnface.read_photo(f"examples/{name}.jpg"))[0]
    assert face.quality.value > 0.8
    assert face.quality.reasons == ()
    assert len(face.quality.measures.named()) >= 18


@pytest.mark.parametrize("kind", ["noise", "waves"])
def test_what_is_no_face_is_refused_before_it_is_refined(reconstructor, kind, monkeypatch):
    monkeypatch.setattr(reconstructor, "detector", Insists())
    stages = []
    with pytest.raises(LowQualityError) as told:
        reconstructor(picture(kind), on_stage=stages.append)
    assert told.value.quality.value < 0.1
    assert told.value.quality.reasons
    assert not {"refine", "bake"} & set(stages)


def test_whoever_insists_gets_it(reconstructor, monkeypatch):
    monkeypatch.setattr(reconstructor, "detector", Insists())
    monkeypatch.setattr(reconstructor, "options", ReconstructionOptions(texture_size=64, force=True))
    face = reconstructor(picture("noise"))[0]
    assert face.quality.value < 0.1


def test_a_higher_floor_refuses_more(reconstructor, monkeypatch):
    monkeypatch.setattr(reconstructor, "options", ReconstructionOptions(texture_size=64, min_quality=1.0))
    with pytest.raises(LowQualityError, match="quality [01]"):
        reconstructor(gcnface.read_photo("examples/portrait.jpg"))


def test_what_is_wrong_with_a_picture_is_measured(reconstructor):
    photo = gcnface.read_photo("examples/portrait.jpg")
    stages, face = reconstructor.stages, reconstructor.detector.detect(photo)[0]

    def measures(picture):
        return stages.fit_face(np.float32(picture), face, Stopwatch()).quality.measures

    plain = measures(photo)
    small = torch.nn.functional.avg_pool2d(torch.from_numpy(photo.transpose(2, 0, 1))[None], 16)
    blurred = torch.nn.functional.interpolate(small, photo.shape[:2], mode="bilinear")[0].numpy().transpose(1, 2, 0)
    middle = int((face.box[0] + face.box[2]) / 2)
    shaded = photo.copy()
    shaded[:, middle:] *= 0.2
    assert measures(blurred).sharpness < 0.5 * plain.sharpness
    assert measures(0.2 * photo).brightness < 0.1 * plain.brightness
    assert measures(shaded).shadow_share > plain.shadow_share + 0.2
    assert plain.outside_share == 0
    assert abs(plain.face_px / np.sqrt(face.area) - 1) < 0.3
