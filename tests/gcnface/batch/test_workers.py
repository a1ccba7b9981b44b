"""Photos shared by several processes: nothing lost, everything said in order, nobody left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gcnface.batch import processes, workers
from gcnface.batch.loop import PhotoRequest, work_through
from gcnface.batch.refine import RefineOptions, refine
from gcnface.errors import GcnfaceError
from gcnface.options import ReconstructionOptions


def write(folder, name, content):
    (folder / f"{name}.txt").write_text(content)
    return "txt"


def work(photo, on_stage):
    """As many faces as the photo is hundreds of pixels wide; 666 px fail, 777 px end the process, 888 px take long."""
    on_stage("detect")
    width = photo.pixels.shape[1]
    if width == 666:
        raise RuntimeError("first line\nsecond line")
    if width == 777:
        os.kill(os.getpid(), signal.SIGKILL)
    if width == 888:
        time.sleep(0.5)
    return [partial(write, content=f"{width} {index}") for index in range(width // 100)]


def load():
    return work


def fail():
    raise GcnfaceError("weights: missing")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()

    def make(name, width=120):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((40, width, 3), 99, np.uint8)).save(folder / name)
        return str(folder / name)

    return make


def run(arguments, output, count=3, give=load, **options):
    return work_through(PhotoRequest(arguments, output, workers=count, **options), give)


def contents(folder):
    return {path.name: path.read_text() for path in Path(folder).iterdir()}


def test_the_same_files_and_lines_as_alone_in_the_order_of_the_photos(photos, tmp_path, capsys):
    wanted = [photos("slow.png", 888), *(photos(f"{letter}.png", 250) for letter in "abcdef"), photos("a_face2.png")]
    lines = []
    for count in (1, 3):
        assert run(wanted, tmp_path / str(count), count) == 0
        out, err = capsys.readouterr()
        assert not err
        lines.append([line.rsplit(",", 1)[0].replace(f"/{count}/", "/") for line in out.splitlines()])
    assert lines[0] == lines[1]
    assert contents(tmp_path / "1") == contents(tmp_path / "3")
    assert "a_face2_2.txt" in contents(tmp_path / "3")


def test_equal_stems(photos, tmp_path):
    assert run([photos("a.png"), photos("sub/a.png"), photos("a.jpg"), photos("b.png")], tmp_path / "out") == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["a.txt", "a_2.txt", "a_3.txt", "b.txt"]


def test_one_photo_s_failure_is_not_another_s(photos, tmp_path, capsys):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    arguments = [photos("a.png"), str(broken), photos("bug.png", 666), photos("b.png"), str(tmp_path / "missing.jpg")]
    assert run(arguments, tmp_path / "out", debug=True) == 1
    assert sorted(os.listdir(tmp_path / "out")) == ["a.txt", "b.txt"]
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if line.startswith("gcnface: ")]
    assert [path in line for path, line in zip([arguments[4], *arguments[1:3]], lines, strict=True)] == [True] * 3
    assert "RuntimeError: first line second line" in lines[2]
    assert "test_workers.py" in err


def test_a_process_that_dies_costs_its_own_photo_alone(photos, tmp_path, capsys):
    arguments = [photos(f"{letter}.png", 777 if letter in "be" else 120) for letter in "abcdefgh"]
    assert run(arguments, tmp_path / "out", 2) == 1
    assert sorted(os.listdir(tmp_path / "out")) == [f"{letter}.txt" for letter in "acdfgh"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("signal 9" in line and "--workers 1" in line for line in lines)


def test_networks_that_cannot_be_loaded_are_told_once(photos, tmp_path, capsys):
    assert run([photos("a.png"), photos("b.png")], tmp_path / "out", 2, fail) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "networks cannot be loaded (weights: missing)" in line


def test_processes_that_start_afresh(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "FORKS", False)
    assert run([photos("a.png"), photos("b.png")], tmp_path / "out", 2) == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["a.txt", "b.txt"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_interrupted(photos, tmp_path, number, status):
    code = (
        "import signal, time\nfrom pathlib import Path\n"
        "from gcnface import cli\nfrom gcnface.batch import refine as refine_command\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # background jobs of a shell ignore it
        "from gcnface.io.atomic import staged\nfrom gcnface.batch.loop import PhotoRequest, work_through\n"
        "def write(folder, name):\n"
        "    with staged(folder) as stage:\n"
        "        (stage / 'half').write_text('x'); (folder / name).write_text('ready'); time.sleep(60)\n"
        "def work(photo, on_stage): return [write]\n"
        "def run(options): return work_through(PhotoRequest(options.photos, options.output, workers=2), lambda: work)\n"
        "refine_command.refine = run\n"
        f"raise SystemExit(cli.main(['refine', {photos('a.png')!r}, {photos('b.png')!r}, '-o', 'out']))"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=tmp_path, start_new_session=True, stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 60
        while sorted(p.name for p in tmp_path.glob("out/[ab]")) != ["a", "b"] and time.monotonic() < until:
            time.sleep(0.05)
        assert len(list(tmp_path.glob("out/.gcnface-*"))) == 2
        os.killpg(process.pid, number)
        assert process.wait(timeout=30) == status
        assert process.stderr.read() == (b"gcnface: interrupted\n" if number == signal.SIGINT else b"")
    assert sorted(os.listdir(tmp_path / "out")) == ["a", "b"]


def test_how_many_pay(monkeypatch):
    monkeypatch.setattr(workers, "_cores", lambda: 4)
    monkeypatch.setattr(workers, "_available_bytes", lambda: 100 * workers.WORKER_BYTES)
    few = workers.FEWEST_PHOTOS
    assert [workers.default_workers(n) for n in (1, 2 * few - 1, 2 * few, 100)] == [1, 1, 2, 4]
    monkeypatch.setattr(workers, "_available_bytes", lambda: int(2.5 * workers.WORKER_BYTES))
    assert workers.default_workers(100) == 2
    monkeypatch.setattr(workers, "_available_bytes", lambda: 0)
    assert workers.default_workers(100) == 1


def test_available_memory_is_that_of_this_machine():
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < workers._available_bytes() < total


def test_two_processes_reconstruct_what_one_does(tmp_path):
    portrait = Path(__file__).parents[2] / "data" / "face.jpg"
    twin = tmp_path / "twin.jpg"
    twin.write_bytes(portrait.read_bytes())
    for count in (1, 2):
        options = RefineOptions(
            [str(portrait), str(twin)],
            tmp_path / str(count),
            ("npz", "json"),
            ReconstructionOptions(texture_size=64),
            workers=count,
        )
        assert refine(options) == 0
    for name in ("face", "twin"):
        alone, shared = (np.load(tmp_path / count / f"{name}.npz") for count in "12")
        assert sorted(alone.files) == sorted(shared.files)
        for key in alone.files:
            if key != "timings" and "seconds" not in key and alone[key].dtype.kind in "fiub":
                np.testing.assert_array_equal(alone[key], shared[key], err_msg=key)
        notes = [json.loads((tmp_path / count / f"{name}.json").read_text()) for count in "12"]
        for note in notes:
            del note["seconds"], note["seconds_total"]
        assert notes[0] == notes[1]


def test_workers_are_refused_where_they_cannot_be(capsys):
    from gcnface import cli

    assert cli.main(["refine", "a.jpg", "-o", "out", "--workers", "2", "--same-person"]) == 2
    assert cli.main(["refine", "a.jpg", "-o", "out", "--workers", "2", "--device", "cuda"]) == 2
    assert capsys.readouterr().err.count("--workers") == 2
    with pytest.raises(SystemExit):
        cli.main(["refine", "a.jpg", "-o", "out", "--workers", "0"])
