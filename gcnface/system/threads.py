"""Threads of the libraries that compute: one where sums must come in one order, and none that a fork would wait for.

One rule holds for every process that is forked, by gcnface or by whoever uses it: it computes with one thread. The
threads of its parent are not there, and what waits for them waits for ever.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_opencv_threads: list[int] = []
"""How many OpenCV had before the forks under way."""


@contextmanager
def single_threaded() -> Iterator[None]:
    """One thread in torch and OpenCV, and as many as before afterwards: sums come in the same order as in a worker."""
    import cv2
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    one_thread()
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1", "OMP_WAIT_POLICY": "PASSIVE"}
"""Environment in which torch and OpenCV have one thread when they are loaded."""


def one_thread() -> None:
    """One thread in torch and OpenCV from now on, as far as they are loaded; `ONE_THREAD` is for what comes later."""
    for name, set_threads in (("torch", "set_num_threads"), ("cv2", "setNumThreads")):
        module = sys.modules.get(name)
        if hasattr(module, set_threads):
            getattr(module, set_threads)(1)


def survive_forks() -> None:
    """Have every fork of this process compute with one thread, if torch and OpenCV are loaded by then.

    A fork whose parent had loaded neither loads them itself and has all threads.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_stop_opencv, after_in_parent=_restart_opencv, after_in_child=one_thread)


def _stop_opencv() -> None:
    """End OpenCV's threads in the parent: a child that ended them would wait for threads that it does not have."""
    cv2: Any = sys.modules.get("cv2")
    if hasattr(cv2, "setNumThreads"):  # not so while it is being imported
        _opencv_threads.append(cv2.getNumThreads())
        cv2.setNumThreads(1)


def _restart_opencv() -> None:
    if _opencv_threads:
        sys.modules["cv2"].setNumThreads(_opencv_threads.pop())
