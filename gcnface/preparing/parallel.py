"""Parts of a data set, one after the other or in several processes with one thread each."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import torch

from gcnface.errors import GcnfaceError
from gcnface.preparing.faces import FacePreparer, FaceSettings
from gcnface.preparing.shards import write_shard
from gcnface.preparing.sources import Source
from gcnface.threads import single_threaded

Part = tuple[list[Source], Path]
"""Photos and the file that their faces go to."""

_of_this_worker: list[FacePreparer] = []


def finished_parts(parts: Sequence[Part], settings: FaceSettings, workers: int) -> Iterator[list[Source]]:
    """Prepare parts and give out the photos of each as it gets done.

    What a part holds does not depend on how many workers there are.

    Args:
        parts: what is to do.
        settings: how.
        workers: processes; 1 or fewer works in this one.

    Raises:
        GcnfaceError: a worker was killed.
        OutputError: a part cannot be written.
    """
    if workers <= 1:
        with single_threaded():
            preparer = FacePreparer(settings)
            for sources, path in parts:
                write_shard(path, *preparer(sources))
                yield sources
        return
    # Forking a process that has used torch or OpenCV may hang its child.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _begin_worker, (settings,)) as pool:
        running = {pool.submit(_prepare, sources, path): sources for sources, path in parts}
        try:
            for future in as_completed(running):
                future.result()
                yield running[future]
        except BrokenProcessPool as error:
            raise GcnfaceError("a worker was killed, perhaps for memory; run again with fewer --workers") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin_worker(settings: FaceSettings) -> None:
    """A worker's networks; Ctrl-C is its parent's business, which lets it finish its part."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _of_this_worker[:] = [FacePreparer(settings)]


def _prepare(sources: list[Source], path: Path) -> None:
    write_shard(path, *_of_this_worker[0](sources))
