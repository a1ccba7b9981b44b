"""Seconds and memory of `gcnface refine`: a photo warm by stage, the command cold, a folder by one and more processes.

    python -m benchmarks.speed [--faces ../shared/faces] [--photos 16] [--workers 1 2]

Wall times mean something on a quiet machine only; the seconds of CPU stand beside them. A folder run counts from its
first results on, so that loading is left out; lines come in the order of the photos. Memory is what all processes of a
run hold together at its height, what they share counted once (Linux; elsewhere the largest process).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.single_photo import chosen_samples
from gcnface.io.images import read_photo
from gcnface.pipeline import Reconstructor

_SAMPLE_S = 0.2


@dataclass(frozen=True)
class CommandRun:
    """One run of the command line.

    Attributes:
        seconds: from start to end.
        cpu_seconds: of all its processes.
        told: seconds from the start at which each photo's line came.
        peak_gb: memory of all its processes together.
    """

    seconds: float
    cpu_seconds: float
    told: list[float]
    peak_gb: float

    def photos_a_second(self, workers: int) -> float:
        """After each process has done its first photo."""
        skipped = min(workers, len(self.told) - 1)
        return (len(self.told) - skipped) / max(self.told[-1] - self.told[skipped - 1], 1e-9)


def stages(photos: list[Path], warm_up: int = 2) -> dict[str, list[float]]:
    """Seconds by stage of each photo after the first few; "all" from the picture to the record, "cpu" likewise."""
    reconstructor = Reconstructor()
    found: dict[str, list[float]] = {}
    for count, path in enumerate(photos):
        photo = read_photo(path)
        begin, cpu = time.perf_counter(), time.process_time()
        faces = reconstructor(photo)
        both = {"all": time.perf_counter() - begin, "cpu": time.process_time() - cpu}
        if faces and count >= warm_up:
            for name, seconds in {**faces[0].timings, **both}.items():
                found.setdefault(name, []).append(seconds)
    return found


def run_command(photos: list[Path], workers: int) -> CommandRun:
    """`gcnface refine` with all formats in a fresh process.

    Raises:
        RuntimeError: the command failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        words = [*map(str, photos), "-o", folder, "--workers", str(workers)]
        begin = time.perf_counter()
        command = [sys.executable, "-m", "gcnface", "refine", *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        memory = _Memory(process.pid)
        told = [time.perf_counter() - begin for _ in process.stdout]
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"gcnface refine ended with status {process.returncode}; its messages stand above")
    peak_gb = memory.stop() or usage.ru_maxrss / 2**20
    return CommandRun(seconds, usage.ru_utime + usage.ru_stime, told, peak_gb)


class _Memory:
    """Watches a process and its children: the largest sum of their proportional set sizes (/proc, Linux)."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak_kb, self._ended = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """The peak in GB; 0 where it cannot be measured."""
        self._ended.set()
        self._thread.join()
        return self._peak_kb / 2**20

    def _watch(self) -> None:
        while not self._ended.wait(_SAMPLE_S):
            self._peak_kb = max(self._peak_kb, sum(_shared_kb(pid) for pid in [self._pid, *_children(self._pid)]))


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _shared_kb(pid: int) -> int:
    """Proportional set size of a process: its own pages, and its share of those it shares."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, default=Path("../shared/faces"))
    parser.add_argument("--photos", type=int, default=16, help="how many, all of different held-out people")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="processes of the folder runs")
    arguments = parser.parse_args()
    samples = chosen_samples(arguments.faces, 0)
    photos = [sample.file for sample in samples[:: max(1, len(samples) // arguments.photos)]][: arguments.photos]
    found = stages(photos)
    print(f"{len(photos)} photos, warm\n| stage | median s | 90 % |\n|---|---|---|")
    for name, seconds in found.items():
        print(f"| {name} | {np.median(seconds):.3f} | {np.percentile(seconds, 90):.3f} |", flush=True)
    cold = run_command(photos[:1], 1)
    print("\n| command, all formats | s | CPU s | photos a second | CPU s a photo | GB |\n|---|---|---|---|---|---|")
    print(f"| one photo, cold | {cold.seconds:.1f} | {cold.cpu_seconds:.1f} | | | {cold.peak_gb:.2f} |", flush=True)
    for workers in arguments.workers:
        run = run_command(photos, workers)
        each = (run.cpu_seconds - cold.cpu_seconds) / max(len(photos) - 1, 1)
        print(
            f"| {len(photos)} photos, workers {workers} | {run.seconds:.1f} | {run.cpu_seconds:.1f} "
            f"| {run.photos_a_second(workers):.2f} | {each:.2f} | {run.peak_gb:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
