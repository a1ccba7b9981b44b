"""Aligning by dense points: wrong points lead to the right crop, sure ones are kept, photos may lie as they like."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from coarse.face_model import load_face_model
from coarse.position_map import mirrored_maps
from gcnface.photo.crop import WINDOW_FROM_CROP, align_face, head_similarity, warp_image, warp_points
from gcnface.photo.detection import Detection
from gcnface.stages.alignment import MOST_LOOKS, FaceAligner, load_face_aligner
from gcnface.stages.first_crops import points_crop
from gcnface.stages.looks import Viewer, crop_distance_px
from gcnface.training.crops import mirror468
from tests.gcnface.dense_stub import PHOTO_HW, Head, shared_model
from tests.gcnface.stages.known_view import KnownViewer

PHOTO = np.full((*PHOTO_HW, 3), 0.4, np.float32)
FRONTAL = Head(0, 0, 0, 1.2, (280.0, 210.0, 0.0))
PROFILE = Head(80, 0, 0, 1.2, (280.0, 210.0, 0.0))
ROLLED = Head(0, 0, 150, 1.2, (280.0, 210.0, 0.0))
WRONG = {
    "swapped eyes": lambda points: points[[1, 0, 2, 3, 4]],
    "mirrored": lambda points: points[[1, 0, 2, 4, 3]],
    "on a line": lambda points: points * (0.0, 1.0) + points.mean(0) * (1.0, 0.0),
    "turned by 90": lambda points: (points - points.mean(0)) @ np.array([[0, 1], [-1, 0]]) + points.mean(0),
    "one place": lambda points: np.repeat(points.mean(0)[None], 5, axis=0),
    "far away": lambda points: points + 90,
}


def known(head, **options):
    """A viewer that knows a head, and what a detector that makes no mistakes says of it."""
    viewer = KnownViewer(head, np.eye(3), **options)
    five = head.in_photo(viewer.head.five)
    viewer.right_crop = head_similarity(five, np.diag([1.0, -1, -1]) @ head.rotation)
    around = head.in_photo(viewer.head.outline)[:, :2]
    box = np.concatenate([around.min(0), around.max(0)]).astype(np.float32)
    return viewer, Detection(box, 0.99, five[:, :2].astype(np.float32))


def test_sure_points_are_kept_after_one_look():
    viewer, face = known(FRONTAL)
    found = FaceAligner(viewer)(PHOTO, face)
    assert viewer.calls == [["points"]]
    assert (found.looks, found.origin) == (1, "points")
    np.testing.assert_array_equal(found.crop.crop_from_photo, points_crop(face))
    np.testing.assert_array_equal(found.crop.image, align_face(PHOTO, face).image)
    assert found.stands
    assert found.score > 0.8


@pytest.mark.parametrize("head", [FRONTAL, PROFILE, ROLLED], ids=["frontal", "profile", "rolled"])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_wrong_points_lead_to_the_right_crop(head, wrong):
    viewer, face = known(head, reach_px=75.0)
    spoilt = replace(face, points5=wrong(face.points5).astype(np.float32), score=0.97)
    found = FaceAligner(viewer)(PHOTO, spoilt)
    assert crop_distance_px(found.crop.crop_from_photo, viewer.right_crop) < 2
    np.testing.assert_array_equal(found.crop.points5, spoilt.points5)
    np.testing.assert_array_equal(found.crop.box, spoilt.box)


@pytest.mark.parametrize("scale", [0.7, 1.4])
@pytest.mark.parametrize("shift", [-0.2, 0.2])
def test_wrong_boxes_lead_to_the_right_crop(scale, shift):
    viewer, face = known(PROFILE)
    middle, half = face.box.reshape(2, 2).mean(0), scale * np.ptp(face.box.reshape(2, 2), axis=0) / 2
    middle = middle + shift * np.sqrt(face.area)
    found = FaceAligner(viewer)(PHOTO, replace(face, box=np.concatenate([middle - half, middle + half])))
    assert crop_distance_px(found.crop.crop_from_photo, viewer.right_crop) < 2


def test_evidence_tells_the_heads_pose_in_the_photo():
    viewer, face = known(ROLLED)
    evidence = FaceAligner(viewer)(PHOTO, face).evidence
    yaw, pitch, roll = evidence.euler_deg
    assert (yaw, pitch) == pytest.approx((0, 0), abs=1)
    assert roll == pytest.approx(150, abs=1)
    assert evidence.misfit_percent < 0.5
    assert evidence.points_percent < 1
    assert evidence.box_percent < 1
    assert evidence.shown == 1
    assert np.isnan(evidence.expected_error_percent)


def test_another_detection_of_the_face_is_looked_at():
    viewer, face = known(ROLLED, reach_px=5.0)  # no box lies there, so that only the rival's points lead to it
    spoilt = replace(face, points5=2 * face.points5.mean(0) - face.points5 + 90)
    assert crop_distance_px(FaceAligner(viewer)(PHOTO, spoilt).crop.crop_from_photo, viewer.right_crop) > 20
    found = FaceAligner(viewer)(PHOTO, spoilt, [face])
    assert found.origin == "rival"
    assert any(len(call) >= 4 for call in viewer.calls)
    assert crop_distance_px(found.crop.crop_from_photo, viewer.right_crop) < 2
    assert found.second_doubt > found.evidence.doubt


@pytest.mark.parametrize(("yaw", "times"), [(20, 0), (-20, 0), (35, 1), (-80, 1)])
def test_turned_heads_are_looked_at_in_the_mirror(yaw, times):
    viewer, face = known(replace(FRONTAL, yaw=yaw))
    found = FaceAligner(viewer)(PHOTO, face)
    assert len(viewer.mirrored) == times
    assert all(torch.equal(found.position_map, look.position_map + 0.5) for look in viewer.mirrored)


def test_a_look_and_its_mirror_image_are_averaged():
    viewer, face = known(FRONTAL)
    (look,) = viewer(PHOTO, face, [("points", points_crop(face))])
    answer = torch.rand(look.position_map.shape)

    def network(windows):
        assert torch.equal(windows, look.window.flip(3))
        return mirrored_maps(answer)

    plain = Viewer(*viewer_parts(), network)
    assert torch.allclose(plain.twice(look), 0.5 * (look.position_map + answer), atol=1e-4)


def viewer_parts():
    """Of a viewer but for its network."""
    model, reader = shared_model()
    return model.landmarks468(model.mean), reader.layout


def test_what_never_stands_is_left_after_some_looks():
    viewer, face = known(FRONTAL, drift_px=8.0)
    found = FaceAligner(viewer)(PHOTO, face)
    assert not found.stands
    assert len(viewer.calls) <= 2 * MOST_LOOKS
    assert np.isfinite(found.crop.crop_from_photo).all()


def test_a_cut_face_with_sure_points_keeps_them():
    viewer, face = known(replace(FRONTAL, place=(40.0, 210.0, 0.0)), drift_px=8.0)
    found = FaceAligner(viewer)(PHOTO, face)
    assert found.evidence.shown < 1
    assert found.looks == 1
    np.testing.assert_array_equal(found.crop.crop_from_photo, points_crop(face))


@pytest.fixture(scope="module")
def shipped():
    return load_face_aligner(load_face_model())


def landmarks(aligner, found):
    """(468, 2) photo px."""
    points = aligner.viewer.layout.landmarks468(found.position_map)[0].numpy()
    return warp_points(points, np.linalg.inv(WINDOW_FROM_CROP @ found.crop.crop_from_photo))[:, :2]


def eye_distance(points):
    return np.linalg.norm(points[33] - points[263])


def turned(photo, degrees, scale):
    """A photo turned about its middle, and the matrix that does it."""
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    matrix = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    side = int(1.5 * scale * max(photo.shape))
    middle = np.array(photo.shape[1::-1]) / 2
    matrix[:2, 2] = side / 2 - matrix[:2, :2] @ middle
    return warp_image(photo, matrix, (side, side)), matrix


@pytest.mark.parametrize(("degrees", "scale"), [(45, 1.0), (135, 1.0), (180, 0.5), (270, 1.0)])
def test_a_turned_photo_has_the_same_face(shipped, portrait, detector, degrees, scale):
    face = detector.detect(portrait)[0]
    truth = landmarks(shipped, shipped(portrait, face))
    picture, matrix = turned(portrait, degrees, scale)
    box = warp_points(face.box.reshape(2, 2).mean(0)[None], matrix)[0]
    half = scale * np.ptp(face.box.reshape(2, 2), axis=0) / 2
    there = Detection(np.concatenate([box - half, box + half]), face.score, warp_points(face.points5, matrix))
    points = landmarks(shipped, shipped(picture, there))
    away = np.linalg.norm(points - warp_points(truth, matrix), axis=1).mean()
    assert away < 0.015 * scale * eye_distance(truth)


def test_a_mirrored_photo_has_the_mirrored_face(shipped, portrait, detector):
    face = detector.detect(portrait)[0]
    truth = landmarks(shipped, shipped(portrait, face))
    mirror = np.array([[-1.0, 0, portrait.shape[1]], [0, 1, 0], [0, 0, 1]])
    box = warp_points(face.box.reshape(2, 2), mirror)
    there = Detection(
        np.concatenate([box.min(0), box.max(0)]), face.score, warp_points(face.points5, mirror)[[1, 0, 2, 4, 3]]
    )
    points = landmarks(shipped, shipped(np.ascontiguousarray(portrait[:, ::-1]), there))[mirror468()]
    assert np.linalg.norm(points - warp_points(truth, mirror), axis=1).mean() < 0.025 * eye_distance(truth)


@pytest.mark.parametrize("wrong", ["swapped eyes", "mirrored", "on a line", "far away"])
def test_wrong_points_in_a_portrait_change_nothing(shipped, portrait, detector, wrong):
    face = detector.detect(portrait)[0]
    truth = landmarks(shipped, shipped(portrait, face))
    spoilt = replace(face, points5=WRONG[wrong](face.points5).astype(np.float32))
    points = landmarks(shipped, shipped(portrait, spoilt))
    assert np.linalg.norm(points - truth, axis=1).mean() < 0.02 * eye_distance(truth)


def test_the_networks_own_trust_is_evidence(shipped, portrait, detector):
    evidence = shipped(portrait, detector.detect(portrait)[0]).evidence
    assert evidence.expected_error_percent > 0
    assert np.isfinite(evidence.face_logit)
