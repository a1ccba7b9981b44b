"""JSON that every program can read: without NaN and infinity, which are none, and without bottomless nesting."""

from __future__ import annotations

import json
import math
from typing import Any

DEEPEST = 20
"""Nesting beyond this is no file of ours, and takes programs to their limits."""


def written(content: Any, **how: Any) -> str:
    """The text of anything JSON can hold, null in place of numbers that are not finite; ``how`` is for `json.dumps`."""
    return json.dumps(_finite(content), allow_nan=False, **how)


def read(text: str) -> Any:
    """What a text says.

    Raises:
        ValueError: it is no JSON, or nested deeper than `DEEPEST`.
    """
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    _check_nesting(content, DEEPEST)
    return content


def _finite(value: Any) -> Any:
    """The value with None in place of floats that are not finite."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _check_nesting(value: Any, left: int) -> None:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if parts and not left:
        raise ValueError("it is nested too deeply")
    for part in parts:
        _check_nesting(part, left - 1)
