import os
import struct

import cv2
import numpy as np
import pytest

from gcnface.errors import VideoError
from gcnface.io import video_input
from gcnface.io.video import quiet_opencv
from gcnface.io.video_input import open_video, read_video
from gcnface.io.video_output import frame_writer

HW = (48, 64)


def picture(k):
    """Brighter from frame to frame, its left half red."""
    found = np.full((*HW, 3), min(20 + 10 * k, 250), np.uint8)
    found[:, :32] = (200, 30, 30)
    return found


def write(path, count=8, fps=25.0):
    with quiet_opencv():
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, HW[::-1])
        for k in range(count):
            writer.write(picture(k)[..., ::-1].copy())
        writer.release()
    return path


def turned(path):
    """The file with the matrix of its track header set to a quarter turn, as phones write it."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 4 + 20 + 16
    assert struct.unpack(">9i", data[place : place + 36])[0] == 0x10000
    data[place : place + 36] = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    path.write_bytes(data)
    return path


def test_frames_and_their_times(tmp_path):
    found = list(read_video(write(tmp_path / "a.mp4")))
    assert [seconds for _, seconds in found] == pytest.approx([k / 25 for k in range(8)], abs=1e-3)
    for k, (pixels, _) in enumerate(found):
        assert pixels.shape == (*HW, 3)
        assert pixels.dtype == np.uint8
        assert pixels[20:28, 8:24].mean((0, 1)) == pytest.approx((200, 30, 30), abs=12)
        assert pixels[20:28, 44:60].mean() == pytest.approx(20 + 10 * k, abs=6)


def test_what_the_file_says_of_itself(tmp_path):
    with open_video(write(tmp_path / "a.mp4")) as video:
        assert (video.fps, video.count, video.is_camera) == (pytest.approx(25), 8, False)


def test_a_video_that_lies_on_its_side_is_turned_upright(tmp_path):
    pixels = next(read_video(turned(write(tmp_path / "a.mp4"))))[0]
    assert pixels.shape == (HW[1], HW[0], 3)
    assert pixels[8:24, 20:28].mean((0, 1)) == pytest.approx((200, 30, 30), abs=12)


def test_times_of_variable_rates_are_kept(tmp_path):
    pytest.importorskip("av")
    times = [0.0, 0.04, 0.3, 0.34, 1.0]
    with frame_writer(tmp_path / "a.mp4", tmp_path / "a.mp4", 25, HW) as writer:
        for k, seconds in enumerate(times):
            writer.write(picture(k), seconds)
    assert [seconds for _, seconds in read_video(tmp_path / "a.mp4")] == pytest.approx(times, abs=2e-3)


def test_times_that_a_file_does_not_tell_are_made(tmp_path, monkeypatch):
    opened = cv2.VideoCapture

    class Timeless:
        """OpenCV's own class does not bear being inherited from: the next garbage collection breaks."""

        def __init__(self, *source):
            self.capture = opened(*source)

        def get(self, what):
            return 0.0 if what == cv2.CAP_PROP_POS_MSEC else self.capture.get(what)

        def __getattr__(self, name):
            return getattr(self.capture, name)

    path = write(tmp_path / "a.mp4")
    monkeypatch.setattr(video_input.cv2, "VideoCapture", Timeless)
    assert [s for _, s in read_video(path)] == pytest.approx([k / 25 for k in range(8)])


def test_what_is_no_video_is_one_line(tmp_path, capfd):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    wanted = {
        tmp_path / "missing.mp4": "no such file",
        tmp_path / "text.mp4": "no video that can be read",
        tmp_path / "empty.mp4": "no video that can be read",
        tmp_path: "is no file",
        tmp_path / "pipe": "is no file",
        "99": "camera 99: cannot be opened",
    }
    for path, words in wanted.items():
        with pytest.raises(VideoError, match=words) as caught:
            list(read_video(path))
        assert len(str(caught.value).splitlines()) == 1
    assert capfd.readouterr() == ("", "")


def test_a_video_whose_frames_are_gone_is_one_line(tmp_path):
    path = write(tmp_path / "a.mp4")
    data = path.read_bytes()
    start = data.index(b"mdat") + 4
    path.write_bytes(data[:start] + bytes(len(data[start : data.index(b"moov") - 4])) + data[data.index(b"moov") - 4 :])
    with pytest.raises(VideoError, match="has no frame that can be read"):
        list(read_video(path))


def test_a_file_that_is_called_like_a_camera_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.mp4").rename(tmp_path / "0")
    assert len(list(read_video("0"))) == 8
