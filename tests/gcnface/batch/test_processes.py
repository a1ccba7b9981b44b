"""Workers that are killed, stopped or orphaned."""

import faulthandler
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from gcnface.batch import processes
from gcnface.batch.processes import Kind, share
from gcnface.errors import GcnfaceError
from gcnface.preparing import parallel

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stubs are not importable, so they must be forked")


def do(task):
    """A signal to itself, once or again and again; an exit; or the task itself."""
    what, times = task
    for _ in range(times):
        if what == "exit":
            os._exit(3)
        faulthandler.disable()
        os.kill(os.getpid(), what)
    return what


def begin(line):
    return do


def outcome(tasks, workers=2):
    events = list(share(tasks, begin, workers))
    assert sorted(event.task for event in events if event.kind in (Kind.DONE, Kind.LOST)) == list(range(len(tasks)))
    return events


@pytest.mark.parametrize(
    ("what", "how", "alone"),
    [
        (signal.SIGKILL, "killed (signal 9, perhaps for want of memory)", True),
        (signal.SIGSEGV, "crashed (signal 11)", True),
        (signal.SIGTERM, "told to end (signal 15)", False),
        (signal.SIGHUP, "told to end (signal 1)", False),
        ("exit", "ended with exit status 3", True),
    ],
)
def test_a_lost_worker_is_told_of_truthfully_and_replaced(what, how, alone):
    events = outcome([("well", 0), (what, 1), ("well", 0), ("well", 0)])
    (lost,) = [event for event in events if event.kind is Kind.LOST]
    assert lost.task == 1
    assert how in lost.what.how
    assert lost.what.alone is alone


def test_a_stopped_worker_goes_on_and_one_that_is_stopped_again_is_given_up(monkeypatch):
    monkeypatch.setattr(processes, "LOOK_S", 0.05)
    events = outcome([(signal.SIGSTOP, 1), (signal.SIGSTOP, 9), ("well", 0)])
    assert sorted(event.task for event in events if event.kind is Kind.CONTINUED) == [0, 1]
    (lost,) = [event for event in events if event.kind is Kind.LOST]
    assert lost.task == 1
    assert "stopped twice" in lost.what.how


def test_stopped_workers_do_not_hold_up_the_end():
    events = share([(signal.SIGSTOP, 9)] * 2, begin, 2)
    assert [next(events).kind for _ in range(2)] == [Kind.BEGUN] * 2
    children = multiprocessing.active_children()
    wait_for(lambda: all(state_of(child.pid) == "T" for child in children))
    begun = time.monotonic()
    events.close()
    assert time.monotonic() - begun < processes._PATIENCE_S / 2
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("forks", [True, False])
def test_workers_end_with_their_parent(tmp_path, forks):
    (tmp_path / "orphans.py").write_text(
        "import os, time\nfrom pathlib import Path\nfrom gcnface.batch import processes\n"
        "def do(task):\n    Path(task).write_text(str(os.getpid()))\n    time.sleep(60)\n"
        "def begin(line):\n    return do\n"
        "if __name__ == '__main__':\n"
        f"    processes.FORKS = {forks}\n    list(processes.share(['a.pid', 'b.pid'], begin, 2))\n"
    )
    with subprocess.Popen([sys.executable, "orphans.py"], cwd=tmp_path, start_new_session=True) as process:
        wait_for(lambda: len([path for path in tmp_path.glob("*.pid") if path.read_text()]) == 2)
        process.kill()
    try:
        wait_for(lambda: all(state_of(int(path.read_text())) == "Z" for path in tmp_path.glob("*.pid")))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(true, seconds=60):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


def state_of(pid):
    """T for stopped, Z for ended but not buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


class Preparer:
    def __init__(self, settings):
        self.settings = settings

    def __call__(self, sources):
        if sources == ["deadly"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if sources == ["faulty"]:
            raise ValueError("a fault")
        return sources


def test_a_lost_worker_costs_its_part_of_a_data_set_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(parallel, "FacePreparer", Preparer)
    monkeypatch.setattr(parallel, "write_shard", lambda path, name: path.write_text(name))
    parts = [([name], tmp_path / name) for name in ("a", "deadly", "b", "c")]
    with pytest.raises(GcnfaceError, match=r"1 of 4 parts are missing \(.*signal 9.*run again with fewer --workers"):
        list(parallel.finished_parts(parts, None, 2))
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]
    with pytest.raises(RuntimeError, match="a fault"):
        list(parallel.finished_parts([(["faulty"], tmp_path / "x"), (["d"], tmp_path / "d")], None, 2))
