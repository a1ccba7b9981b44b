import builtins

import numpy as np
import pytest

from gcnface.io.video_input import read_video
from gcnface.io.video_output import frame_writer
from tests.gcnface.io.test_video_input import HW, picture


@pytest.fixture(params=["av", "opencv"])
def backend(request, monkeypatch):
    if request.param == "av":
        pytest.importorskip("av")
    else:
        real = builtins.__import__

        def without(name, *about):
            if name == "av":
                raise ImportError(name)
            return real(name, *about)

        monkeypatch.setattr(builtins, "__import__", without)
    return request.param


def write(path, times, hw=HW):
    with frame_writer(path, path, 25.0, hw) as writer:
        for k, seconds in enumerate(times):
            writer.write(np.resize(picture(k), (*hw, 3)) if hw != HW else picture(k), seconds)
        return writer.codec


def test_frames_stand_at_their_times(backend, tmp_path):
    times = [0.0, 0.04, 0.08, 0.4, 0.44]
    codec = write(tmp_path / "a.mp4", times)
    assert (codec == "h264") == (backend == "av")
    found = list(read_video(tmp_path / "a.mp4"))
    shown = {round(seconds, 2): pixels[20:28, 44:60].mean() for pixels, seconds in found}
    for k, seconds in enumerate(times):
        assert shown[seconds] == pytest.approx(20 + 10 * k, abs=6)
    assert len(found) == (5 if backend == "av" else 12)


def test_odd_sizes_lose_their_last_row_and_column(backend, tmp_path):
    write(tmp_path / "a.mp4", [0.0, 0.04], (49, 65))
    assert next(read_video(tmp_path / "a.mp4"))[0].shape == (48, 64, 3)


def test_frames_that_come_faster_than_the_rate_are_left_out(backend, tmp_path):
    if backend == "av":
        pytest.skip("has the frames' own times")
    write(tmp_path / "a.mp4", [k / 100 for k in range(41)])
    assert len(list(read_video(tmp_path / "a.mp4"))) == 11


def test_a_long_pause_is_cut_short(backend, tmp_path):
    if backend == "av":
        pytest.skip("repeats no frames")
    write(tmp_path / "a.mp4", [0.0, 100.0, 100.04])
    assert len(list(read_video(tmp_path / "a.mp4"))) == pytest.approx(252, abs=2)
