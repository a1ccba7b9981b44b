"""A cure for torchvision beside a torch of another build, applied when torchvision is imported, whoever imports it.

`refine.torchvision_compat` says what is wrong and what is done. Here a finder waits for the first import of
torchvision in the process, so that a user who imports gcnface first may import lightning, torchmetrics or torchvision
whenever he likes; ``import gcnface`` itself stays free of torch.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from gcnface.system.own_packages import hidden_package

_IMPORTERS = ("torchvision", "facenet_pytorch", "torchmetrics", "lightning", "pytorch_lightning", "lightning_fabric")
"""Packages that import torchvision, and itself."""


def watch_torchvision() -> None:
    """Apply the cure when torchvision is imported for the first time, or again after a failure."""
    if "torchvision" in sys.modules or any(isinstance(finder, _Watch) for finder in sys.meta_path):
        return
    for name in [name for name in sys.modules if _left_behind(name)]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Watch())


def _left_behind(name: str) -> bool:
    """Whether a module is what a failed import of one of `_IMPORTERS` left: its package is gone, it would be lost."""
    package, _, rest = name.partition(".")
    return bool(rest) and package in _IMPORTERS and package not in sys.modules


class _Watch(MetaPathFinder):
    """Finds nothing by itself; hands on what the others find, with a loader that mends before and after."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of torchvision, once; None for everything else."""
        if fullname != "torchvision" or hidden_package() is not None:
            return None
        sys.meta_path.remove(self)
        from refine.torchvision_compat import mended

        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = mended()(spec.loader.exec_module)  # type: ignore[method-assign]
        return spec
