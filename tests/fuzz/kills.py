"""One run that is killed at some moment, and what must be true of what it leaves."""

import importlib
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

PATIENCE_S = 10.0
"""After it no process of a killed run may be left."""
LONGEST_S = 300.0
"""Of a run without a kill."""
_POLL_S = 0.004
_MARK = "GCNFACE_CHAOS"
_STAGE = ".gcnface-"
_CLOCKS = ("seconds", "seconds_total", "timings")


@dataclass(frozen=True)
class Job:
    """A command that is killed.

    Attributes:
        name: in the table.
        command: words of the whole command line; its working folder is new in every run, its results go to ``out``.
        compared: whether the file of this path, relative to ``out``, must be the same in the end.
        has_workers: other processes that can be killed in its place.
    """

    name: str
    command: tuple[str, ...]
    compared: Callable[[str], bool] = lambda name: True
    has_workers: bool = False


@dataclass(frozen=True)
class Kill:
    """When, how and whom.

    Attributes:
        moment: "time", a share of the unbroken run; "file", when a share of its files is there, each version of a file
            counting as one; "writing", the next file under way after that.
        share: of time or files, 0..1.
        number: the signal.
        target: "process", "group" or "worker".
        pause_s: between the moment and the signal.
    """

    moment: str
    share: float
    number: signal.Signals
    target: str
    pause_s: float = 0.0


@dataclass(frozen=True)
class Unbroken:
    """A run without a kill: what it left, how many versions of files it wrote, how long it took."""

    contents: dict[str, str]
    files: int
    seconds: float


@dataclass
class Told:
    """What came of a kill; `problems` is empty where all is well."""

    job: str
    kill: Kill
    hit: bool = False
    problems: list[str] = field(default_factory=list)


def unbroken(job: Job, folder: Path) -> Unbroken:
    """Run it to its end.

    Raises:
        RuntimeError: it fails.
    """
    begin = time.monotonic()
    process, _ = _started(job, folder)
    versions: set[tuple[str, int]] = set()
    while process.poll() is None and time.monotonic() - begin < LONGEST_S:
        versions |= _versions(folder / "out")
        time.sleep(_POLL_S)
    if process.poll() != 0:
        process.kill()
        raise RuntimeError(f"{job.name} fails without a kill: {(folder / 'log').read_text()[-800:]}")
    seconds = time.monotonic() - begin
    return Unbroken(contents(folder / "out", job.compared), len(versions), seconds)


def killed(job: Job, kill: Kill, reference: Unbroken, folder: Path) -> Told:
    """Kill it, look at what is left, run it again to its end and look again."""
    told = Told(job.name, kill)
    process, mark = _started(job, folder)
    out = folder / "out"
    _wait_for(kill, reference, out, process)
    time.sleep(kill.pause_s)
    told.hit = process.poll() is None
    _send(kill, process, mark)
    try:
        process.wait(PATIENCE_S if kill.target != "worker" else LONGEST_S)
    except subprocess.TimeoutExpired:
        told.problems.append(f"goes on for {PATIENCE_S:.0f} s after the signal")
    told.problems += _survivors(mark)
    told.problems += [f"half-written: {name}" for name in files(out) if not readable(out / name)]
    again, mark = _started(job, folder)
    try:
        if again.wait(LONGEST_S):
            told.problems.append(f"fails when run again: {(folder / 'log').read_text()[-500:]}")
    except subprocess.TimeoutExpired:
        told.problems.append("hangs when run again")
    told.problems += _survivors(mark)
    told.problems += differences(contents(out, job.compared), reference.contents)
    told.problems += [f"left over: {path.relative_to(folder)}" for path in folder.rglob(f"{_STAGE}*")]
    return told


def files(out: Path) -> list[str]:
    """Finished files, relative; those under way are left out."""
    found = []
    for place, folders, names in os.walk(out):
        folders[:] = [name for name in folders if not name.startswith(_STAGE)]
        found += [str(Path(place, name).relative_to(out)) for name in names if not name.startswith(_STAGE)]
    return sorted(found)


def _versions(out: Path) -> set[tuple[str, int]]:
    """Finished files, each with the time of its writing."""
    found = set()
    for name in files(out):
        with suppress(OSError):
            found.add((name, (out / name).stat().st_mtime_ns))
    return found


