"""The end of a video: fitted again, smooth without lag; and the command, with heads that are known."""

import signal
import threading

import cv2
import numpy as np
import pytest

from gcnface import cli
from gcnface.errors import NoFaceError
from gcnface.options import TrackerOptions
from gcnface.tracking import command, finishing
from gcnface.tracking.finishing import KnownFaces, finished
from gcnface.tracking.overlay import overlay
from gcnface.tracking.tracker import Tracker
from tests.gcnface.results import make_head
from tests.gcnface.tracking.known_video import FOV_DEG, FPS, HW, Scene, frame, state
from tests.gcnface.tracking.test_tracker import KnownFinder, told


@pytest.fixture
def made_face(monkeypatch):
    """The texture is not what is tested: a made-up head of the identity that the scenes have."""
    face = make_head()
    whole = make_head(identity=np.zeros_like(face.identity))
    monkeypatch.setattr(finishing, "textured_face", lambda *about: whole)
    return whole


def test_the_track_has_what_was_true_and_does_not_lag(made_face):
    yaws = 25 * np.sin(np.arange(60) / 8)
    scene = Scene([lambda k: state(yaw_deg=yaws[k], jaw=0.4 + 0.3 * np.sin(k / 5))], noise_px=0.2)
    live, tracker = told(scene, 60)
    track = finished(tracker, "a.mp4")[0]
    assert track.frames.tolist() == list(range(60))
    found = track.euler_deg[:, 0]
    assert np.abs(found - yaws)[5:-5].mean() < 1.0
    lags = [np.abs(np.roll(found, -lag) - yaws)[8:-8].mean() for lag in (-1, 0, 1)]
    assert np.argmin(lags) == 1
    jaw = track.expression[:, track.names.index("jawOpen")]
    assert np.corrcoef(jaw, [0.4 + 0.3 * np.sin(k / 5) for k in range(60)])[0, 1] > 0.97
    assert ((track.rotation[1:] * track.rotation[:-1]).sum(1) > 0.9).all()
    assert track.landmarks468.shape == (60, 468, 3)
    jitter_live = np.diff([faces[0].landmarks468[:, 0] for faces in live], 2, axis=0)[5:].std()
    assert np.diff(track.landmarks468[:, :, 0], 2, axis=0)[5:].std() < jitter_live


def test_those_seen_longest_come_first(made_face):
    people = [lambda k: state(-70) if k < 20 else None, lambda k: state(70)]
    _, tracker = told(Scene(people), 50, all_faces=True)
    tracks = finished(tracker, "a.mp4")
    assert [len(track.frames) for track in tracks] == sorted((len(t.frames) for t in tracks), reverse=True)
    assert len(tracks) == 2
    assert tracks[0].id != tracks[1].id
    _, tracker = told(Scene(people), 50)
    assert len(finished(tracker, "a.mp4")) == 1


def test_a_video_without_a_face_is_told_of_by_its_name():
    _, tracker = told(Scene([]), 10)
    with pytest.raises(NoFaceError, match=r"a\.mp4: shows no face that can be followed"):
        tracker.finish("a.mp4")


def test_known_faces_are_found_in_their_photos_alone():
    photo, other = np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 3), np.float32)
    known = KnownFaces([(photo, "face")])
    assert known.detect(photo) == ["face"]
    assert known.detect(other) == []


def test_the_overlay_draws_on_a_copy():
    scene = Scene([lambda k: state() if k < 3 else None])
    faces, tracker = told(scene, 5)
    pixels = frame(0)
    drawn = overlay(pixels, faces[0], tracker.camera)
    assert drawn.shape == pixels.shape
    assert (pixels == frame(0)).all()
    assert (drawn != pixels).any(2).sum() > 200
    lost = overlay(pixels, faces[4], tracker.camera)
    assert (lost[..., 0].astype(int) - lost[..., 2] > 100).sum() > 100  # an orange box
    large = overlay(np.zeros((1600, 3200, 3), np.uint8), [], None)
    assert large.shape == (640, 1280, 3)


@pytest.fixture
def known_tracker(monkeypatch, made_face):
    """Commands follow a head that is seen in the frames that are not black."""

    def make(scene):
        class Known(Tracker):
            def __init__(self, options):
                super().__init__(TrackerOptions(fov=FOV_DEG, all_faces=options.all_faces), detector=scene, reader=scene)
                self.finder = KnownFinder(scene)

            def __call__(self, pixels, seconds=None):
                return super().__call__(frame(self.frame + 1), seconds)  # codecs keep no numbers

        monkeypatch.setattr(command, "Tracker", Known)

    return make


def write(path, count=20):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, HW[::-1])
    for k in range(count):
        writer.write(frame(k))
    writer.release()
    return path


def test_the_command_writes_all_files(known_tracker, tmp_path, capsys):
    known_tracker(Scene([lambda k: state(yaw_deg=k)]))
    video = write(tmp_path / "clip.mp4")
    assert cli.main(["track", str(video), "-o", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "clip.csv",
        "clip.glb",
        "clip.npz",
        "clip_overlay.mp4",
    ]
    line = capsys.readouterr().out
    assert "face 1 in 20 of 20 frames" in line
    reader = cv2.VideoCapture(str(tmp_path / "out" / "clip_overlay.mp4"))
    assert round(reader.get(cv2.CAP_PROP_FRAME_COUNT)) == 20
    reader.release()


def test_several_faces_have_files_of_their_own(known_tracker, tmp_path):
    known_tracker(Scene([lambda k: state(-70), lambda k: state(70)]))
    words = ["track", str(write(tmp_path / "a.mp4")), "-o", str(tmp_path / "out"), "--all-faces", "-q"]
    assert cli.main([*words, "--formats", "csv", "--seconds", "0.4"]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.csv", "a_face2.csv"]
    assert len((tmp_path / "out" / "a.csv").read_text().splitlines()) == 1 + 13


def test_a_video_without_a_face_leaves_nothing(known_tracker, tmp_path, capsys):
    known_tracker(Scene([]))
    assert cli.main(["track", str(write(tmp_path / "a.mp4")), "-o", str(tmp_path / "out")]) == 1
    assert "shows no face that can be followed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_interrupt_of_a_file_leaves_nothing(known_tracker, tmp_path):
    def person(k):
        if k == 10:
            signal.raise_signal(signal.SIGINT)
        return state()

    known_tracker(Scene([person]))
    assert cli.main(["track", str(write(tmp_path / "a.mp4")), "-o", str(tmp_path / "out")]) == 130
    assert not (tmp_path / "out").exists()


def test_an_interrupt_of_a_camera_ends_the_recording(known_tracker, tmp_path, monkeypatch):
    assert threading.current_thread() is threading.main_thread()

    def person(k):
        if k == 10:
            signal.raise_signal(signal.SIGINT)
        return state()

    class Camera:
        def __init__(self, *about):
            self.isOpened = lambda: True
            self.release = lambda: None
            self.get = lambda what: 30.0
            self.read = lambda: (True, frame(0))

    known_tracker(Scene([person]))
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    assert cli.main(["track", "0", "-o", str(tmp_path / "out"), "--formats", "csv", "-q"]) == 0
    assert len((tmp_path / "out" / "camera0.csv").read_text().splitlines()) == 1 + 11
