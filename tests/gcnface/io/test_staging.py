import os
import signal
import subprocess
import sys
import time

import pytest

from gcnface.io import staging as stages
from gcnface.io.atomic import staged

WRITER = (
    "import sys, time\nfrom pathlib import Path\nfrom gcnface.io.atomic import staged\n"
    "with staged(Path(sys.argv[1])) as stage:\n"
    "    (stage / 'half.bin').write_bytes(bytes(1000)); print('writing', flush=True); time.sleep(60)\n"
)


def begun(folder):
    """A process that is writing into the folder."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"writing\n"
    return process


@pytest.fixture(autouse=True)
def another_run(monkeypatch):
    """A process looks once a folder; every test stands for a new one."""
    monkeypatch.setattr(stages, "_SWEPT", set())


def write(folder):
    with staged(folder) as stage:
        (stage / "new.txt").write_text("new")


def test_the_next_run_removes_what_a_killed_one_left_and_not_what_another_is_at(tmp_path):
    killed, living = begun(tmp_path), begun(tmp_path)
    with killed, living:
        try:
            before = set(tmp_path.iterdir())
            killed.send_signal(signal.SIGKILL)
            killed.wait()
            assert set(tmp_path.iterdir()) == before
            write(tmp_path)
            (left,) = set(tmp_path.iterdir()) - {tmp_path / "new.txt"}
            assert (left / "new" / "half.bin").exists()
            assert living.poll() is None
        finally:
            living.kill()


def made_up(folder, name, age_s=0.0, owner=None):
    """A stage of unknown history."""
    path = folder / name
    path.mkdir()
    (path / "half.bin").write_bytes(b"")
    if owner is not None:
        (path / "lock").write_text(owner)
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


@pytest.mark.parametrize(
    ("name", "age_s", "owner", "goes"),
    [
        (".gcnface-abcd_123", 10, None, False),  # between its making and its lock
        (".gcnface-abcd_123", 2 * stages.ABANDONED_S, None, True),  # of an earlier gcnface
        (".gcnface-abcd_123", 10, "another machine", False),
        (".gcnface-abcd_123", 2 * stages.ABANDONED_S, "another machine", True),
        (".gcnface-my-notes", 2 * stages.ABANDONED_S, None, False),
        (".gcnface", 2 * stages.ABANDONED_S, None, False),
        ("abcd_123", 2 * stages.ABANDONED_S, None, False),
    ],
)
def test_what_tells_little_goes_with_age_alone(tmp_path, name, age_s, owner, goes):
    path = made_up(tmp_path, name, age_s, owner)
    write(tmp_path)
    assert path.exists() != goes


def test_links_are_not_followed(tmp_path):
    kept = made_up(tmp_path, "kept", 2 * stages.ABANDONED_S)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".gcnface-abcd_123").symlink_to(kept)
    write(tmp_path / "out")
    assert (kept / "half.bin").exists()


def test_where_there_are_no_locks_age_decides(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "fcntl", None)
    owner = stages.socket.gethostname()
    young = made_up(tmp_path, ".gcnface-aaaaaaaa", 10, owner)
    old = made_up(tmp_path, ".gcnface-bbbbbbbb", 2 * stages.ABANDONED_S, owner)
    write(tmp_path)
    assert young.exists()
    assert not old.exists()


def test_a_stage_that_was_taken_away_before_its_lock_is_made_anew(tmp_path, monkeypatch):
    attempts = iter([False, True])
    monkeypatch.setattr(stages, "_try_lock", lambda lock: next(attempts))
    write(tmp_path)
    assert os.listdir(tmp_path) == ["new.txt"]


def test_a_second_signal_does_not_stop_the_cleaning(tmp_path, monkeypatch):
    remove, calls = stages.shutil.rmtree, []

    def interrupted(path, **how):
        calls.append(path)
        if len(calls) == 1:
            raise SystemExit(143)
        remove(path, **how)

    monkeypatch.setattr(stages.shutil, "rmtree", interrupted)
    with pytest.raises(SystemExit):
        write(tmp_path)
    assert os.listdir(tmp_path) == ["new.txt"]


def test_a_stage_that_was_half_removed_goes(tmp_path, monkeypatch):
    remove = stages.shutil.rmtree

    def killed(path, **how):
        if path.name.startswith(stages.PREFIX):
            raise KeyboardInterrupt
        remove(path, **how)

    left = made_up(tmp_path, ".gcnface-aaaaaaaa", 10, stages.socket.gethostname())
    monkeypatch.setattr(stages.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        stages._remove(left)
    monkeypatch.undo()
    assert os.listdir(left) == ["lock"]
    (tmp_path / ".gcnface-bbbbbbbb").mkdir()
    write(tmp_path)
    assert os.listdir(tmp_path) == ["new.txt"]
