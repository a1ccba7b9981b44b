"""Only files are opened where files are expected; nothing waits."""

import os
import socket

import pytest

from gcnface.errors import FileError, PhotoError, ResultError
from gcnface.io.files import open_input


def test_a_file_is_opened(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"words")
    with open_input(tmp_path / "a.txt") as file:
        assert file.read() == b"words"


def test_a_link_to_a_file_is_followed(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"words")
    (tmp_path / "link").symlink_to(tmp_path / "a.txt")
    with open_input(tmp_path / "link") as file:
        assert file.read() == b"words"


def a_pipe(folder):
    os.mkfifo(folder / "pipe.jpg")
    return folder / "pipe.jpg"


def a_link_to_a_pipe(folder):
    (folder / "link.jpg").symlink_to(a_pipe(folder))
    return folder / "link.jpg"


def a_socket(folder, monkeypatch):
    monkeypatch.chdir(folder)  # its address must be short
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("socket.jpg")
    return folder / "socket.jpg"


def a_loop(folder):
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    return folder / "loop.jpg"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (a_pipe, "is a pipe, not a file; give a photo"),
        (a_link_to_a_pipe, "is a pipe"),
        (a_loop, "cannot be opened"),
        (lambda folder: folder, "is a folder, not a file; give a photo"),
        (lambda folder: "/dev/zero", "is a device"),
        (lambda folder: "/dev/null", "is a device"),
        (lambda folder: folder / "missing", "no such file; check the path, or give a photo"),
        (lambda folder: folder / "nul\0.jpg", "cannot be opened"),
        (lambda folder: folder / ("x" * 300), "cannot be opened"),
    ],
)
@pytest.mark.parametrize("kind", [PhotoError, ResultError])
def test_anything_else_is_refused_at_once(tmp_path, make, says, kind):
    with pytest.raises(kind, match=says) as caught:
        open_input(make(tmp_path), kind, "give a photo")
    assert "\n" not in str(caught.value)


def test_a_socket_is_refused(tmp_path, monkeypatch):
    with pytest.raises(FileError, match="is a socket"):
        open_input(a_socket(tmp_path, monkeypatch))


def test_a_file_that_becomes_a_pipe_after_the_look_is_refused_too(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(b"words")
    looked_at = os.stat(tmp_path / "a.jpg")
    pipe = a_pipe(tmp_path)
    monkeypatch.setattr(os, "stat", lambda *_, **__: looked_at)
    with pytest.raises(FileError, match="is a pipe"):
        open_input(pipe)


def test_a_file_that_claims_terabytes_is_not_read(tmp_path):
    with (tmp_path / "a.jpg").open("wb") as file:
        file.write(b"\xff\xd8\xff\xe0")
        file.truncate(10**12)
    with pytest.raises(FileError, match=r"a\.jpg: is too large \(1000 GB\)"):
        open_input(tmp_path / "a.jpg")
