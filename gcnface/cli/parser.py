"""From words and YAML files to the record of a command; what is wrong with them is one line, and status 2."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, NoReturn, cast, get_type_hints

from gcnface import options
from gcnface.cli.commands import end_of_help
from gcnface.cli.program import Friendly
from gcnface.io.yaml_file import check_yaml
from gcnface.kinds import Kind, OptionError
from gcnface.names import did_you_mean
from gcnface.options import Record, is_required, kinds_of
from render.devices import is_device_name
from render.errors import DeviceError

_UNKNOWN_KEY = re.compile(r"Option '([^']*)' is not accepted")
_CONFIG = "--config"


class _Gather(argparse.Action):
    """Gathers the words of all its flags; they replace what a configuration file says."""

    def __init__(self, *, gathered: list[str], **options: Any) -> None:
        super().__init__(**options)
        self.gathered = gathered

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Take the words in."""
        found = [self.const] if self.nargs == 0 else values if isinstance(values, list) else [values]
        self.gathered += [word for word in found if word is not None]
        if self.gathered:
            setattr(namespace, self.dest, self.gathered[-1] if self.nargs == "?" else list(self.gathered))


def record_of(command: Callable[[Any], int]) -> type[Record]:
    """The record that a command takes."""
    return cast(type[Record], get_type_hints(command)["options"])


