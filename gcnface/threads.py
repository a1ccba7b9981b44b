"""Threads of the libraries that compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import torch


@contextmanager
def single_threaded() -> Iterator[None]:
    """One thread in torch and OpenCV, and as many as before afterwards.

    Sums then come in the same order as in a worker process; and a process can be forked: a fork has none of the
    threads and would wait for them.
    """
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
