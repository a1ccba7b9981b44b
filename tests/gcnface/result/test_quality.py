"""What is said of a face's quality, and that it survives files and processes."""

import math
import pickle
import warnings

import pytest

from gcnface.errors import LowQualityError, LowQualityWarning, NoFaceError
from gcnface.io import plain_json
from gcnface.result.quality import FaceQuality, QualityMeasures, check_believed, left_out, low_quality

POOR = FaceQuality(0.04, ("too small", "blurred"), QualityMeasures(face_px=12.5, yaw_deg=-3.0))
GOOD = FaceQuality(0.97)


def test_a_quality_lies_between_0_and_1():
    for value in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="expected a quality from 0 to 1"):
            FaceQuality(value)


def test_what_was_not_measured_is_not_told():
    assert POOR.measures.named() == {"face_px": 12.5, "yaw_deg": -3.0}
    assert QualityMeasures().named() == {}


def test_json_gives_the_same_back():
    text = plain_json.written(POOR.summary())
    assert str(FaceQuality.from_summary(plain_json.read(text))) == str(POOR)
    back = FaceQuality.from_summary(plain_json.read(text))
    assert (back.value, back.reasons, back.measures.named()) == (POOR.value, POOR.reasons, POOR.measures.named())


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {"value": "high", "reasons": [], "measures": {}},
        {"value": True, "reasons": [], "measures": {}},
        {"value": 2.0, "reasons": [], "measures": {}},
        {"value": 0.5, "reasons": "none", "measures": {}},
        {"value": 0.5, "reasons": ["\x1b[31m"], "measures": {}},
        {"value": 0.5, "reasons": [], "measures": {"face_px": "large"}},
        {"value": 0.5, "reasons": [], "measures": []},
    ],
)
def test_other_content_is_refused(content):
    with pytest.raises(ValueError, match="quality"):
        FaceQuality.from_summary(content)


def test_measures_of_a_newer_version_are_passed_over():
    content = {"value": 0.5, "reasons": [], "measures": {"face_px": 30, "tomorrow": 1}}
    assert FaceQuality.from_summary(content).measures.named() == {"face_px": 30.0}


def test_the_error_is_one_line_with_name_quality_reasons_and_remedy():
    error = low_quality("a/b.jpg", [POOR])
    assert isinstance(error, NoFaceError)
    assert "\n" not in str(error)
    assert str(error).startswith("a/b.jpg: ")
    for part in ("quality 0.04", "too small, blurred", "--force"):
        assert part in str(error)
    assert error.quality is POOR


def test_the_error_takes_another_name_and_crosses_processes():
    error = low_quality("photo", [POOR, GOOD]).of("real.jpg")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert str(again).startswith("real.jpg: ")
    assert again.quality.reasons == POOR.reasons
    assert "nor its 1 others" in str(again)


def test_all_are_believed():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_believed([GOOD, POOR], [True, True])
        check_believed([], [])


def test_none_is_believed():
    with pytest.raises(LowQualityError, match="too small"):
        check_believed([POOR], [False])


def test_some_are_left_out_with_a_word():
    with pytest.warns(
        LowQualityWarning, match=r"1 of its faces left out \(quality 0.04: too small, blurred\); --force"
    ):
        check_believed([GOOD, POOR], [True, False])


def test_of_many_a_few_are_named():
    assert left_out([POOR] * 7).count("too small") == 3
    assert left_out([POOR] * 7).startswith("7 of its faces")
