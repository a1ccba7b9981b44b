"""One executor for all that is done many times: in this process, in several of this machine, or on a cluster.

On one machine the workers are processes of loky, the executor inside joblib: fresh ones, so that nothing of this
process is copied, be it a lock or a thread; where a command knows that nothing but itself is at work, forks that share
the networks it has loaded. Clusters are those of Dask and Ray, by their own clients.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import re
import signal
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from types import ModuleType
from typing import Any

from gcnface.batch.capacity import FORKS
from gcnface.batch.worker import TaskResult, WorkerEndedError, attempt, begin, call, kept
from gcnface.errors import GcnfaceError, MissingPackageError, printable
from gcnface.system.signals import ENDING
from gcnface.system.threads import ONE_THREAD

_PATIENCE_S = 10.0
"""How long workers that were told to end may tidy up."""
_KILLED, _CONTINUE = 9, getattr(signal, "SIGCONT", signal.SIGTERM)
_CRASHES = {getattr(signal, name, None) for name in ("SIGSEGV", "SIGILL", "SIGFPE", "SIGABRT", "SIGBUS")}

Results = Generator[TaskResult, None, None]

Do = Callable[[Any], Any]
"""Does one task. Others than this process and its forks get it pickled; a worker keeps one copy for all its tasks."""


class WorkerLostError(GcnfaceError):
    """The process that did a task ended before the task was done, and so did that of the second attempt."""


def run_tasks(
    do: Do,
    tasks: Iterable[Any],
    *,
    workers: int = 1,
    cluster: str | None = None,
    ready: Callable[[], object] | None = None,
) -> Results:
    """Do tasks and give out what comes of them, in the order of the tasks, as it comes.

    Never more than two tasks a worker are taken beyond the last result that was taken from this iterator, so that
    nothing grows with their number. A process that ends before its task is done (killed, crashed, out of memory) costs
    its task a second attempt, with no other beside it; after a second such end the result is a `WorkerLostError`.
    Closing the iterator ends the workers; what they have half written is removed.

    Args:
        do: does a task; what it raises becomes the task's result.
        tasks: taken as workers get free; picklable where others than this process work.
        workers: processes of this machine; 1 is this one alone.
        cluster: address of a cluster that works instead, ``tcp://HOST:PORT`` (Dask) or ``ray://HOST:PORT``.
        ready: has `do` load all it needs; given by those who know that no other thread of this process is at work, so
            that workers may be forked and share what is loaded. None starts them afresh.

    Raises:
        MissingPackageError: what drives the cluster is not installed.
        GcnfaceError: there is no such cluster, or it is lost.
    """
    if cluster is None and workers <= 1:
        yield from (attempt(do, task) for task in tasks)
        return
    pool = LocalPool(workers, ready if FORKS else None) if cluster is None else _cluster(cluster)
    try:
        yield from _in_order(pool, do, tasks)
    finally:
        pool.close()


def _in_order(pool: LocalPool | _Cluster, do: Do, tasks: Iterable[Any]) -> Results:
    """Every task; of those that a lost worker leaves undone (future None) one at a time is tried again."""
    tasks, under_way = iter(tasks), deque[tuple[Any, Future[TaskResult] | None]]()
    while True:
        if all(future is not None for _, future in under_way):
            under_way.extend((task, pool.submit(do, task)) for task in islice(tasks, pool.window() - len(under_way)))
        if not under_way:
            return
        task, future = under_way.popleft()
        alone, future = future is None, future or pool.submit(do, task)
        error = future.exception()
        if isinstance(error, BrokenExecutor | WorkerEndedError | SystemExit):
            if pool.restart() and not alone:
                under_way.appendleft((task, None))
                under_way = deque((other, None if _lost(future) else future) for other, future in under_way)
                continue
            yield TaskResult(task, error=WorkerLostError(_fate(error)))
        elif error is not None:
            why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            yield TaskResult(task, error=WorkerLostError(f"its worker, or the way to it, was lost: {why}; try again"))
        else:
            yield future.result()


def _lost(future: Future[TaskResult] | None) -> bool:
    return future is None or not future.done() or future.exception() is not None


def _fate(error: BaseException) -> str:
    """How a process ended, and the remedy."""
    codes = re.findall(r"\((-?\d+)\)", str(error))
    code = error.args[0] if isinstance(error, WorkerEndedError) else -int(codes[0]) if codes else 0
    number = -code - 128 if code < -128 else code
    if number == _KILLED:
        return "its process was killed (signal 9, perhaps for want of memory); try again with --workers 1"
    if number in _CRASHES:
        return f"its process crashed (signal {number}); try again with --workers 1"
    if number > 0:
        return f"its process was told to end (signal {number}); try again"
    return f"its process ended{f' with exit status {-number}' if codes else ''}; try again with --workers 1"


class LocalPool:
    """Processes of this machine, started with the first task.

    Args:
        workers: how many.
        ready: as in `run_tasks`, where they are forked; None has fresh ones.
    """

    def __init__(self, workers: int, ready: Callable[[], object] | None = None) -> None:
        self._workers, self._ready, self._key = workers, ready, uuid.uuid4().hex
        self._executor: Any = None
        self._futures: set[Future[TaskResult]] = set()

    def submit(self, do: Do, task: Any) -> Future[TaskResult]:
        """Have a task done; the future raises only where its worker, or the way to it, is lost."""
        try:
            if self._executor is None and self._ready is not None:
                self._ready()
                kept[self._key] = do
            with _signals_blocked():
                self._executor = self._executor or self._started()
                future = self._executor.submit(call, self._key, None if self._ready else do, task)
        except BrokenExecutor as error:  # a worker has just died
            future = Future()
            future.set_exception(error)
            return future
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return future

    def window(self) -> int:
        """How many tasks may be under way."""
        return 2 * self._workers

    def restart(self) -> bool:
        """Start again with fresh workers after some were lost; False where the pool sees to that itself."""
        self.close()
        return True

    def close(self) -> None:
        """End the workers."""
        kept.pop(self._key, None)
        executor, self._executor = self._executor, None
        if executor is None:
            return
        if under_way := set(self._futures):
            for process in list(executor._processes.values()):
                with suppress(OSError):
                    process.terminate()
                    os.kill(process.pid, _CONTINUE)  # one that is stopped would not hear of it
            wait(under_way, _PATIENCE_S)
        executor.shutdown(wait=True, kill_workers=True)

    def _started(self) -> Any:
        from joblib.externals.loky import ProcessPoolExecutor

        quiet = any(action == "ignore" and kind is Warning for action, _, kind, *_ in warnings.filters)
        environment = {**ONE_THREAD, "PYTHONFAULTHANDLER": os.environ.get("PYTHONFAULTHANDLER", "")}
        parent = (os.getpid(), os.getcwd(), quiet)
        context = multiprocessing.get_context("fork") if self._ready else None
        return ProcessPoolExecutor(self._workers, context=context, initializer=begin, initargs=parent, env=environment)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Workers that are started in the block hear of no signal until they know what to do about it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, *ENDING))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True)
class _Cluster:
    """Workers of a cluster, which tries again by itself what it loses with a worker.

    Attributes:
        begin: has a worker make a `call` with its arguments.
        cores: how many there are at the time; clusters grow and shrink.
        close: lets go of the cluster, which stays; tasks that have not begun are given up.
    """

    begin: Callable[..., Future[TaskResult]]
    cores: Callable[[], float]
    close: Callable[[], None]
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def submit(self, do: Do, task: Any) -> Future[TaskResult]:
        """As in `LocalPool`."""
        return self.begin(self.key, do, task)

    def window(self) -> int:
        """As in `LocalPool`."""
        return 2 * max(1, int(self.cores()))

    def restart(self) -> bool:
        """As in `LocalPool`."""
        return False


def _cluster(address: str) -> _Cluster:
    """Reach a cluster; its driver, by the address."""
    if re.match(r"(tcp|tls|ucx|ws|wss|ray)://", address) is None:
        raise GcnfaceError(f"cluster is {address!r}; expected tcp://HOST:PORT (Dask) or ray://HOST:PORT")
    package, reach = ("ray", _ray) if address.startswith("ray://") else ("distributed", _dask)
    try:
        return reach(importlib.import_module(package), address)
    except ImportError as error:
        raise MissingPackageError(
            f'{package} is not installed, which drives such clusters; pip install "gcnface[cluster]"'
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        raise GcnfaceError(
            f"cluster {address} cannot be reached ({printable(error)}); start it, or check the address"
        ) from error


def _dask(distributed: ModuleType, address: str) -> _Cluster:
    client = distributed.Client(address, set_as_default=False, timeout=30)
    executor = client.get_executor(pure=False)

    def close() -> None:
        executor.shutdown(wait=False)
        client.close()

    return _Cluster(partial(executor.submit, call), lambda: len(client.ncores()), close)


def _ray(ray: ModuleType, address: str) -> _Cluster:
    ray.init(address=address, log_to_driver=False, logging_level="error")
    remote = ray.remote(num_cpus=1, max_retries=1)(call)
    cores = ray.cluster_resources
    return _Cluster(lambda *task: remote.remote(*task).future(), lambda: cores().get("CPU", 1), ray.shutdown)
