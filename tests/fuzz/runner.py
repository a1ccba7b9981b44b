"""Inputs through processes that may hang or die: each has a time limit; a new process takes a lost one's place."""

import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import Empty, SimpleQueue
from types import TracebackType

from tests.fuzz.case import Case
from tests.fuzz.trial import Outcome, serve

LIMIT_S = 60.0
"""Beyond it an input hangs."""
START_S = 120.0
"""For a process to start."""
FIRST_S = 120.0
"""For its first input, which loads the networks."""


class Runner:
    """A process that tries inputs.

    Args:
        seed: of all that is random in them.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._context = multiprocessing.get_context("spawn")
        self._process: multiprocessing.process.BaseProcess | None = None

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def tried(self, case: Case) -> Outcome:
        """Try an input."""
        limit = LIMIT_S if self._process is not None else FIRST_S
        if self._process is None:
            self._start()
        begin = time.monotonic()
        self._pipe.send(case.key)
        if not self._pipe.poll(limit):
            self._end()
            return Outcome("", (f"hangs: nothing in {limit:.0f} s",), time.monotonic() - begin)
        try:
            return self._pipe.recv()
        except (EOFError, OSError):
            assert self._process is not None
            self._process.join(10)
            code = self._process.exitcode
            self._end()
            return Outcome("", (f"the process died with {code}",), time.monotonic() - begin)

    def _start(self) -> None:
        self._scratch = tempfile.mkdtemp(prefix="gcnface-fuzz-")
        self._pipe, there = self._context.Pipe()
        self._process = self._context.Process(target=serve, args=(there, self._seed, self._scratch))
        self._process.start()
        there.close()
        if self._pipe.poll(START_S):
            self._pipe.recv()

    def _end(self) -> None:
        if self._process is None:
            return
        try:
            self._pipe.send(None)
            self._process.join(1)
        except OSError:
            pass
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._pipe.close()
        self._process = None
        shutil.rmtree(self._scratch, ignore_errors=True)


def tried_by(count: int, cases: Sequence[Case], seed: int) -> Iterator[tuple[Case, Outcome]]:
    """All inputs, shared by so many processes, as they get done."""
    waiting: SimpleQueue[Case] = SimpleQueue()
    for case in cases:
        waiting.put(case)
    done: SimpleQueue[tuple[Case, Outcome]] = SimpleQueue()

    def work() -> None:
        with Runner(seed) as runner:
            while True:
                try:
                    case = waiting.get_nowait()
                except Empty:
                    return
                done.put((case, runner.tried(case)))

    with ThreadPoolExecutor(count) as pool:
        running = [pool.submit(work) for _ in range(count)]
        for _ in cases:
            while True:
                try:
                    yield done.get(timeout=1)
                    break
                except Empty:
                    for future in running:
                        if future.done():
                            future.result()
        for future in as_completed(running):
            future.result()
