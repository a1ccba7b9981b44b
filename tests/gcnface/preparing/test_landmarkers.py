"""Landmarks in photo px, whatever finds them; networks out of wheels."""

import zipfile

import cv2
import numpy as np
import pytest

from coarse.face_model import LANDMARKS5_FROM_468
from gcnface.errors import WeightsError
from gcnface.preparing.landmarkers import (
    NETWORK_PX,
    MediaPipeLandmarker,
    RegressorLandmarker,
    find_landmarks,
    read_network,
)


class FakeNetwork:
    """Answers with the place of the brightest pixel, and a depth of a tenth of the square."""

    def setInput(self, blob):  # noqa: N802
        assert blob.shape == (1, 3, NETWORK_PX, NETWORK_PX)
        assert blob.max() <= 1
        y, x = np.unravel_index(blob[0, 0].argmax(), blob.shape[2:])
        spread = np.random.default_rng(0).uniform(-60, 60, (468, 3))
        spread[:, 2] = -NETWORK_PX / 10
        self.points = spread + [x + 0.5, y + 0.5, 0]
        self.points[0, :2] = x + 0.5, y + 0.5

    def forward(self, names):
        assert names == ["conv2d_21", "conv2d_31"]
        return self.points.reshape(1, 1404, 1, 1), np.full((1, 1, 1, 1), 20.0)


TFLITE = b"\x1c\0\0\0TFL3network"


@pytest.fixture
def landmarker(monkeypatch, tmp_path):
    monkeypatch.setattr(cv2.dnn, "readNetFromTFLite", lambda path, **options: FakeNetwork())
    (tmp_path / "face_landmark.tflite").write_bytes(TFLITE)
    return MediaPipeLandmarker(tmp_path / "face_landmark.tflite")


@pytest.mark.parametrize("angle", [0.0, 0.6, -1.2])
def test_points_come_back_to_the_photo(landmarker, angle):
    photo = np.zeros((300, 360, 3), np.float32)
    photo[139:142, 199:202] = 1
    across = 40 * np.array([np.cos(angle), np.sin(angle)])
    points5 = np.array([[180, 150] - across, [180, 150] + across, [180, 170], [160, 190], [200, 190]])
    found = landmarker(photo, points5, np.array([110, 80, 250, 220.0]))
    assert np.linalg.norm(found.points[0, :2] - [200.5, 140.5]) < 1
    assert found.score > 0.999
    assert found.points[:, 2].max() < 0
    np.testing.assert_allclose(found.points[:, 2], found.points[0, 2], rtol=1e-5)


def test_depth_grows_with_the_photo(landmarker):
    def depth(scale):
        photo = np.zeros((300 * scale, 300 * scale, 3), np.float32)
        photo[150 * scale, 150 * scale] = 1
        points5 = scale * np.array([[110, 150], [190, 150], [150, 170], [130, 190], [170, 190.0]])
        return landmarker(photo, points5, scale * np.array([80, 80, 220, 220.0])).points[0, 2]

    assert depth(2) / depth(1) == pytest.approx(2, rel=0.05)


def test_the_regressor_finds_the_five_points(detector, portrait):
    found = detector.detect(portrait)[0]
    landmarks = RegressorLandmarker()(portrait, found.points5, found.box)
    five = np.stack([landmarks.points[list(group), :2].mean(0) for group in LANDMARKS5_FROM_468])
    assert np.linalg.norm(five - found.points5, axis=1).mean() < 0.12 * np.linalg.norm(five[0] - five[1])
    assert landmarks.points[:, 2].mean() == pytest.approx(0, abs=1e-3)
    assert landmarks.points[4, 2] < landmarks.points[234, 2], "the nose is nearer than the cheek"


def test_the_network_is_read_out_of_its_wheel(tmp_path):
    (tmp_path / "face_landmark.tflite").write_bytes(TFLITE)
    with zipfile.ZipFile(tmp_path / "mediapipe.whl", "w") as wheel:
        wheel.writestr("mediapipe/modules/face_landmark/face_landmark.tflite", TFLITE)
    assert read_network(tmp_path / "mediapipe.whl") == TFLITE
    names = {find_landmarks(tmp_path / name).name for name in ("mediapipe.whl", "face_landmark.tflite")}
    assert len(names) == 1, "the same network, wherever it lies"


def test_a_wheel_without_it_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as wheel:
        wheel.writestr("other/x", b"")
    with pytest.raises(WeightsError, match=r"other\.whl: holds no landmark network"):
        read_network(tmp_path / "other.whl")
