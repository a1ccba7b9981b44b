"""The whole way on a drawn face, with the shipped weights."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gcnface
from benchmarks import measures
from gcnface.evaluation.metrics import psnr_db
from gcnface.io.images import read_photo
from gcnface.photo.crop import align_face
from gcnface.pipeline import STAGES, Reconstructor

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def reconstructor():
    return Reconstructor()


@pytest.fixture(scope="module")
def photo():
    return read_photo(DATA / "face.jpg")


@pytest.fixture(scope="module")
def face(reconstructor, photo):
    return reconstructor(photo)[0]


@pytest.fixture(scope="module")
def points5(reconstructor, photo):
    return reconstructor.detector.detect(photo)[0].points5


def changed(reconstructor, **options):
    """The same networks with other options."""
    twin = copy.copy(reconstructor)
    twin.options = replace(reconstructor.options, **options)
    twin.stages = copy.copy(reconstructor.stages)
    twin.stages.options = twin.options
    return twin


def face_mask(reconstructor, photo, drawn):
    """Pixels of the photo that the parser calls skin or nose and that the mesh covers, by way of the crop."""
    crop = align_face(photo, reconstructor.detector.detect(photo)[0])
    classes = reconstructor.stages.parser.parse(crop.image[None])[0].argmax(0).numpy()
    height, width = photo.shape[:2]
    y, x = np.mgrid[:height, :width] + 0.5
    place = np.stack([x, y, np.ones_like(x)], -1) @ crop.crop_from_photo.T
    column, row = (np.clip(place[..., k].astype(int), 0, 223) for k in (0, 1))
    return drawn.mask & np.isin(classes[row, column], (1, 5))


def test_refined_face_looks_like_the_photo_and_more_so_than_the_coarse_one(reconstructor, photo, face):
    psnr = {}
    for name, colors in (("coarse", face.vertex_rgb_coarse), ("refined", face.vertex_rgb)):
        drawn = measures.draw(face, colors, photo.shape[:2])
        psnr[name] = psnr_db(drawn.picture, photo, face_mask(reconstructor, photo, drawn))
    assert psnr["refined"] > 27
    assert psnr["refined"] > psnr["coarse"] + 4


def test_identity_survives_the_drawing(photo, face, points5):
    drawn = measures.draw(face, face.vertex_rgb, photo.shape[:2])
    pasted = np.where(drawn.mask[..., None], drawn.picture, photo)
    same = measures.features(photo, points5, None)["facenet"]
    assert float(measures.features(pasted, points5, None)["facenet"] @ same) > 0.7


def test_landmarks_lie_on_the_detected_points(face, points5):
    five = measures.rotated_points5(face, 0.0)
    eye_distance = np.linalg.norm(points5[0] - points5[1])
    assert np.linalg.norm(five - points5, axis=1).max() < 0.2 * eye_distance


def test_landmarks_are_the_projected_points_of_the_mesh(face):
    screen = face.vertices_cam @ face.px_from_cam.T
    low, high = (screen[:, :2] / screen[:, 2:]).min(0), (screen[:, :2] / screen[:, 2:]).max(0)
    assert (face.landmarks468[:, :2] > low).all()
    assert (face.landmarks468[:, :2] < high).all()
    assert face.landmarks468[4, 2] < face.landmarks468[234, 2]


def test_a_mirrored_photo_gives_the_mirrored_pose(reconstructor, photo, face):
    mirrored = reconstructor(np.ascontiguousarray(photo[:, ::-1]))[0]
    assert mirrored.rotation[1] == pytest.approx(-face.rotation[1], abs=0.08)
    assert mirrored.rotation[0] == pytest.approx(face.rotation[0], abs=0.08)


def test_stages_are_told_in_order_and_timed(reconstructor, photo):
    told = []
    timings = reconstructor(photo, on_stage=told.append)[0].timings
    assert told == [stage for stage in STAGES if stage in told]
    assert set(timings) == set(told)
    assert all(seconds >= 0 for seconds in timings.values())


def test_the_same_photo_gives_the_same_face(reconstructor, photo, face):
    again = reconstructor(photo)[0]
    np.testing.assert_allclose(again.vertices_cam, face.vertices_cam, atol=1e-3)
    np.testing.assert_allclose(again.mesh.texture, face.mesh.texture, atol=2 / 255)


def test_a_photo_without_a_face_gives_none(reconstructor):
    assert reconstructor(np.full((300, 300, 3), 0.5, np.float32)) == []


def test_all_faces_of_a_photo(reconstructor, photo):
    pair = np.concatenate([photo, photo[:, ::-1]], axis=1)
    found = changed(reconstructor, all_faces=True)(np.ascontiguousarray(pair))
    assert len(found) == 2
    centers = sorted(face.landmarks468[:, 0].mean() for face in found)
    assert centers[0] < photo.shape[1] < centers[1]


def test_lenses_are_not_painted_onto_skin(reconstructor):
    photo = read_photo(DATA / "glasses.jpg")
    face = reconstructor(photo)[0]
    seen = face.texel_source == 1
    assert 0.2 < seen.sum() / (face.texel_source > 0).sum() < 0.9
    assert (face.texel_source == 3).any()


def test_adaptation_draws_nearer_to_the_photo(photo, reconstructor, face):
    adapted = changed(reconstructor, adapt=4)(photo)[0]
    errors = []
    for result in (face, adapted):
        drawn = measures.draw(result, result.vertex_rgb, photo.shape[:2])
        errors.append(-psnr_db(drawn.picture, photo, face_mask(reconstructor, photo, drawn)))
    assert errors[1] < errors[0] + 0.05


def test_saved_and_loaded_face_is_the_same(face, tmp_path):
    face.save(tmp_path, "face", ("npz",))
    loaded = gcnface.load(tmp_path / "face.npz")
    np.testing.assert_array_equal(loaded.vertices_cam, face.vertices_cam)
    np.testing.assert_array_equal(loaded.mesh.texture, face.mesh.texture)
    assert replace(loaded, photo=None).expression_names == face.expression_names
    assert (loaded.photo_hw, loaded.face_model) == (face.photo.shape[:2], face.provenance["face_model"])
    np.testing.assert_array_equal(loaded.draw(64, view="photo").rgb, face.draw(64, view="photo").rgb)
