"""A run that is killed in its middle and run again ends as one without a break; `make chaos` kills thirty."""

import signal
import sys
from pathlib import Path

import pytest

from tests.fuzz import kills
from tests.fuzz.chaos import refine_job, write_photos
from tests.fuzz.kills import Job, Kill, Unbroken, contents, differences, killed, readable

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")


@pytest.mark.slow
def test_refine_killed_and_run_again(tmp_path):
    job = refine_job(write_photos(tmp_path / "photos", 3), 2)
    kill = Kill("file", 0.35, signal.SIGKILL, "process", pause_s=0.2)
    endings = (".glb", ".json", ".npz", ".ply", "_confidence.png", "_source.png")
    names = [f"face{number:02}{ending}" for number in range(3) for ending in endings]
    told = killed(job, kill, Unbroken({}, len(names), 10.0), tmp_path / "run")
    assert told.hit
    assert told.problems == [f"surplus in the end: {name}" for name in sorted(names)]
    assert all(readable(tmp_path / "run" / "out" / name) for name in names)


def test_what_a_kill_leaves_is_seen(tmp_path, monkeypatch):
    """A run that leaves half a file, a stage and a process behind is told of with all three."""
    code = (
        "import os, pathlib, subprocess, sys, time\n"
        "out = pathlib.Path('out')\n"
        "again = out.exists()\n"
        "(out / '.gcnface-x').mkdir(parents=True, exist_ok=True)\n"
        "(out / 'a.json').write_text('{\"seconds\": 3, \"b\": 1}' if again else '{')\n"
        "if not again:\n"
        "    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'], start_new_session=True)\n"
        "    time.sleep(99)\n"
    )
    monkeypatch.setattr(kills, "PATIENCE_S", 1.0)
    job = Job("stub", (sys.executable, "-c", code))
    reference = Unbroken({"a.json": "another digest"}, 1, 1.0)
    told = killed(job, Kill("file", 1.0, signal.SIGTERM, "group"), reference, tmp_path)
    assert told.hit
    assert told.problems == [
        "1 processes are left after 1 s",
        "half-written: a.json",
        "other in the end: a.json",
        "left over: out/.gcnface-x",
    ]


def test_clocks_are_not_compared(tmp_path):
    for folder, text in (("a", '{"seconds": 1, "psnr": 30}'), ("b", '{"seconds": 2, "psnr": 30}')):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.json").write_text(text)
    assert not differences(contents(tmp_path / "a"), contents(tmp_path / "b"))
    (tmp_path / "b" / "x.json").write_text('{"seconds": 2, "psnr": 31}')
    assert differences(contents(tmp_path / "a"), contents(tmp_path / "b")) == ["other in the end: x.json"]


@pytest.mark.parametrize("name", ["x.json", "x.npz", "x.npy", "x.png", "x.glb", "x.ply", "x.safetensors", "x.ckpt"])
def test_rubbish_is_not_readable(name, tmp_path):
    (tmp_path / name).write_bytes(b"{half")
    assert not readable(tmp_path / name)
