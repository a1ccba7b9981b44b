"""Tasks shared by several processes: order, errors, lost workers, orphans, a cluster."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from gcnface.batch import executor
from gcnface.batch.capacity import FORKS
from gcnface.batch.executor import WorkerLostError, run_tasks
from gcnface.errors import GcnfaceError, MissingPackageError
from gcnface.preparing import dataset
from tests.gcnface.batch import batch_stubs as stubs

posix = pytest.mark.skipif(os.name != "posix", reason="sends signals")


def nothing():
    """Nothing is to be loaded."""


@pytest.fixture(params=["fresh", "forked"])
def kind(request):
    """Of the workers: the keyword of `run_tasks` that asks for it."""
    if request.param == "forked" and not FORKS:
        pytest.skip("processes are not forked here")
    return {"ready": nothing if request.param == "forked" else None}


def outcomes(tasks, do=stubs.do, **how):
    tasks = list(tasks)
    results = list(run_tasks(do, tasks, **how))
    assert [result.task for result in results] == tasks
    return [result.error or result.value for result in results]


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_and_errors_are_values(workers, kind):
    found = outcomes([1, "error a", 2, "error b", 3], workers=workers, **kind)
    assert [str(value) for value in found] == ["1", "error a", "2", "error b", "3"]
    assert isinstance(found[1], ValueError)


def test_results_come_as_they_are_done_and_few_tasks_are_taken_ahead():
    taken = []

    def tasks():
        for number in range(1000):
            taken.append(number)
            yield 0.01

    results = run_tasks(stubs.nap, tasks(), workers=2)
    for count in range(1, 9):
        next(results)
        assert len(taken) <= count + 3
    results.close()


def test_each_worker_loads_once_and_works_with_one_thread(tmp_path):
    assert outcomes(range(12), stubs.Loads(tmp_path), workers=2) == list(range(12))
    assert len(list(tmp_path.iterdir())) == 2
    assert outcomes([0], stubs.threads, workers=2) == [(1, 1)]


@pytest.mark.skipif(not FORKS, reason="processes are not forked here")
def test_forks_share_what_was_loaded_before_them():
    loaded = []
    values = outcomes([1, 2, 3], lambda number: (*loaded, number), workers=2, ready=lambda: loaded.append("network"))
    assert values == [("network", 1), ("network", 2), ("network", 3)]
    assert loaded == ["network"]


@posix
@pytest.mark.parametrize(
    ("what", "how"),
    [
        (signal.SIGKILL, "its process was killed (signal 9, perhaps for want of memory); try again with --workers 1"),
        (signal.SIGSEGV, "its process crashed (signal 11); try again with --workers 1"),
        (signal.SIGTERM, "its process was told to end (signal 15); try again"),
        ("exit", "its process ended with exit status 3; try again with --workers 1"),
    ],
)
def test_a_lost_worker_costs_its_task_alone_and_is_told_of_truthfully(what, how, kind, capfd):
    found = outcomes(["a", what, *"bcdefg"], workers=2, **kind)
    assert isinstance(found[1], WorkerLostError)
    assert str(found[1]) == how
    assert [found[0], *found[2:]] == list("abcdefg")
    assert not capfd.readouterr().err


@pytest.mark.slow
@posix
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_task_that_loses_its_worker_once_is_done_in_the_second_attempt(number, kind, tmp_path):
    assert outcomes(["a", (number, str(tmp_path / "x")), "b", "c"], workers=2, **kind) == ["a", number, "b", "c"]


@posix
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_closing_ends_the_workers_whatever_they_do(number, kind, tmp_path):
    results = run_tasks(stubs.stay, [str(tmp_path / "a"), str(tmp_path / "b")], workers=2, **kind)
    pool = []
    started = executor.LocalPool._started

    def begin(self):
        pool.append(self)
        return started(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executor.LocalPool, "_started", begin)
        patch.setattr(executor, "_in_order", lambda pool, do, tasks: _submitted(pool, do, tasks))
        next(results)
    wait_for(lambda: len([path for path in tmp_path.iterdir() if path.read_text()]) == 2)
    numbers = [int(path.read_text()) for path in tmp_path.iterdir()]
    if number == signal.SIGSTOP:
        os.kill(numbers[0], number)
    begun = time.monotonic()
    results.close()
    assert time.monotonic() - begun < executor._PATIENCE_S / 2
    assert {state_of(process) for process in numbers} == {"Z"}


def _submitted(pool, do, tasks):
    for task in tasks:
        pool.submit(do, task)
    while True:
        yield None


@posix
def test_workers_end_with_their_parent(tmp_path):
    code = (
        "from gcnface.batch.executor import run_tasks\nfrom tests.gcnface.batch.batch_stubs import stay\n"
        "if __name__ == '__main__':\n    list(run_tasks(stay, ['a.pid', 'b.pid'], workers=2))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True) as process:
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
    """T for stopped, Z for ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


def test_what_drives_a_cluster_may_be_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "ray", None)
    for address in ("tcp://127.0.0.1:1", "ray://127.0.0.1:1"):
        with pytest.raises(MissingPackageError, match=r'pip install "gcnface\[cluster\]"'):
            list(run_tasks(stubs.do, [1], cluster=address))
    with pytest.raises(GcnfaceError, match="expected tcp://HOST:PORT"):
        list(run_tasks(stubs.do, [1], cluster="http://127.0.0.1"))


class Preparer:
    def __call__(self, sources):
        if sources == ["deadly"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if sources == ["faulty"]:
            raise ValueError("a fault")
        return sources


def write_part(path, name):
    path.write_text(name)


def prepare_part(preparer, part):
    write_part(part.path, *Preparer()(part.sources))


@posix
def test_a_lost_worker_costs_its_part_of_a_data_set_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(dataset, "_prepare_part", prepare_part)
    monkeypatch.setattr(dataset, "_tell", lambda reporter, part: None)
    options = dataset.PrepareOptions(photos=("x",), output=tmp_path, workers=2, quiet=True)
    parts = [dataset._Part([name], tmp_path / name) for name in ("a", "deadly", "b", "c")]
    with pytest.raises(GcnfaceError, match=r"1 of 4 parts are missing \(.*signal 9.*run again with fewer --workers"):
        dataset._work(parts, options, None)
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="a fault"):
        dataset._work([dataset._Part(["faulty"], tmp_path / "x"), dataset._Part(["d"], tmp_path / "d")], options, None)
