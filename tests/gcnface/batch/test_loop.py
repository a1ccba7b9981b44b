"""Photos shared by several processes: nothing lost, everything said in order, half of nothing left."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image

from gcnface.batch import capacity
from gcnface.batch.loop import ResultFiles, work_through
from gcnface.batch.refine import refine
from gcnface.options import BatchOptions, RefineOptions
from tests.gcnface.batch import batch_stubs as stubs

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()

    def make(name, width=120):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((40, width, 3), 99, np.uint8)).save(folder / name)
        return str(folder / name)

    return make


def run(arguments, output, count=3, load=stubs.load, **options):
    wanted = BatchOptions(photos=tuple(arguments), output=output, workers=count, **options)
    return work_through(wanted, stubs.TEXT, load)


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


def test_a_further_face_does_not_replace_a_photo(photos, tmp_path):
    folder = Path(photos("a.png", 330)).parent
    Path(photos("a_face2.png", 150)).rename(folder / "a_face2.png")
    pictures = ResultFiles(stubs.text_files, all_faces=True)
    wanted = BatchOptions(photos=(str(folder / "a.png"),), output=folder)
    assert work_through(wanted, pictures, stubs.load) == 0
    assert sorted(path.name for path in folder.glob("*.txt")) == ["a_2.txt", "a_2_face2.txt", "a_2_face3.txt"]
    Path(photos("b.jpg", 230))
    Path(photos("b_face2.png"))
    wanted = BatchOptions(photos=(str(folder / "b.jpg"),), output=folder)
    assert work_through(wanted, pictures, stubs.load) == 0
    assert sorted(path.name for path in folder.glob("b*.txt")) == ["b.txt", "b_face3.txt"]


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
    assert "batch_stubs.py" in err


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_a_process_that_dies_costs_its_own_photo_alone(photos, tmp_path, capfd):
    arguments = [photos(f"{letter}.png", 777 if letter in "be" else 120) for letter in "abcdefgh"]
    assert run(arguments, tmp_path / "out", 2) == 1
    assert sorted(os.listdir(tmp_path / "out")) == [f"{letter}.txt" for letter in "acdfgh"]
    lines = capfd.readouterr().err.splitlines()
    assert lines == [
        f"gcnface: {arguments[place]}: failed (its process was killed (signal 9, perhaps for want of memory)); "
        "try again with --workers 1"
        for place in (1, 4)
    ]


def test_networks_that_cannot_be_loaded_are_told_once(photos, tmp_path, capsys):
    assert run([photos("a.png"), photos("b.png")], tmp_path / "out", 2, stubs.fail) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "networks cannot be loaded (weights: missing)" in line


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_interrupted(photos, tmp_path, number, status):
    code = (
        "import signal\nfrom gcnface import cli\nfrom gcnface.batch import refine\n"
        "from gcnface.batch.loop import work_through\nfrom tests.gcnface.batch import batch_stubs as stubs\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # background jobs of a shell ignore it
        "refine.refine = lambda options: work_through(options, stubs.TEXT, stubs.load_half)\n"
        f"words = ['refine', {photos('a.png')!r}, {photos('b.png')!r}, '-o', 'out', '--workers', '2']\n"
        "raise SystemExit(cli.main(words))"
    )
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, start_new_session=True, stderr=subprocess.PIPE
    ) as process:
        until = time.monotonic() + 60
        while sorted(p.name for p in tmp_path.glob("out/[ab]")) != ["a", "b"] and time.monotonic() < until:
            time.sleep(0.05)
        assert len(list(tmp_path.glob("out/.gcnface-*"))) == 2
        os.killpg(process.pid, number)
        assert process.wait(timeout=30) == status
        assert process.stderr.read() == (b"gcnface: interrupted\n" if number == signal.SIGINT else b"")
    assert sorted(os.listdir(tmp_path / "out")) == ["a", "b"]


def test_resume_leaves_out_what_is_whole(photos, tmp_path, capsys):
    wanted = [photos(f"{letter}.png", 230) for letter in "abcd"]
    assert run(wanted, tmp_path / "out", 1) == 0
    whole = contents(tmp_path / "out")
    (tmp_path / "out" / "b.txt").unlink()
    (tmp_path / "out" / "c.txt").write_bytes(b"")
    (tmp_path / "out" / "a.txt").write_text("kept")
    capsys.readouterr()
    assert run(wanted, tmp_path / "out", 1, resume=True) == 0
    out, err = capsys.readouterr()
    assert [line.split(" -> ")[0] for line in out.splitlines()] == [name for name in wanted[1:3] for _ in range(2)]
    assert err == "gcnface: 2 photos left out: their results are there\n"
    assert contents(tmp_path / "out") == {**whole, "a.txt": "kept"}


def test_the_largest_face_is_written_last(photos, tmp_path, monkeypatch):
    """So that a run that ends between two faces does not seem whole to the next."""
    written = []
    monkeypatch.setattr(stubs, "write", lambda folder, name, content: written.append(name) or stubs.Written("txt"))
    assert run([photos("a.png", 330)], tmp_path / "out", 1) == 0
    assert written == ["a_face3", "a_face2", "a"]


def test_shards_together_are_the_whole(photos, tmp_path):
    wanted = [photos("a.png"), photos("sub/a.png"), photos("b.png", 250), photos("b_face2.png"), photos("c.png")]
    assert run(wanted, tmp_path / "whole", 1) == 0
    found = []
    for number in (1, 2, 3):
        assert run(wanted, tmp_path / str(number), 1, shard=f"{number}/3") == 0
        found += contents(tmp_path / str(number)).items()
    assert len(found) == len(dict(found))
    assert dict(found) == contents(tmp_path / "whole")
    assert run(wanted[:1], tmp_path / "none", 1, shard="3/3") == 0


def test_how_many_pay(monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 4)
    monkeypatch.setattr(capacity, "_available_bytes", lambda: 100 * capacity.WORKER_BYTES)
    few = capacity.FEWEST_PHOTOS[capacity.FORKS]
    assert [capacity.default_workers(n) for n in (1, 2 * few - 1, 2 * few, 100)] == [1, 1, 2, 4]
    monkeypatch.setattr(capacity, "_available_bytes", lambda: int(2.5 * capacity.WORKER_BYTES))
    assert capacity.default_workers(100) == 2
    monkeypatch.setattr(capacity, "_available_bytes", lambda: 0)
    assert capacity.default_workers(100) == 1


def test_available_memory_is_that_of_this_machine():
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < capacity._available_bytes() < total


def files_of(folder):
    """Contents, clocks apart."""
    found = {}
    for path in folder.iterdir():
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                metadata = json.loads(str(arrays["metadata"]))
                found[path.name] = {name: arrays[name].tobytes() for name in arrays.files if name != "metadata"}
            metadata.pop("timings", None)
            found[path.name]["metadata"] = metadata
        else:
            found[path.name] = path.read_bytes()
    return found


def reconstructed(folder, **how):
    options = RefineOptions(
        photos=(str(DATA / "face.jpg"), str(DATA / "glasses.jpg")),
        output=folder,
        formats=("npz", "glb"),
        texture_size=64,
        fit=False,
        **how,
    )
    assert refine(options) == 0
    return files_of(folder)


@pytest.mark.slow
def test_two_processes_reconstruct_what_one_does(tmp_path):
    assert reconstructed(tmp_path / "2", workers=2) == reconstructed(tmp_path / "1", workers=1)


@pytest.mark.slow
def test_a_cluster_reconstructs_what_one_process_does(tmp_path, capsys):
    distributed = pytest.importorskip("distributed", reason="Dask's distributed is not installed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        found = reconstructed(tmp_path / "2", cluster=cluster.scheduler_address)
    assert [line.split(" -> ")[0] for line in capsys.readouterr().out.splitlines()] == [
        str(DATA / "face.jpg"),
        str(DATA / "glasses.jpg"),
    ]
    assert found == reconstructed(tmp_path / "1", workers=1)
