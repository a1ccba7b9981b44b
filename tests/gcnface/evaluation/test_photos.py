import numpy as np
import pytest

from gcnface.evaluation.identity import FaceNetIdentity
from gcnface.evaluation.methods import METHODS
from gcnface.evaluation.photos import PHOTO_ITSELF, Measured, PhotoEvaluator, Protocol, _summed, head_yaw_deg
from gcnface.evaluation.records import MethodResult
from gcnface.evaluation.rendering import HeadRenderer
from gcnface.photo.parsing import PARSING_CLASSES
from gcnface.stages.observation import FACE_CLASSES

UNTIMED = ("seconds", "seconds_whole")


@pytest.fixture(scope="module")
def examine(reconstructor):
    def run(photo, methods, **protocol):
        networks = [FaceNetIdentity(reconstructor.facenet)]
        built = {name: method or METHODS[name].build(reconstructor) for name, method in methods.items()}
        return PhotoEvaluator(reconstructor, built, networks, Protocol(yaws_deg=(30.0,), warm_up=False, **protocol))(
            photo
        )

    return run


@pytest.fixture(scope="module")
def two(examine, portrait):
    return examine(portrait, {"coarse": None, "projected": None})


def of(examined, method):
    return {name: value for m, name, value in examined.figures if m == method and name not in UNTIMED}


def test_a_row_does_not_depend_on_the_other_rows(two, examine, portrait):
    alone = of(examine(portrait, {"projected": None}, mirrored=False), "projected")
    assert alone == pytest.approx({name: of(two, "projected")[name] for name in alone}, abs=1e-4)


def test_one_mask_for_all_inside_the_head_and_the_face(two, reconstructor):
    labels = two.seen.view.classes[0].argmax(0).numpy()
    face = np.isin(labels, [PARSING_CLASSES.index(name) for name in FACE_CLASSES])
    assert (two.mask <= two.drawings["coarse"][0.0].mask).all()
    assert (two.mask & face).sum() > 0.97 * two.mask.sum() > 5000
    assert np.array_equal(two.drawings["coarse"][0.0].mask, two.drawings["projected"][0.0].mask)


def test_a_black_face_is_as_far_from_the_photo_as_black(examine, portrait, reconstructor):
    def black(seen):
        shading = seen.view.shading[0]
        return MethodResult(shading * 0, shading)

    found = examine(portrait, {"coarse": black}, mirrored=False)
    inside = found.photo[found.mask]
    assert of(found, "coarse")["l1"] == pytest.approx(inside.mean(), rel=1e-4)
    assert of(found, "coarse")["psnr_face"] == pytest.approx(-10 * np.log10((inside**2).mean()), abs=1e-3)


def test_a_mirrored_face_gives_the_mirrored_figures(two, examine, portrait):
    rotated = examine(np.ascontiguousarray(portrait[:, ::-1]), {"coarse": None, "projected": None})
    assert head_yaw_deg(rotated.seen) == pytest.approx(-head_yaw_deg(two.seen), abs=5)
    for method in ("coarse", "projected"):
        one, other = of(two, method), of(rotated, method)
        assert one["psnr_face"] == pytest.approx(other["psnr_face"], abs=1.5)
        assert one["mirrored_psnr"] == pytest.approx(other["mirrored_psnr"], abs=0.5)


def test_figures_of_the_photo(two):
    own = of(two, PHOTO_ITSELF)
    assert own["glasses_share"] < 0.01
    assert own["skin_angle_photo"] > 20
    assert 0.3 < own["seen_share"] < 1
    assert 0.9 < own["facenet_mirror"] < 1


def test_both_sides_of_a_turn_are_averaged():
    asked = [Measured("a", "front", 1.0), Measured("a", "yaw30", 0.5), Measured("a", "yaw30", 0.5)]
    found = _summed("net", asked, np.array([0.9, 0.2, 0.4], np.float32))
    assert [(m.name, round(m.value, 6)) for m in found] == [("net_front", 0.9), ("net_yaw30", 0.3)]


def test_turned_heads_are_drawn_at_the_size_asked_for(reconstructor, seen, two):
    assert two.drawings["coarse"][-30.0].picture.shape == (224, 224, 3)
    assert HeadRenderer(reconstructor.model, 96).frame(seen.view.coarse, 30.0).mask.shape == (96, 96)
