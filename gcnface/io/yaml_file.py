"""Configuration files: plain YAML of bounded size, refused with the line that is wrong before anything comes of it."""

from __future__ import annotations

import os
from pathlib import Path

from gcnface.errors import FileError
from gcnface.io.files import open_input

_LARGEST_FILE = 100_000
"""Bytes of a configuration; those of the project have about 500."""
_DEEPEST = 20
"""How many lists and mappings a configuration may nest; more than any record, far less than Python's recursion."""
_REMEDY = "mend it, or start from one of configs/*.yaml"


def check_yaml(path: Path) -> None:
    """Name the file and the line that is wrong; that it is missing the parser says.

    Raises:
        FileError: it is no plain file, is too large, no YAML, or no mapping, or uses aliases.
    """
    import yaml

    if not os.path.exists(path):
        return
    with open_input(path, remedy="give a YAML file") as file:
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise FileError(path, f"has more than {_LARGEST_FILE} bytes, too many for a configuration", _REMEDY)
    try:
        text = content.decode("utf-8")
        _check_expansion(path, text)
        values = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise FileError(path, f"is not UTF-8 text (byte {error.start})", "save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise FileError(path, f"is not YAML: {getattr(error, 'problem', error)}{where}", _REMEDY) from error
    if values is not None and not isinstance(values, dict):
        raise FileError(path, "holds no keys with values", _REMEDY)


def _check_expansion(path: Path, text: str) -> None:
    """Refuse what makes much of little text, before anything is made: aliases, and deep nesting."""
    import yaml

    depth = 0
    for event in yaml.parse(text):
        line = event.start_mark.line + 1
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise FileError(path, f"has the alias *{event.anchor} in line {line}", "write the value itself")
        if depth > _DEEPEST:
            raise FileError(path, f"nests more than {_DEEPEST} lists or mappings in line {line}", _REMEDY)
