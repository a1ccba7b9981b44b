"""Whatever a caller has set in torch and NumPy, gcnface computes as it was tested to."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

_AUTOCAST_KINDS = ("cpu", "cuda", "mps")
_lock = threading.Lock()
_types_before: list[Any] = []
"""Default types that the calls under way have found: the first one's is the caller's."""


@contextmanager
def plain_torch() -> Iterator[None]:
    """Torch and NumPy as they are at the start of a process; to be used as a decorator, ``@plain_torch()``.

    Within it the default type is float32 and the default device the CPU, there is no autocast and no inference mode,
    gradients are tracked, and NumPy treats overflows as it does by itself. So a call gives the same result wherever it
    is made, and networks that are loaded and kept are fit for any later call. Afterwards everything is as the caller
    had it. The default type is one for all threads of a process: while a call lasts it is float32 for the others too.
    """
    if "torch" not in sys.modules:  # nothing can have been set, and what needs no torch shall not wait for its import
        yield
        return
    import numpy as np
    import torch

    with ExitStack() as stack:
        stack.enter_context(_float32())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in _AUTOCAST_KINDS:
            if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if not _cpu_is_default():
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        yield


def _cpu_is_default() -> bool:
    import torch

    try:
        return torch.get_default_device().type == "cpu"
    except (AssertionError, RuntimeError):  # it is one that this machine does not have
        return False


@contextmanager
def _float32() -> Iterator[None]:
    """Make float32 the default type while any thread is within; the last to leave puts the caller's back."""
    import torch

    with _lock:
        _types_before.append(torch.get_default_dtype())
        if _types_before[-1] != torch.float32:
            torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        with _lock:
            before = _types_before.pop()
            if not _types_before and before != torch.float32:
                torch.set_default_dtype(before)
