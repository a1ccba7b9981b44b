import math
from dataclasses import replace

import numpy as np
import pytest

from gcnface.evaluation.identity_networks import facenet
from gcnface.evaluation.methods import build_method
from gcnface.evaluation.metrics import l1_metric, psnr_metric, ssim_metric
from gcnface.evaluation.photo_evaluator import PhotoEvaluator, head_yaw_deg, textured_truth
from gcnface.evaluation.records import PHOTO_ITSELF, Measured, MethodResult, Metric, averaged
from gcnface.evaluation.rendering import HeadRenderer
from gcnface.options import PictureOptions
from gcnface.photo.parsing import PARSING_CLASSES
from gcnface.stages.observation import FACE_CLASSES

PICTURE_METRICS = {"l1": l1_metric(), "psnr": psnr_metric(), "ssim": ssim_metric()}


@pytest.fixture(scope="module")
def evaluate_photo(reconstructor):
    def run(photo, methods, **settings):
        networks = {"facenet": facenet(reconstructor.stages.facenet)}
        built = {name: method or build_method(reconstructor, name) for name, method in methods.items()}
        chosen = PictureOptions(yaws=(30.0,), **settings)
        return PhotoEvaluator(reconstructor, built, networks, PICTURE_METRICS, chosen, warm_up=False)(photo)

    return run


@pytest.fixture(scope="module")
def two(evaluate_photo, portrait):
    return evaluate_photo(portrait, {"coarse": None, "projected": None})


def of(evaluated, method):
    return {m.label: value for who, m, value in evaluated.measured if who == method and m.metric != "seconds"}


def test_a_row_does_not_depend_on_the_other_rows(two, evaluate_photo, portrait):
    alone = of(evaluate_photo(portrait, {"projected": None}, mirrored=False), "projected")
    assert alone == pytest.approx({name: of(two, "projected")[name] for name in alone}, abs=1e-4)


def test_one_mask_for_all_inside_the_head_and_the_face(two, reconstructor):
    labels = two.fitted.view.classes[0].argmax(0).numpy()
    face = np.isin(labels, [PARSING_CLASSES.index(name) for name in FACE_CLASSES])
    assert (two.mask <= two.drawings["coarse"][0.0].mask).all()
    assert (two.mask & face).sum() > 0.97 * two.mask.sum() > 5000
    assert np.array_equal(two.drawings["coarse"][0.0].mask, two.drawings["projected"][0.0].mask)


def test_a_black_face_is_as_far_from_the_photo_as_black(evaluate_photo, portrait, reconstructor):
    def black(fitted):
        shading = fitted.view.shading[0]
        return MethodResult(shading * 0, shading)

    found = evaluate_photo(portrait, {"coarse": black}, mirrored=False)
    inside = found.photo[found.mask]
    assert of(found, "coarse")["l1_face"] == pytest.approx(inside.mean(), rel=1e-4)
    assert of(found, "coarse")["psnr_face"] == pytest.approx(-10 * np.log10((inside**2).mean()), abs=1e-3)


def test_a_mirrored_face_gives_the_mirrored_metrics(two, evaluate_photo, portrait):
    rotated = evaluate_photo(np.ascontiguousarray(portrait[:, ::-1]), {"coarse": None, "projected": None})
    assert head_yaw_deg(rotated.fitted) == pytest.approx(-head_yaw_deg(two.fitted), abs=5)
    for method in ("coarse", "projected"):
        one, other = of(two, method), of(rotated, method)
        assert one["psnr_face"] == pytest.approx(other["psnr_face"], abs=1.5)
        assert one["psnr_mirrored"] == pytest.approx(other["psnr_mirrored"], abs=0.5)


def test_metrics_of_the_photo(two):
    own = of(two, PHOTO_ITSELF)
    assert own["glasses_share"] < 0.01
    assert own["skin_angle_photo"] > 20
    assert 0.3 < own["seen_share"] < 1
    assert 0.9 < own["cosine_facenet_mirror"] < 1


def test_both_sides_of_a_turn_are_averaged():
    pasted, turned = Metric("cosine", "pasted_head", network="net"), Metric("cosine", "turned", 30.0, "net")
    both = [("a", turned, 0.2), ("b", turned, math.nan), ("a", turned, 0.4), ("c", turned, math.nan), ("b", turned, 1)]
    found = averaged(Measured(*one) for one in [("a", pasted, 0.9), *both])
    assert [(m.method, m.metric) for m in found] == [("a", pasted), ("a", turned), ("b", turned), ("c", turned)]
    assert [m.value for m in found] == pytest.approx([0.9, 0.3, 1, math.nan], nan_ok=True)


def test_what_protocols_draw_is_not_computed_again(two, reconstructor, monkeypatch):
    ours = MethodResult(*[two.results["coarse"].albedo] * 2)
    assert textured_truth(reconstructor, replace(two, results={"ours": ours})) is ours
    monkeypatch.setattr("gcnface.evaluation.photo_evaluator.build_method", lambda r: lambda fitted: fitted)
    assert textured_truth(reconstructor, two) is two.fitted


def test_turned_heads_are_drawn_at_the_size_asked_for(reconstructor, fitted, two):
    assert two.drawings["coarse"][-30.0].picture.shape == (224, 224, 3)
    assert HeadRenderer(reconstructor.model, 96).frame(fitted.view.coarse, 30.0).mask.shape == (96, 96)