def read_options(command: Callable[[Any], int], words: Sequence[str]) -> Any:
    """The record that a command takes.

    Args:
        command: a function of `gcnface.cli.commands`.
        words: what follows the command; options win over those of ``--config FILE``, wherever that stands.

    Raises:
        FileError: a configuration file is none.
        DeviceError: there is no such device.
        SystemExit: wrong words or values (status 2), or help.
    """
    import jsonargparse

    record, (files, others) = record_of(command), _configs_first(words)

    class Parser(Friendly, jsonargparse.ArgumentParser):
        """Names the key of a configuration file that is none."""

        def error(self, message: str, ex: Exception | None = None) -> NoReturn:
            unknown = _UNKNOWN_KEY.search(message)
            if unknown:
                hint = did_you_mean(unknown[1], kinds_of(record))
                message = f"{', '.join(files)}: there is no option {unknown[1]!r}{hint}"
            super().error(message.replace('Parser key "config"', _CONFIG))

    parser = Parser(
        f"gcnface {command.__name__}",
        usage=f"gcnface {command.__name__} {usage(record)}",
        description=record.__doc__,
        epilog=end_of_help(command),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_options(parser, record)
    parser.add_argument(_CONFIG, action="config", metavar="FILE", help="YAML file of options, named as in Python")
    shows = parser._option_string_actions["--print_config"]  # whose own help holds a backspace
    shows.metavar, shows.help = "", "print the options that result as such a file, and exit"
    parser.words = words
    for file in files:
        check_yaml(Path(file))
    given = parser.parse_args([*(f"{_CONFIG}={file}" for file in files), *others]).as_dict()
    return _record(parser, record, given)


def _configs_first(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The configuration files that are named, and all other words."""
    files, others, left = [], [], list(words)
    while left and left[0] != "--":
        word = left.pop(0)
        if word == _CONFIG and left:
            files.append(left.pop(0))
        elif word.startswith(f"{_CONFIG}="):
            files.append(word.partition("=")[2])
        else:
            others.append(word)
    return files, [*others, *left]


def _record(parser: argparse.ArgumentParser, record: type[Record], given: dict[str, Any]) -> Record:
    """The record of parsed values; its complaints are those of the parser, in the spelling of the command line."""
    spellings = {name: "/".join(flags_of(name, kind)) or kind.metavar for name, kind in kinds_of(record).items()}
    values = {name: given[name] for name in spellings if given[name] not in (None, [])}
    missing = [spellings[option.name] for option in fields(record) if is_required(option) and option.name not in values]
    if missing:
        parser.error(f"the following arguments are required: {', '.join(missing)}")
    try:
        return record(**values)
    except OptionError as error:
        parser.error(error.spelled(spellings))
    except DeviceError as error:
        if is_device_name(str(values["device"])):
            raise
        parser.error(str(error))


def flags_of(name: str, kind: Kind) -> list[str]:
    """How a field is spelled as an option; not at all where it is an argument without one."""
    flag = f"--{name.replace('_', '-')}" if kind.flag is None else kind.flag
    return [word for word in (kind.short, flag) if word]


def usage(record: type[Record]) -> str:
    """What a command takes, in one line."""
    kinds, required = kinds_of(record), [option.name for option in fields(record) if is_required(option)]
    words = [" ".join([*flags_of(n, kinds[n])[:1], kinds[n].metavar + "..." * kinds[n].often]) for n in required]
    return " ".join([*words, "[options]"])


def add_options(parser: argparse.ArgumentParser, record: type[Record]) -> None:
    """An option for every field of a record: what is required first, then what the command alone has.

    Their values are words as they were given, or what a configuration file holds: the record's kinds read them.
    """
    said, kinds, groups = sentences(record), kinds_of(record), {"options": cast(Any, parser)}
    for option in sorted(fields(record), key=lambda option: _place(record, option)):
        kind = kinds[option.name]
        if kind.group not in groups:
            groups[kind.group] = parser.add_argument_group(kind.group)
        default = default_of(option)
        sentence = _with_choice(said[option.name], kind, default)
        for action in _add(groups[kind.group], option.name, kind, sentence.replace("%", "%%")):
            action.default = list(default) if isinstance(default, tuple) else None if default == {} else default


def _with_choice(sentence: str, kind: Kind, default: Any) -> str:
    """What the help says of a field: its sentence, what there is to choose from, and the default."""
    said, bracket, own = sentence.partition(" (default:")
    choice = f"; {kind.choice}" if kind.choice and not kind.switches else ""
    shown = "" if bracket or default is None or default == {} else f" (default: {shown_as(default, kind)})"
    return said + choice + bracket + own + shown


def shown_as(value: Any, kind: Kind) -> str:
    """A default as it is typed."""
    if isinstance(value, tuple):
        return "all" if value == tuple(kind.names) else ",".join(shown_as(one, kind) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def default_of(option: Field[Any]) -> Any:
    """The default of a field, None where it has none."""
    if option.default_factory is not MISSING:
        return option.default_factory()
    return None if option.default is MISSING else option.default


def _place(record: type[Record], option: Field[Any]) -> tuple[bool, int]:
    owned = [option.name in vars(base).get("__annotations__", ()) for base in record.__mro__]
    return not is_required(option), owned.index(True)


def _add(group: Any, name: str, kind: Kind, sentence: str) -> list[argparse.Action]:
    """The arguments of a field."""
    flags, gathering = flags_of(name, kind), {"action": _Gather, "gathered": [], "dest": name}
    if kind.switches:
        group.description = sentence
        as_words: dict[str, Any] = {"nargs": 0, **gathering}
        each = {n: {"const": n, **as_words} if kind.names else {"dest": f"{name}.{n}"} for n in kind.switches}
        return [group.add_argument(f"--{n}", help=kind.switches[n], metavar="N", **how) for n, how in each.items()]
    how: dict[str, Any] = {"help": sentence, "dest": name, "default": None}
    how |= {"metavar": kind.metavar} if kind.metavar else {"action": argparse.BooleanOptionalAction}
    if kind.often:
        how |= {"nargs": "+" if flags else "*", **gathering}
    elif not flags:
        how |= {"nargs": "?", **gathering}
    return [group.add_argument(*flags, **how)]


def sentences(record: type[Record]) -> dict[str, str]:
    """What the docstring below each field says: of records of `gcnface.options`, whose source is read once."""
    classes = (node for node in ast.parse(Path(options.__file__).read_bytes()).body if isinstance(node, ast.ClassDef))
    bodies = {node.name: node.body for node in classes}
    found = {}
    for base in reversed(record.__mro__):
        body = bodies.get(base.__name__, [])
        for option, said in zip(body, body[1:], strict=False):
            if isinstance(option, ast.AnnAssign) and isinstance(said, ast.Expr):
                found[ast.unparse(option.target)] = " ".join(ast.literal_eval(said.value).split())
    return found
