"""One input tried: made, given to the real thing, and everything about it looked at."""

import ctypes
import os
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from gcnface.errors import GcnfaceError, printable
from tests.fuzz.attempts import ATTEMPTS, NO_FILE, PROGRAMMERS, RefusedError, SpoiltError
from tests.fuzz.case import MARKER, Case, Expect, Input
from tests.fuzz.corpus import find

ADDRESS_SPACE = 24 << 30
"""Bytes beyond which a process gets no memory: the machine survives whatever an input does."""

GROWTH = {"pictures": 1_600_000_000, "words": 1_600_000_000, "checkpoints": 1_600_000_000}
"""Bytes by which an input may let the process grow at its peak, by kind."""
OTHER_GROWTH = 700_000_000


@dataclass(frozen=True)
class Outcome:
    """What came of one input.

    Attributes:
        refused: how, in one line; empty where it succeeded.
        problems: what is not as it must be; empty is well.
        seconds: that it took.
        grown: bytes of memory at the peak beyond what there was before.
    """

    refused: str
    problems: tuple[str, ...]
    seconds: float = 0.0
    grown: int = 0


def serve(pipe: Connection, seed: int, scratch: str) -> None:
    """Try inputs by their keys until told to end; what a process of the runner does."""
    import torch

    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    temporary = Path(scratch, "tmp")
    temporary.mkdir(parents=True)
    tempfile.tempdir = str(temporary)
    os.environ["TMPDIR"] = str(temporary)
    number = 0
    pipe.send("ready")
    while (key := pipe.recv()) is not None:
        number += 1
        torch.set_num_threads(1)  # a training has set its own
        pipe.send(tried(find(key), seed, Path(scratch, str(number)), temporary))


def tried(case: Case, seed: int, folder: Path, temporary: Path) -> Outcome:
    """Try an input in a new folder; `temporary` must be empty again when it is over."""
    folder.mkdir()
    os.chdir(folder)
    try:
        made = case.made(folder, seed)
        before, memory_before = _files(folder), _rss()
        begin = time.perf_counter()
        with _measured() as memory, _noise() as noise:
            refused, problems = _attempted(case, made)
        seconds = time.perf_counter() - begin
        problems += _left_behind(folder, before, temporary, _may_stay(case))
        if noise and noise[0]:
            problems.append(f"written to stdout: {printable(noise[0][:80])}")
        grown = memory[0] - memory_before
        if grown > GROWTH.get(case.kind, OTHER_GROWTH):
            problems.append(f"grew by {grown / 1e9:.1f} GB")
        return Outcome(refused, tuple(problems), seconds, grown)
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)


def _attempted(case: Case, made: Input) -> tuple[str, list[str]]:
    """How it was refused, and what is wrong."""
    try:
        ATTEMPTS[case.kind](made.argument)
    except SpoiltError as error:
        return "", [str(error)]
    except RefusedError as error:
        line, problems = _command_line(error, made, chatty=case.kind == "checkpoints")
    except GcnfaceError as error:
        line, problems = printable(error), _message(str(error), made.named)
    except PROGRAMMERS as error:
        line, problems = printable(error), _message(str(error), made.named)
        if case.kind not in NO_FILE:
            problems.append(f"raises {type(error).__name__}: {printable(error)[:200]}")
    except BaseException as error:
        line = f"raises {type(error).__name__}: {printable(error)[:200]}"
        problems = [line]
    else:
        return "", ["must be refused, succeeds"] if case.expect is Expect.REFUSE else []
    if case.expect is Expect.SUCCEED:
        problems.append(f"must succeed, is refused: {line}")
    return line or "without a word", problems


def _message(text: str, named: str) -> list[str]:
    """What is wrong with a message."""
    problems = []
    if not text:
        problems.append("is refused without a word")
    elif not text.isprintable():
        problems.append(f"message is not one printable line: {text!r}")
    if named not in text:
        problems.append(f"message does not name {named!r}: {text!r}")
    return problems


def _command_line(error: RefusedError, made: Input, *, chatty: bool) -> tuple[str, list[str]]:
    """The last line on stderr, and what is wrong with all; trainings are chatty."""
    lines = [line for line in error.text.splitlines() if line.strip()]
    problems = [] if lines else ["is refused without a word"]
    if error.status not in (1, 2):
        problems.append(f"exit status {error.status}")
    unprintable = [line for line in error.text.split("\n") if not line.isprintable()]
    if unprintable:
        problems.append(f"control characters on stderr: {unprintable[0]!r}")
    ours = [line.startswith("gcnface: ") for line in lines]
    if error.status == 1 and not (any(ours) if chatty else all(ours)):
        problems.append(f"stderr holds more than lines of gcnface: {' | '.join(lines)[:300]}")
    if " ".join(made.named.split()) not in " ".join(error.text.split()):
        problems.append(f"message does not name {made.named!r}: {' | '.join(lines[-2:])}")
    return lines[-1] if lines else "", problems


def _may_stay(case: Case) -> tuple[str, ...]:
    """Where an input may leave files; a training that fails leaves its configuration and its log."""
    if case.kind == "checkpoints":
        return ("run/",)
    return ("out/",) if case.kind == "words" and case.expect is not Expect.REFUSE else ()


def _left_behind(folder: Path, before: set[str], temporary: Path, results: tuple[str, ...]) -> list[str]:
    """Files and processes that are left; what begins as one of `results` may stay."""
    new = sorted(_files(folder) - before)
    rest = [name for name in new if not name.startswith(results) or ".gcnface-" in name or MARKER in name]
    problems = [f"left behind: {printable(name)}" for name in rest]
    for path in temporary.iterdir():
        if path.name.startswith("torchinductor_"):  # a cache of the torch library
            continue
        problems.append(f"left in the temporary folder: {printable(path.name)}")
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    return problems + [f"process left behind: {name}" for name in children()]


def _files(folder: Path) -> set[str]:
    """Every file, not the folders."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return {str(path.relative_to(folder)) for path in found}


def children() -> list[str]:
    """Processes that this one has, by their command lines; empty where there is no /proc."""
    listed = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
    names = []
    for number in " ".join(listed).split():
        try:
            name = Path("/proc", number, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if name and "resource_tracker" not in name:
            names.append(printable(name[:120]))
    return names


def _status(name: str) -> int:
    """Bytes of a line of /proc/self/status; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)


def _rss() -> int:
    return _status("VmRSS")


@contextmanager
def _measured() -> Iterator[list[int]]:
    """Bytes of memory at the peak within the block."""
    found = [0]
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        yield found
        return
    yield found
    found[0] = _status("VmHWM")


@contextmanager
def _noise() -> Iterator[list[str]]:
    """What libraries and other programs write to the file of stdout, past Python."""
    found: list[str] = []
    sys.stdout.flush()
    kept = os.dup(1)
    with tempfile.TemporaryFile(dir="/tmp") as file:
        os.dup2(file.fileno(), 1)
        try:
            yield found
        finally:
            sys.stdout.flush()
            ctypes.CDLL(None).fflush(None)
            os.dup2(kept, 1)
            os.close(kept)
            file.seek(0)
            found.append(file.read(2000).decode(errors="replace").strip())
