"""Whatever a caller has set in torch and NumPy, gcnface computes as it was tested to."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_AUTOCAST_KINDS = ("cpu", "cuda", "mps")


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
        stack.enter_context(_FLOAT32)
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


class _Float32:
    """Makes float32 the default type while any thread is within; the last to leave puts the caller's back."""

    def __init__(self) -> None:
        self._lock, self._within = threading.Lock(), 0

    def __enter__(self) -> None:
        import torch

        with self._lock:
            if not self._within:
                self._callers = torch.get_default_dtype()
                if self._callers != torch.float32:
                    torch.set_default_dtype(torch.float32)
            self._within += 1

    def __exit__(self, *failure: object) -> None:
        import torch

        with self._lock:
            self._within -= 1
            if not self._within and self._callers != torch.float32:
                torch.set_default_dtype(self._callers)


_FLOAT32 = _Float32()
