"""Records of settings as plain values, and their checks.

Imports no torch, so that help and wrong words are answered at once.
"""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints


def plain(settings: Any) -> Any:
    """Dataclasses, paths and tuples as YAML knows them."""
    if is_dataclass(settings):
        return {f.name: plain(getattr(settings, f.name)) for f in fields(settings)}
    if isinstance(settings, Path):
        return str(settings)
    if isinstance(settings, (tuple, list)):
        return [plain(item) for item in settings]
    return settings


def check_least(settings: Any, **least: float) -> None:
    """Numbers that must not lie below a limit: ``check_least(self, batch_size=1, weight_decay=0)``.

    Raises:
        ValueError: one does, or is no number at all.
    """
    for name, limit in least.items():
        value = getattr(settings, name)
        if not limit <= value < math.inf:
            raise ValueError(f"{name} is {value}; it must be {limit} or more")


def check_positive(settings: Any, *names: str) -> None:
    """Numbers that must lie above 0.

    Raises:
        ValueError: one does not.
    """
    for name in names:
        value = getattr(settings, name)
        if not 0 < value < math.inf:
            raise ValueError(f"{name} is {value}; it must be more than 0")


def check_choices(settings: Any) -> None:
    """Fields whose type names what they may be, as ``Literal["light", "resnet50"]`` does.

    Raises:
        ValueError: one is something else.
    """
    for name, hint in get_type_hints(type(settings)).items():
        value, known = getattr(settings, name), get_args(hint)
        if get_origin(hint) is Literal and value not in known:
            raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, known))}")
