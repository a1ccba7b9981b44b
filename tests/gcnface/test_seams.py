"""A detector, a regressor and a face model from elsewhere."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import gcnface
from benchmarks import measures
from coarse.coefficients import Coefficients
from coarse.face_model import load_face_model
from coarse.morphable import layout_of
from coarse.regressor import load_regressor
from gcnface.dense.aligner import DenseAligner
from gcnface.dense.flattener import Flattener
from gcnface.multi_photo import PersonReconstructor
from gcnface.options import ReconstructionOptions
from gcnface.photo.detection import Detection, make_detector
from gcnface.photo.input import NamedPhoto
from gcnface.photo.registry import DETECTORS
from gcnface.result.editing import ExpressionError
from tests.coarse.variants import front_model

OPTIONS = ReconstructionOptions(texture_size=256)


class FixedBox:
    """Says the same of every photo."""

    def __init__(self, *found):
        self.found = list(found)

    def detect(self, photo):
        return self.found


class Translated:
    """The shipped regressor's answer in the coefficients of the front model, whose bases are some of the shipped."""

    def __init__(self, model):
        shipped = load_face_model()
        self.there, self.here = layout_of(shipped), layout_of(model)
        self.network = load_regressor(self.there)

    def __call__(self, crops):
        c = self.there.decode(self.network(crops))
        identity, expression = c.identity[:, : self.here.identity], c.expression[:, : self.here.expression]
        albedo = crops.new_zeros(len(crops), self.here.albedo)
        return self.here.encode(Coefficients(identity, expression, albedo, c.rotation, c.translation, c.lighting))


@pytest.fixture(scope="module")
def shipped(portrait_photo):
    return gcnface.Reconstructor(OPTIONS)(portrait_photo)[0]


@pytest.fixture(scope="module")
def portrait_photo():
    return gcnface.read_photo(Path(__file__).parents[2] / "examples" / "portrait.jpg")


@pytest.fixture(scope="module")
def front():
    return front_model(1)


@pytest.fixture(scope="module")
def reconstructor(front):
    return gcnface.Reconstructor(OPTIONS, model=front, regressor=Translated(front))


@pytest.fixture(scope="module")
def face(reconstructor, portrait_photo):
    return reconstructor(portrait_photo)[0]


@pytest.mark.slow
def test_a_face_of_another_model_looks_like_the_photo(face, shipped, front, portrait_photo, tmp_path):
    assert face.mesh.vertices.shape == front.mean.shape
    between_eyes = np.linalg.norm(shipped.landmarks68[36, :2] - shipped.landmarks68[45, :2])
    away = np.linalg.norm(face.landmarks68[17:, :2] - shipped.landmarks68[17:, :2], axis=1) / between_eyes
    assert away.mean() < 0.04
    drawn = measures.draw(face, face.vertex_rgb, portrait_photo.shape[:2])
    x0, y0, x1, y1 = np.concatenate([face.landmarks68[17:, :2].min(0), face.landmarks68[17:, :2].max(0)]).astype(int)
    error = (drawn.picture - portrait_photo)[y0:y1, x0:x1]
    assert drawn.mask[y0:y1, x0:x1].mean() > 0.98
    assert np.sqrt(np.mean(error**2)) < 0.05
    assert face.save(tmp_path / "front.glb")[0].stat().st_size > 100_000
    assert "none for this face model" in face.provenance["refiner"]
    assert face.provenance["face_model"] == "front"


def test_such_a_face_can_be_changed_saved_and_read(face, front, tmp_path):
    assert [target.name for target in face.mesh.morph_targets] == list(front.expression_names)
    face.save(tmp_path / "front.npz")
    again = gcnface.load(tmp_path / "front.npz")
    moved = again.neutral().mesh.vertices - again.mesh.vertices
    assert 0.1 < np.abs(moved).max() < 30
    with pytest.raises(ExpressionError, match="made with the face model front 00000000"):
        replace(again, face_model="front 00000000").neutral()


def test_several_photos_with_another_model(reconstructor, portrait_photo, front):
    mirrored = np.ascontiguousarray(portrait_photo[:, ::-1])
    found = PersonReconstructor(reconstructor)([NamedPhoto(x, Path("a.jpg")) for x in (portrait_photo, mirrored)])
    assert found.mesh.vertices.shape == front.mean.shape


def test_what_must_be_handed_in_is_said(front):
    with pytest.raises(ValueError, match=r"'front' is not the shipped one: hand in regressor=, .* \(B, 86\)"):
        gcnface.Reconstructor(model=front)
    with pytest.raises(ValueError, match="no refiner to adapt: leave adapt out"):
        gcnface.Reconstructor(replace(OPTIONS, adapt=3), model=front, regressor=Translated(front))
    short = replace(front, levels=front.levels[:1])
    with pytest.raises(ValueError, match="its pyramid has 1 levels; give it 5 or more"):
        gcnface.Reconstructor(model=short, regressor=Translated(front))


def test_a_detector_is_plugged_in(portrait_photo, shipped):
    found = make_detector().detect(portrait_photo)[0]
    twice = FixedBox(found, found.moved(3, 0))
    faces = gcnface.Reconstructor(replace(OPTIONS, all_faces=True), detector=twice)(portrait_photo)
    assert len(faces) == 2
    np.testing.assert_array_equal(faces[0].mesh.vertices, shipped.mesh.vertices)
    assert not np.array_equal(faces[1].landmarks468, faces[0].landmarks468)
    assert gcnface.Reconstructor(OPTIONS, detector=FixedBox())(portrait_photo) == []
    assert len(DenseAligner(detector=FixedBox(found), texture_size=64)(portrait_photo)) == 1
    assert Flattener(size=64, detector=FixedBox(found))(portrait_photo).mask.any()
    with pytest.raises(gcnface.NoFaceError):
        Flattener(size=64, detector=FixedBox())(portrait_photo)


def test_a_row_adds_a_detector(monkeypatch):
    monkeypatch.setitem(DETECTORS, "box", f"{__name__}:FixedBox")
    assert isinstance(make_detector("box"), FixedBox)
    with pytest.raises(ValueError, match="'dots' is no detector; choose one of joint, yunet, mtcnn, box"):
        make_detector("dots")


def test_a_custom_regressor_answers_for_the_shipped_model(portrait_photo, shipped):
    network = load_regressor(layout_of(load_face_model()))
    found = gcnface.Reconstructor(OPTIONS, regressor=lambda crops: network(crops))(portrait_photo)[0]
    np.testing.assert_allclose(found.mesh.vertices, shipped.mesh.vertices, atol=1e-3)
    neutral = gcnface.Reconstructor(
        replace(OPTIONS, fit=False), regressor=lambda crops: torch.zeros(len(crops), network.layout.total)
    )(portrait_photo)[0]
    assert not neutral.identity.any()


def test_a_detection_is_a_record():
    one = Detection(np.float32([0, 0, 2, 3]), 1.0, np.zeros((5, 2), np.float32))
    assert one.moved(1, 2).box.tolist() == [1, 2, 3, 5]
    assert one.area == 6
