"""Rasterisers with the same functions, and which of them is in use. Loads neither before something is drawn."""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType

from render.errors import MissingPackageError

BACKENDS = ("torch", "pytorch3d")
VARIABLE = "GCNFACE_RENDERER"
"""The environment variable that holds the choice, so that processes which are started later make the same."""


def backend() -> str:
    """Name of the rasteriser in use: the one that was chosen last, else the environment's, else "torch"."""
    return os.environ.get(VARIABLE) or BACKENDS[0]


class use_backend:
    """Draw with another rasteriser, in this process and in those it starts: for good, or for one `with` block.

    The choice is the environment variable `GCNFACE_RENDERER`, which may also be set from outside.

    Args:
        name: "torch" or "pytorch3d".

    Raises:
        ValueError, MissingPackageError: as `load`.
    """

    def __init__(self, name: str) -> None:
        load(name)
        self._before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = name

    def __enter__(self) -> None:
        """Nothing: the choice holds since the call."""

    def __exit__(self, *error: object) -> None:
        """Back to the choice of before."""
        if self._before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = self._before


def available_backends() -> tuple[str, ...]:
    """Names of the rasterisers that can be used on this machine."""
    return tuple(name for name in BACKENDS if _loads(name))


def load(name: str | None = None) -> ModuleType:
    """The rasteriser of a name, or the one in use: a module with the functions that `render.backends.torch` documents.

    Raises:
        ValueError: there is no rasteriser of that name.
        MissingPackageError: its library is not installed, or cannot be loaded.
    """
    name = name or backend()
    if name not in BACKENDS:
        raise ValueError(f"renderer is {name!r}; expected 'torch' or 'pytorch3d'")
    try:
        return import_module(f"render.backends.{name}")
    except ImportError as error:
        raise MissingPackageError(
            f"the renderer {name} cannot be loaded ({error}); install PyTorch3D as "
            "https://github.com/facebookresearch/pytorch3d/blob/main/INSTALL.md says, or use the renderer torch"
        ) from error


def _loads(name: str) -> bool:
    try:
        return bool(load(name))
    except MissingPackageError:
        return False
