"""Records of settings: from words and YAML files, from plain values, and back to plain values.

Imports no torch, so that help and wrong words are answered at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import re
import typing
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gcnface.errors import FileError, printable
from gcnface.io.files import open_input

if TYPE_CHECKING:
    import jsonargparse

_CLOSE_ENOUGH = 0.6
"""How alike two names must be, 0..1, for one to be suggested in place of the other."""
_LARGEST_FILE = 100_000
"""Bytes of a configuration; those of the project have about 500."""
_DEEPEST = 20
"""How many lists and mappings a configuration may nest; more than any record, far less than Python's recursion."""
_REMEDY = "mend it, or start from one of configs/*.yaml"


def plain(settings: Any) -> Any:
    """Dataclasses, paths and tuples as YAML knows them."""
    if is_dataclass(settings):
        return {f.name: plain(getattr(settings, f.name)) for f in fields(settings)}
    if isinstance(settings, Path):
        return str(settings)
    if isinstance(settings, (tuple, list)):
        return [plain(item) for item in settings]
    return settings


def record(kind: type, values: Any) -> Any:
    """The dataclass whose plain form `values` is: the inverse of `plain`.

    Args:
        kind: of the record.
        values: a mapping of plain values; an instance of `kind` is returned as it is.
    """
    if isinstance(values, kind):
        return values
    parser = _parser(kind, "", "")
    return _instance(kind, parser, parser.parse_object(dict(values)))


def parse_configuration(kind: type, name: str, words: Sequence[str], summary: str = "a network") -> Any:
    """Defaults, then the YAML file, then the ``KEY=VALUE`` words, as one instance of ``kind``.

    Args:
        kind: dataclass with a default for every field.
        name: of what is trained.
        words: ``--config FILE`` and ``KEY=VALUE`` words.
        summary: what is trained, for the help.

    Raises:
        FileError: the YAML file is no plain file, is too large, no YAML, or no mapping, or uses aliases.
        SystemExit: an unknown key, a value of the wrong type or a missing file (status 2), or help.
    """
    parser = _parser(kind, name, summary)
    options = [f"--{word}" if "=" in word and word[0] != "-" else word for word in words]
    for option, value in zip(options, [*options[1:], ""], strict=False):
        if option == "--config" or option.startswith("--config="):
            _check_yaml(Path(value if option == "--config" else option.partition("=")[2]))
    try:
        namespace = parser.parse_args(options)
        parser.validate(namespace, skip_unset=False)  # a key of a file that is null counts as unset, and passes
        return _instance(kind, parser, namespace)
    except (ValueError, TypeError) as error:
        return parser.error(str(error))


def check_least(settings: Any, **least: float) -> None:
    """Numbers that must not lie below a limit: ``check_least(self, epochs=1, gradient_clip=0)``.

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


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """" (did you mean ...?)" with the likeliest of some names, or nothing when none is alike."""
    close = difflib.get_close_matches(word, known, 1, _CLOSE_ENOUGH)
    return f" (did you mean {close[0]}?)" if close else ""


def keys(kind: type, prefix: str = "") -> Iterator[str]:
    """Every key of a configuration, those of the records inside it with dots."""
    for name, hint in typing.get_type_hints(kind).items():
        yield prefix + name
        if is_dataclass(hint):
            yield from keys(typing.cast(type, hint), f"{prefix}{name}.")


def _instance(kind: type, parser: jsonargparse.ArgumentParser, namespace: Any) -> Any:
    values = parser.instantiate_classes(namespace)
    return kind(**{field.name: values[field.name] for field in dataclasses.fields(kind)})


def _parser(kind: type, name: str, summary: str) -> jsonargparse.ArgumentParser:
    """A parser with an option for every field of the dataclass, nested ones with dots."""
    import jsonargparse

    class Parser(jsonargparse.ArgumentParser):
        """Says what is wrong in one line instead of listing every key."""

        def error(self, message: str, ex: Exception | None = None) -> NoReturn:
            self.exit(2, f"gcnface train {name}: {_reason(message, list(keys(kind)))}; -h lists every key\n")

    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = Parser(
        prog=f"gcnface train {name}",
        description=f"Train {summary}. Write KEY=VALUE or --KEY VALUE.",
        usage="%(prog)s [--config FILE] [KEY=VALUE ...]",
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="config", help="YAML file of what differs from the defaults")
    parser.add_class_arguments(kind, None)
    return parser


def _reason(message: str, known: Sequence[str]) -> str:
    """A parser's message in one line, with the likeliest key in place of an unknown one."""
    text = printable(" ".join(message.split()))
    group = re.search(r"Group '([^']*)' does not accept option '([^']*)'", text)
    word = re.search(r"unrecognized arguments: (?:--)?([^=\s]+)", text) or re.search(r"option '([^']*)'", text)
    if word is None:
        return text
    key = f"{group[1]}.{group[2]}" if group else word[1]
    elsewhere = [k for k in known if k.rpartition(".")[2] == key.rpartition(".")[2]]  # epochs for run.epochs
    hint = f" (did you mean {elsewhere[0]}?)" if elsewhere else did_you_mean(key, known)
    return f"there is no key {key!r}{hint}"


def _check_yaml(path: Path) -> None:
    """Name the file and the line that is wrong; that it is missing the parser says."""
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
