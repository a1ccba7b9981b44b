import os
import threading

import pytest

from gcnface.errors import OutputError
from gcnface.io.atomic import check_writable, staged


def test_files_appear_together_and_replace_older_ones(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with staged(tmp_path) as stage:
        (stage / "a.txt").write_text("new")
        (stage / "b.txt").write_text("b")
        assert (tmp_path / "a.txt").read_text() == "old"
        assert not (tmp_path / "b.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_nothing_stays_behind_after_an_error(tmp_path, error):
    def write():
        with staged(tmp_path / "deep" / "er") as stage:
            (stage / "a.txt").write_text("half")
            raise error

    pytest.raises(error, write)
    assert not list(tmp_path.iterdir())


def test_an_older_file_survives_an_error(tmp_path):
    (tmp_path / "a.txt").write_text("old")

    def write():
        with staged(tmp_path) as stage:
            (stage / "a.txt").write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left on device"):
        write()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("action", [check_writable, lambda folder: staged(folder).__enter__()])
def test_a_folder_that_cannot_be_is_named(tmp_path, action):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file.out: cannot be written to \(Not a directory\); choose another"):
        action(tmp_path / "file" / "out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        check_writable(tmp_path)


def test_files_have_the_permissions_that_the_user_chose(tmp_path):
    with staged(tmp_path) as stage:
        (stage / "a.txt").write_text("")
    (tmp_path / "plain.txt").write_text("")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode


def test_two_at_once_do_not_meet(tmp_path):
    def write(name):
        with staged(tmp_path) as stage:
            (stage / name).write_text(name)

    threads = [threading.Thread(target=write, args=(f"{k}.txt",)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(tmp_path.iterdir())) == 8
