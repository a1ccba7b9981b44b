import os

import cv2
import numpy as np
import pytest

from gcnface.errors import OutputError
from gcnface.io import video
from gcnface.io.video import CODECS, write_video


def frames(count=7, hw=(64, 48)):
    """A grey that rises, beside a red field."""
    for k in range(count):
        picture = np.full((*hw, 3), k / count, np.float32)
        picture[:, : hw[1] // 2] = (0.8, 0.1, 0.1)
        yield picture


def read(path):
    reader, found = cv2.VideoCapture(str(path)), []
    while True:
        good, frame = reader.read()
        if not good:
            return found, reader.get(cv2.CAP_PROP_FPS)
        found.append(frame[..., ::-1] / 255)


def test_what_was_written_is_read_back(tmp_path, capfd):
    codec = write_video(tmp_path / "new" / "a.mp4", frames(), 25)
    assert capfd.readouterr() == ("", "")  # FFmpeg has much to say of codecs that it lacks
    found, fps = read(tmp_path / "new" / "a.mp4")
    assert codec in CODECS
    assert fps == pytest.approx(25)
    for seen, meant in zip(found, frames(), strict=True):
        assert seen.shape == meant.shape
        assert np.allclose(seen[:, -12:].mean(), meant[:, -12:].mean(), atol=0.05)
        red = seen[20:40, 5:15].mean((0, 1))
        assert red[0] > 0.6 > 0.3 > red[2]
    assert os.listdir(tmp_path / "new") == ["a.mp4"]


def test_odd_sizes_lose_their_last_row_and_column(tmp_path):
    write_video(tmp_path / "a.mp4", frames(3, (65, 49)), 30)
    assert read(tmp_path / "a.mp4")[0][0].shape == (64, 48, 3)


def test_a_failure_half_way_leaves_nothing(tmp_path):
    def broken():
        yield from frames(3)
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_video(tmp_path / "out" / "a.mp4", broken(), 30)
    assert not list(tmp_path.iterdir())


def test_a_codec_that_is_missing_gives_way_to_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "CODECS", ("none", "mp4v"))
    assert write_video(tmp_path / "a.mp4", frames(), 30) == "mp4v"
    monkeypatch.setattr(video, "CODECS", ("none",))
    with pytest.raises(OutputError, match=r"a.mp4: cannot be written: this OpenCV encodes no"):
        write_video(tmp_path / "b" / "a.mp4", frames(), 30)
    assert not (tmp_path / "b").exists()


def test_a_file_that_cannot_be_read_back_does_not_appear(tmp_path, monkeypatch):
    whole = cv2.VideoCapture

    class Cut:
        def __init__(self, path):
            self.reader, self.left = whole(path), 3
            self.release = self.reader.release

        def read(self):
            self.left -= 1
            return self.reader.read() if self.left >= 0 else (False, None)

    monkeypatch.setattr(video.cv2, "VideoCapture", Cut)
    with pytest.raises(OutputError, match="3 of 7 frames"):
        write_video(tmp_path / "a.mp4", frames(), 30)
    assert not list(tmp_path.iterdir())


def test_arguments(tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        write_video(tmp_path / "a.mp4", [], 30)
    with pytest.raises(ValueError, match="fps is 0"):
        write_video(tmp_path / "a.mp4", frames(), 0)
