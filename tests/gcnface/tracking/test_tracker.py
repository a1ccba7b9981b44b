import numpy as np
import pytest

from gcnface.options import TrackerOptions
from gcnface.tracking.finding import FrameFinder
from gcnface.tracking.tracker import MOST_FACES, REPORTED_S, SEARCH_EVERY, Tracker
from tests.gcnface.tracking.known_video import FOV_DEG, FPS, HW, Scene, frame, state


class KnownFinder(FrameFinder):
    """Tells the scene which frame is looked at."""

    def __init__(self, scene):
        super().__init__(scene)
        self.scene = scene

    def find(self, pixels):
        from tests.gcnface.tracking.known_video import number_of

        self.scene.last = number_of(pixels)
        return self.scene.detect(pixels)


def tracker_of(scene, **options):
    tracker = Tracker(TrackerOptions(fov=FOV_DEG, **options), detector=scene, reader=scene)
    tracker.finder = KnownFinder(scene)
    return tracker


def told(scene, count, **options):
    """What is told of each frame, and the tracker."""
    tracker = tracker_of(scene, **options)
    return [tracker(frame(k), k / FPS) for k in range(count)], tracker


def test_a_face_has_one_id_its_pose_and_its_blendshapes():
    told_of, tracker = told(Scene([lambda k: state(2.0 * k - 20, 0.8 * k - 12, 0.5)]), 30)
    assert {face.id for faces in told_of for face in faces} == {1}
    last = told_of[-1][0]
    assert last.found
    assert last.frame == 29
    assert last.seconds == pytest.approx(29 / FPS)
    assert last.euler_deg[0] == pytest.approx(0.8 * 29 - 12, abs=1.5)
    assert last.translation == pytest.approx((38, 0, 900), abs=6)
    assert last.blendshapes["jawOpen"] == pytest.approx(0.5, abs=0.08)
    assert last.landmarks468.shape == (468, 3)
    assert last.landmarks68.shape == (68, 3)
    assert "found" in repr(last)


def test_the_detector_looks_seldom_while_a_face_is_held():
    scene = Scene([lambda k: state()])
    told(scene, 2 * SEARCH_EVERY + 1)
    assert scene.calls["detect"] == 3
    assert scene.calls["look"] < 2 * SEARCH_EVERY + 6


def test_a_face_that_was_lost_is_told_so_and_found_again_with_its_id():
    scene = Scene([lambda k: None if 20 <= k < 40 else state(0 if k < 20 else 40)])
    told_of, _ = told(scene, 60)
    assert [face.found for face in told_of[19]] == [True]
    assert [face.found for face in told_of[20]] == [False]
    assert np.allclose(told_of[25][0].landmarks468, told_of[19][0].landmarks468)
    assert told_of[30][0].seconds == pytest.approx(30 / FPS)
    assert [(face.id, face.found) for face in told_of[45]] == [(1, True)]


def test_a_face_is_told_of_as_lost_for_a_while_only():
    told_of, _ = told(Scene([lambda k: state() if k < 5 else None]), int(FPS * (REPORTED_S + 1)))
    assert len(told_of[10]) == 1
    assert told_of[-1] == []


def test_another_person_in_the_same_place_has_another_id():
    people = [lambda k: state() if k < 20 else None, lambda k: state() if k >= 26 else None]
    told_of, _ = told(Scene(people), 60)
    assert {face.id for face in told_of[10]} == {1}
    assert {face.id for face in told_of[-1] if face.found} == {2}


def test_a_person_who_takes_the_place_without_a_gap_is_noticed():
    people = [lambda k: state() if k < 20 else None, lambda k: state() if k >= 20 else None]
    told_of, _ = told(Scene(people), 80)
    assert {face.id for face in told_of[-1] if face.found} == {2}


def test_two_faces_that_cross_keep_their_ids():
    near, far = (lambda k: state(4.0 * k - 120, z_mm=800)), (lambda k: state(120 - 4.0 * k, z_mm=1000))
    told_of, tracker = told(Scene([near, far]), 62, all_faces=True)
    left, right = sorted(told_of[2], key=lambda face: face.translation[0])
    after = {face.id: face for face in told_of[-1] if face.found}
    assert len(tracker.persons) == 2
    assert set(after) == {1, 2}
    assert after[left.id].translation[0] > 60
    assert after[right.id].translation[0] < -60


def test_one_face_is_followed_unless_all_are_asked_for():
    scene = Scene([lambda k: state(-70), lambda k: state(70)])
    assert len(told(scene, 20)[0][-1]) == 1
    assert len(told(scene, 20, all_faces=True)[0][-1]) == 2
    assert MOST_FACES >= 2


def test_memory_does_not_grow_with_the_video():
    _, tracker = told(Scene([lambda k: state(20 * np.sin(k / 9), 35 * np.sin(k / 30))]), 250)
    person = tracker.persons[0]
    kept = [k for frames in person.key_frames._bins.values() for k in frames]
    assert 2 <= len(kept) <= 2 * len(person.key_frames._bins) <= 20
    assert max(max(k.pixels.shape) for k in kept) <= 768
    assert person.log.count == len(person.frames) == 250
    assert not any(np.shares_memory(k.pixels, frame(0)) for k in kept)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.zeros((240, 320), np.uint8), "expected .H, W, 3."),
        (np.zeros((240, 320, 4), np.uint8), "expected .H, W, 3."),
        (np.zeros((8, 8, 3), np.uint8), "32 px or more"),
        (np.zeros((240, 320, 3), np.int64), "expected uint8"),
    ],
)
def test_frames_that_are_none(bad, words):
    with pytest.raises(ValueError, match=words):
        tracker_of(Scene([]))(bad)


def test_frames_are_of_one_size_and_times_go_on():
    tracker = tracker_of(Scene([]))
    assert tracker(frame(0)) == []
    assert tracker(frame(1).astype(np.float32) / 255) == []
    with pytest.raises(ValueError, match="one size"):
        tracker(np.zeros((HW[0], HW[1] + 2, 3), np.uint8))
    with pytest.raises(ValueError, match="expected a time after"):
        tracker(frame(2), seconds=0.0)
    with pytest.raises(ValueError, match="expected a time after"):
        tracker(frame(2), seconds=float("nan"))


def test_frames_stay_as_they_are():
    pixels = frame(0)
    before = pixels.copy()
    told_of = tracker_of(Scene([lambda k: state()]))(pixels)
    assert len(told_of) == 1
    assert (pixels == before).all()


def test_the_camera_is_as_wide_as_asked_for_or_sees_the_first_face_at_a_metre():
    scene = Scene([lambda k: state()])
    assert tracker_of(scene).camera is None
    tracker = told(scene, 1)[1]
    assert 2 * np.degrees(np.arctan(160 / tracker.camera.focal_px)) == pytest.approx(FOV_DEG)
    guessed = Tracker(detector=scene, reader=scene)
    guessed.finder = KnownFinder(scene)
    assert guessed(frame(0))[0].translation[2] == pytest.approx(1100, abs=120)
