"""The quality is learned as it is told: weights come back, never fall, and are calibrated; samples know their truth."""

import numpy as np
import pytest
from scipy.special import expit

from gcnface.building.quality import learned_model, monotone_logistic
from gcnface.building.quality_rows import MEASURES, QualityRows, load_rows, rows_of, save_rows
from gcnface.building.quality_samples import SPOILT, faceless_samples, mistaken_detection, spoil
from gcnface.errors import FileError
from gcnface.io.images import save_picture
from gcnface.result.quality import QualityMeasures
from gcnface.stages.quality import STAGES, QualityModel, Term


def made_rows(count=4000, seed=0):
    """Faces whose error is told by the misfit alone, with some chance; every fourth is no face."""
    rng = np.random.default_rng(seed)
    measures = np.full((count, 2, len(MEASURES)), np.nan)
    misfit = np.exp(rng.normal(1.0, 0.6, count))
    for name, values in {"misfit_percent": misfit, "yaw_deg": rng.uniform(-90, 90, count)}.items():
        measures[:, :, MEASURES.index(name)] = values[:, None]
    chance = expit(3 - 3 * np.maximum(0, np.log(misfit) - 0.7))
    error = np.where(rng.random(count) < chance, 2.0, 9.0)
    none = np.arange(count) % 4 == 0
    measures[none, :, MEASURES.index("misfit_percent")] *= 6
    error = np.where(none, np.nan, error)
    return QualityRows(
        kind=np.array(["plain"] * count),
        group=np.where(none, "none", "photo"),
        held_out=np.zeros(count, bool),
        error=np.stack([error, error], 1),
        measures=measures,
        tried=count,
    )


def model_of(content):
    terms = {
        name: Term(t["center"], t["spread"], tuple(t["knots"]), tuple(t["slopes"]), t["missing"])
        for name, t in content["terms"].items()
    }
    return QualityModel(content["bias"], terms)


def test_weights_come_back():
    rng = np.random.default_rng(0)
    columns = rng.exponential(size=(20000, 3))
    good = rng.random(20000) < expit(2.0 - columns @ [1.5, 0.0, 0.5])
    weights, bias = monotone_logistic(columns, good)
    assert np.allclose(weights, [1.5, 0.0, 0.5], atol=0.1)
    assert bias == pytest.approx(2.0, abs=0.1)


def test_weights_are_not_negative():
    rng = np.random.default_rng(0)
    columns = rng.exponential(size=(2000, 2))
    good = rng.random(2000) < expit(columns @ [1.0, 0.0])
    assert monotone_logistic(columns, good)[0].min() >= 0


@pytest.mark.parametrize("stage", STAGES)
def test_the_quality_is_the_share_that_is_good(stage):
    model, rows = model_of(learned_model(made_rows(), stage)), made_rows(seed=1)
    values = np.array([model(rows.of(row, stage)).value for row in range(len(rows))])
    good = rows.error[:, 0] < 4
    for low, high in ((0.0, 0.2), (0.2, 0.6), (0.6, 0.9), (0.9, 1.0)):
        chosen = (values >= low) & (values < high)
        if chosen.sum() > 100:
            assert good[chosen].mean() == pytest.approx(values[chosen].mean(), abs=0.07)
    assert values[good].mean() > values[~good].mean() + 0.3


def test_what_was_never_measured_is_no_term():
    assert "face_px" not in learned_model(made_rows(400), "fitted")["terms"]


def test_rows_are_kept(tmp_path):
    rows = made_rows(12)
    save_rows(rows, tmp_path / "rows.npz")
    back = load_rows(tmp_path / "rows.npz")
    assert back.tried == 12
    assert back.kind.tolist() == rows.kind.tolist()
    assert np.array_equal(back.measures, rows.measures, equal_nan=True)
    assert isinstance(back.of(3, "fitted"), QualityMeasures)
    assert len(rows.where(rows.group == "none")) == 3
    assert len(rows.with_more(back)) == 24


def test_a_finished_run_looks_at_nothing_again(tmp_path):
    save_rows(made_rows(5), tmp_path / "rows.npz")
    rows = rows_of(iter(range(5)), lambda: pytest.fail("loaded"), tmp_path / "rows.npz")
    assert rows.tried == 5


def test_no_samples(tmp_path):
    with pytest.raises(ValueError, match="no samples"):
        rows_of(iter(()), lambda: None, None)


@pytest.mark.parametrize("way", SPOILT)
def test_a_spoilt_picture_keeps_its_points(way):
    """A white square among gray is where its corners are said to be."""
    picture = np.full((288, 288, 3), 40, np.uint8)
    picture[150:170, 110:130] = 250
    points = np.tile(np.float32([[120, 160], [60, 60], [230, 240]]), (156, 1))
    spoilt, moved = spoil(way, picture, points, np.random.default_rng(3))
    assert spoilt.dtype == np.uint8
    assert moved.shape == points.shape
    if way in ("rolled", "small"):
        x, y = np.floor(moved[0]).astype(int)
        assert spoilt[y, x].mean() > 100
    elif way == "cut":
        assert spoilt.shape != picture.shape
    else:
        assert np.array_equal(moved, points)


def test_faceless_pictures_come_by_kind(tmp_path):
    from PIL import Image

    for name in ("cats/a.png", "cats/b.png", "clocks/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save_picture(Image.new("RGB", (80, 60), (10, 200, 30)), tmp_path / name)
    samples = list(faceless_samples(tmp_path, 2, held_out=True))
    assert [sample.kind for sample in samples] == ["cats", "clocks"]
    assert all(sample.truth is None and sample.held_out for sample in samples)
    box = mistaken_detection(samples[0].picture).box
    assert (box[2:] > box[:2]).all()


def test_a_folder_without_pictures(tmp_path):
    with pytest.raises(FileError, match="holds no pictures"):
        list(faceless_samples(tmp_path, 2, held_out=False))
