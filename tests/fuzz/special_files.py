"""Paths that are no plain files, and plain files with names that a terminal, a shell or a file system may trip over."""

import os
import socket
import threading
from functools import partial
from pathlib import Path

from gcnface.errors import printable
from tests.fuzz.case import EITHER, REFUSE, SUCCEED, Expect, Input, Random, file_input
from tests.fuzz.faces import jpeg
from tests.fuzz.pictures import PICTURES


def folder_at(path: Path) -> None:
    """An empty folder."""
    path.mkdir()


def folder_with_face(path: Path) -> None:
    """A folder that holds a picture."""
    path.mkdir()
    (path / "face.jpg").write_bytes(jpeg())


def link_to_itself(path: Path) -> None:
    """A loop of one link."""
    path.symlink_to(path.name)


def link_loop(path: Path) -> None:
    """A loop of two links."""
    other = path.with_name("other")
    other.symlink_to(path.name)
    path.symlink_to(other.name)


def dangling_link(path: Path) -> None:
    """A link to nothing."""
    path.symlink_to("nothing")


def link_to(target: str, path: Path) -> None:
    """A link to something."""
    path.symlink_to(target)


def pipe_at(path: Path) -> None:
    """A pipe that nobody writes to: opening it waits for ever."""
    os.mkfifo(path)


def fed_pipe(path: Path) -> None:
    """A pipe that somebody writes a face to."""
    os.mkfifo(path)

    def feed() -> None:
        try:
            path.write_bytes(jpeg())
        except OSError:
            return

    threading.Thread(target=feed, daemon=True).start()


def socket_at(path: Path) -> None:
    """A socket; a relative name, since long ones are refused."""
    with socket.socket(socket.AF_UNIX) as end:
        here = os.open(".", os.O_RDONLY)
        try:
            os.chdir(path.parent)
            end.bind(path.name)
        finally:
            os.fchdir(here)
            os.close(here)


def sparse_file(path: Path) -> None:
    """A terabyte of nothing that takes no space."""
    with path.open("wb") as file:
        file.truncate(1 << 40)


def sparse_behind_mark(mark: bytes, path: Path) -> None:
    """The same behind the first bytes of a format."""
    with path.open("wb") as file:
        file.write(mark)
        file.truncate(1 << 40)


SPECIAL = {
    "folder": folder_at,
    "link_to_itself": link_to_itself,
    "link_loop": link_loop,
    "dangling_link": dangling_link,
    "link_to_dev_zero": partial(link_to, "/dev/zero"),
    "pipe": pipe_at,
    "socket": socket_at,
    "sparse": sparse_file,
}
"""What may stand where a file is wanted, by name; none of it is one."""


def special(name: str, lay: object, ending: str, folder: Path, rng: Random) -> Input:
    """Something laid at a path that is handed over."""
    path = folder / f"{name}{ending}"
    lay(path)  # type: ignore[operator]
    return file_input(path)


for _name, _lay in SPECIAL.items():
    PICTURES.add(_name, REFUSE, partial(special, _name, _lay, ".jpg"))
PICTURES.add("folder_with_face", REFUSE, partial(special, "faces", folder_with_face, ".jpg"))
PICTURES.add("pipe_fed", EITHER, partial(special, "fed", fed_pipe, ".jpg"))
for _mark in (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0\x08\0\0\0"):
    _name = f"sparse_{_mark[:2].hex()}"
    PICTURES.add(_name, REFUSE, partial(special, _name, partial(sparse_behind_mark, _mark), ".jpg"))
for _device in ("zero", "null", "full", "random", "tty"):
    PICTURES.add(f"dev_{_device}", REFUSE, partial(lambda name, folder, rng: Input(Path("/dev", name), name), _device))


@PICTURES.case("link_to_face", SUCCEED)
def _link_to_face(folder: Path, rng: Random) -> Input:
    (folder / "face.jpg").write_bytes(jpeg())
    return special("link", partial(link_to, "face.jpg"), ".jpg", folder, rng)


@PICTURES.case("missing", REFUSE)
def _missing(folder: Path, rng: Random) -> Input:
    return file_input(folder / "missing.jpg")


@PICTURES.case("in_a_file", REFUSE)
def _in_a_file(folder: Path, rng: Random) -> Input:
    (folder / "face.jpg").write_bytes(jpeg())
    return file_input(folder / "face.jpg" / "inner.jpg")


@PICTURES.case("name_of_4000", REFUSE)
def _too_long(folder: Path, rng: Random) -> Input:
    return file_input(folder / ("n" * 4000 + ".jpg"))


@PICTURES.case("path_of_9000", REFUSE)
def _too_deep(folder: Path, rng: Random) -> Input:
    return file_input(folder.joinpath(*["deep"] * 1800, "face.jpg"))


@PICTURES.case("zero_byte_in_path", REFUSE)
def _zero_byte(folder: Path, rng: Random) -> Input:
    return Input(f"{folder}/fa\0ce.jpg", printable("fa\0ce.jpg"))


@PICTURES.case("empty_path", REFUSE)
def _empty_path(folder: Path, rng: Random) -> Input:
    return Input("")


@PICTURES.case("dot", REFUSE)
def _dot(folder: Path, rng: Random) -> Input:
    return Input(".", ".")


@PICTURES.case("a_url", REFUSE)
def _url(folder: Path, rng: Random) -> Input:
    return Input("https://localhost:9/face.jpg", "face.jpg")


NAMES = {
    "escape": "\x1b[31mred\x1b[0m.jpg",
    "newline": "two\nlines.jpg",
    "return": "line\rover.jpg",
    "backslash": "back\\slash.jpg",
    "hash": "#1.jpg",
    "quotes": '"it\'s".jpg',
    "dash": "-o.jpg",
    "dashes": "--help.jpg",
    "not_unicode": os.fsdecode(b"caf\xe9.jpg"),
    "of_250": "n" * 246 + ".jpg",
    "pattern": "[a-z]*?.jpg",
    "spaces": "  spaces  .jpg",
    "percent": "%s%n{0}$HOME.jpg",
    "emoji": "\N{GRINNING FACE}\N{COMBINING ACUTE ACCENT}.jpg",
    "right_to_left": "\N{RIGHT-TO-LEFT OVERRIDE}gpj.jpg",
    "separator": "line\N{LINE SEPARATOR}end.jpg",
    "two_dots": "..jpg",
    "colon": "file:C:face.jpg",
}
"""Names to trip over."""


def odd_name(name: str, content: bytes | None, folder: Path, rng: Random) -> Input:
    """A picture, or what is none, under such a name."""
    path = folder / NAMES[name]
    path.write_bytes(jpeg() if content is None else content)
    return file_input(path)


for _name in NAMES:
    _what: Expect
    for _label, _content, _what in (("name", None, SUCCEED), ("name_of_broken", b"\xff\xd8\xff nothing", REFUSE)):
        PICTURES.add(f"{_label}_{_name}", _what, partial(odd_name, _name, _content))
