"""The packages ``render``, ``coarse`` and ``refine`` that gcnface is made of, and a user's files that hide them.

They are packages of the top level, so a ``render.py`` or a folder ``render`` beside a user's script is found before
gcnface's own. Whatever then happened would be a riddle; instead one error names the file and the remedy. Nothing here
imports one of the three: where ``render`` is hidden, even the classes of errors are read from their file.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

NAMES = ("render", "coarse", "refine")

_ROOT = Path(__file__).resolve().parents[2]


def hidden_package() -> tuple[str, Path] | None:
    """The first of `NAMES` that Python would not import from gcnface's own folder, and what it would import instead.

    What is not found at all is left to the import itself, and so is a folder without ``__init__.py``, which hides
    nothing: the packages of an installed gcnface come before it.
    """
    for name in NAMES:
        found = _file(name)
        if found is not None and found != _ROOT / name / "__init__.py":
            return name, found.parent if found.name == "__init__.py" else found
    return None


def check_own_packages() -> None:
    """Raise unless gcnface's own packages are the ones that Python finds.

    Raises:
        HiddenPackageError: a GcnfaceError and an ImportError that names the file in the way and the remedy.
    """
    hidden = hidden_package()
    if hidden is not None:
        name, found = hidden
        what = f"this {'folder' if found.is_dir() else 'file'} hides gcnface's own package {name!r}"
        text = f"{errors_module().printable(found)}: {what}; rename it"
        raise _error_class()(text, name=name, path=str(found))


def errors_module() -> ModuleType:
    """`gcnface.errors`, or where that cannot be imported because ``render`` is hidden, a copy of what it re-exports."""
    hidden = hidden_package()
    if hidden is not None and hidden[0] == "render":
        return _errors_from_file()
    return importlib.import_module("gcnface.errors")


def _file(name: str) -> Path | None:
    """The file that a name stands for, imported already or not."""
    module = sys.modules.get(name)
    try:
        spec = None if module else importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    file = spec.origin if spec and spec.has_location else getattr(module, "__file__", None)
    return Path(file).resolve() if file else None


@cache
def _error_class() -> type[Any]:
    """The class to raise; made on demand, since its base may have to be read from its file."""
    return type("HiddenPackageError", (errors_module().GcnfaceError, ImportError), {"__module__": __name__})


@cache
def _errors_from_file() -> ModuleType:
    loader = SourceFileLoader(f"{__name__}.errors", str(_ROOT / "render" / "errors.py"))
    module = ModuleType(loader.name)
    loader.exec_module(module)
    return module