def contents(out: Path, compared: Callable[[str], bool] = lambda name: True) -> dict[str, str]:
    """A digest of each file, clocks apart."""
    return {name: sha256(_timeless(out / name)).hexdigest() for name in files(out) if compared(name)}


def differences(found: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """What differs between two runs."""
    missing = [f"missing in the end: {name}" for name in sorted(set(wanted) - set(found))]
    surplus = [f"surplus in the end: {name}" for name in sorted(set(found) - set(wanted))]
    other = [f"other in the end: {name}" for name in sorted(set(found) & set(wanted)) if found[name] != wanted[name]]
    return missing + surplus + other


def readable(path: Path) -> bool:
    """Whether a file is whole, as far as its kind can tell."""
    import torch
    from PIL import Image
    from safetensors import safe_open

    checks: dict[str, Callable[[Path], Any]] = {
        ".json": lambda path: json.loads(path.read_text()),
        ".npz": _arrays,
        ".npy": lambda path: np.load(path),
        ".ckpt": lambda path: torch.load(path, weights_only=True),
        ".safetensors": lambda path: safe_open(path, "pt").keys(),
        ".yaml": lambda path: importlib.import_module("yaml").safe_load(path.read_text()),
        ".png": lambda path: Image.open(path).load(),
        ".ply": lambda path: path.read_bytes()[:4] == b"ply\n" or 1 / 0,
        ".glb": lambda path: int.from_bytes(path.read_bytes()[8:12], "little") == path.stat().st_size or 1 / 0,
    }
    try:
        checks.get(path.suffix, Path.read_bytes)(path)
    except Exception:
        return False
    return True


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def _without_clocks(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_clocks(item) for key, item in value.items() if key not in _CLOCKS}
    return [_without_clocks(item) for item in value] if isinstance(value, list) else value


def _timeless(path: Path) -> bytes:
    """The bytes of a file; of JSON, alone or in an .npz, without seconds."""
    if path.suffix == ".json":
        return json.dumps(_without_clocks(json.loads(path.read_text()))).encode()
    if path.suffix != ".npz":
        return path.read_bytes()
    parts = []
    for name, value in _arrays(path).items():
        if name == "metadata":
            value = json.dumps(_without_clocks(json.loads(str(value))))
        parts.append((name, value if isinstance(value, str) else (str(value.dtype), value.shape, value.tobytes())))
    return repr(parts).encode()


def _started(job: Job, folder: Path) -> tuple[subprocess.Popen, str]:
    """The command in a session of its own; and the mark that all its processes carry."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex
    environment = {**os.environ, _MARK: mark, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            job.command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            # A job that a shell runs behind its back ignores Ctrl-C, and so would its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
    return process, mark


def _wait_for(kill: Kill, reference: Unbroken, out: Path, process: subprocess.Popen) -> None:
    """Until the moment is there or the process is gone."""
    begin = time.monotonic()
    versions: set[tuple[str, int]] = set()

    def come() -> bool:
        if kill.moment == "time":
            return time.monotonic() - begin >= kill.share * reference.seconds
        versions.update(_versions(out))
        if len(versions) < kill.share * reference.files:
            return False
        return kill.moment == "file" or any(out.rglob(f"{_STAGE}*"))

    while process.poll() is None and not come() and time.monotonic() - begin < LONGEST_S:
        time.sleep(_POLL_S)


def _send(kill: Kill, process: subprocess.Popen, mark: str) -> None:
    try:
        if kill.target == "group":
            os.killpg(process.pid, kill.number)
        elif kill.target == "process":
            os.kill(process.pid, kill.number)
        else:
            workers = [number for number in marked(mark) if number != process.pid]
            os.kill(max(workers, default=process.pid), kill.number)
    except ProcessLookupError:
        return


def _survivors(mark: str) -> list[str]:
    """Processes of a run that are still there after a while; they are ended."""
    until = time.monotonic() + PATIENCE_S
    while (left := marked(mark)) and time.monotonic() < until:
        time.sleep(0.1)
    for number in left:
        os.kill(number, signal.SIGKILL)
    return [f"{len(left)} processes are left after {PATIENCE_S:.0f} s"] if left else []


def marked(mark: str) -> list[int]:
    """Processes of a run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{_MARK}={mark}".encode() in path.read_bytes() and _alive(path.parent):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def _alive(process: Path) -> bool:
    return (process / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
