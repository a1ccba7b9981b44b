import errno
import os
import threading
from pathlib import Path

import pytest

from gcnface.errors import OutputError
from gcnface.io import atomic
from gcnface.io.atomic import check_writable, staged, writing


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


NAMES = ["a.txt", "b.txt", "c.txt", "x.json"]


def write_set(folder, text, last="x.json"):
    with staged(folder, last=last) as stage:
        for name in NAMES:
            (stage / name).write_text(text)


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


class Moves:
    """Stands for `os.replace`; fails at one move into the folder, counted from 0."""

    def __init__(self, folder, at=-1, error=None):
        self.replace, self.folder, self.at, self.error = os.replace, folder, at, error
        self.into: list[str] = []

    def __call__(self, source, target):
        if Path(target).parent == self.folder and Path(source).parent.name == "new":
            self.into.append(Path(target).name)
            if len(self.into) - 1 == self.at:
                raise self.error
        self.replace(source, target)


@pytest.mark.parametrize("old", [NAMES, NAMES[1:3], []])
@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("error", [PermissionError(1, "Operation not permitted"), KeyboardInterrupt()])
def test_a_move_that_fails_leaves_all_old_files_and_no_new_one(tmp_path, monkeypatch, old, at, links, error):
    for name in old:
        (tmp_path / name).write_text("old")
    monkeypatch.setattr(atomic.os, "replace", Moves(tmp_path, at, error))
    if not links:
        monkeypatch.setattr(atomic.os, "link", lambda *args: (_ for _ in ()).throw(OSError(95, "no links here")))
    with pytest.raises((OutputError, KeyboardInterrupt)):
        write_set(tmp_path, "new")
    assert content(tmp_path) == dict.fromkeys(old, "old")
    monkeypatch.undo()
    write_set(tmp_path, "new")
    assert content(tmp_path) == dict.fromkeys(NAMES, "new")


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_in_the_place_of_a_file_is_named_and_nothing_moves(tmp_path, name):
    write_set(tmp_path, "old")
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match=f"{name}: is a folder where a file is to be; move it away"):
        write_set(tmp_path, "new")
    assert sorted(tmp_path.iterdir()) == before
    assert all(path.is_dir() or path.read_text() == "old" for path in before)


def test_the_mark_goes_first_and_comes_last(tmp_path, monkeypatch):
    write_set(tmp_path, "old", last="b.txt")
    moves = Moves(tmp_path)
    seen = []
    monkeypatch.setattr(atomic.os, "replace", lambda *paths: (moves(*paths), seen.append(content_of_mark(tmp_path))))
    write_set(tmp_path, "new", last="b.txt")
    assert moves.into == ["a.txt", "c.txt", "x.json", "b.txt"]
    assert seen == [None, None, None, None, "new"]


def content_of_mark(folder):
    path = folder / "b.txt"
    return path.read_text() if path.exists() else None


def test_a_link_is_replaced_and_what_it_leads_to_is_not(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").symlink_to(tmp_path / "mine")
    write_set(tmp_path / "out", "new")
    assert (tmp_path / "mine").read_text() == "mine"
    assert content(tmp_path / "out") == dict.fromkeys(NAMES, "new")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), r"\(No space left on device\); free some space"),
        (OSError(errno.EACCES, "Permission denied"), r"\(Permission denied\); choose another output folder"),
        (OSError("encoder error -2"), r"\(encoder error -2\)"),
    ],
)
def test_errors_name_the_file_and_a_remedy_that_fits(tmp_path, error, says):
    def write():
        with staged(tmp_path / "out") as stage, writing(stage / "a.glb"):
            raise error

    with pytest.raises(OutputError, match=r"out.a.glb: cannot be written " + says):
        write()


def test_a_name_that_is_too_long_says_so(tmp_path):
    says = r"\(File name too long\); give it a shorter name"
    with pytest.raises(OutputError, match=r"out.a+\.txt: cannot be written " + says), staged(tmp_path / "out") as stage:
        (stage / f"{'a' * 300}.txt").write_text("")
    with pytest.raises(OutputError, match=r"a+: cannot be written to " + says):
        check_writable(tmp_path / ("a" * 300))
    assert not list(tmp_path.iterdir())
