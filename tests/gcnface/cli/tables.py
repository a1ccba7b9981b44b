"""Writes the tables of options in docs/cli.md: python -m tests.gcnface.cli.tables."""

from dataclasses import fields
from pathlib import Path

from gcnface.cli.parser import default_of, flags_of, sentences, shown_as
from gcnface.options import (
    AlignOptions,
    BatchOptions,
    EvaluateOptions,
    FlattenOptions,
    PrepareOptions,
    RefineOptions,
    RenderOptions,
    TrackOptions,
    is_required,
    kinds_of,
)

MANUAL = Path(__file__).parents[3] / "docs" / "cli.md"
RECORDS = {
    "refine": RefineOptions,
    "render": RenderOptions,
    "align": AlignOptions,
    "track": TrackOptions,
    "flatten": FlattenOptions,
    "prepare": PrepareOptions,
    "evaluate": EvaluateOptions,
}
TABLES = {"photos": BatchOptions, **RECORDS}
"""What stands in the manual under which name; a command's table leaves out what the first one says."""


def table(name):
    """A table as the manual has it."""
    record = TABLES[name]
    kinds, said = kinds_of(record), sentences(record)
    common = set() if name == "photos" else {option.name for option in fields(BatchOptions)}
    lines = ["| option | meaning | default |", "|---|---|---|"]
    for option in fields(record):
        kind = kinds[option.name]
        if option.name in common and name != "render":
            continue
        if kind.switches:
            value = "" if kind.names else " N"
            lines += [f"| `--{flag}{value}` | {text} | off |" for flag, text in kind.switches.items()]
            continue
        sentence, _, own = said[option.name].partition(" (default: ")
        choice = f"; {kind.choice}" if kind.choice else ""
        spelled = ", ".join(f"`{word}`" for word in [*flags_of(option.name, kind)[:-1], _last(option.name, kind)])
        lines.append(f"| {spelled} | {sentence}{choice} | {own.rstrip(')') or _default(option, kind)} |")
    return "\n".join(lines)


def _last(name, kind):
    """The long spelling, with the value that it takes."""
    flag = "".join(flags_of(name, kind)[-1:])
    return f"{flag} {kind.metavar}{'...' * kind.often}".strip()


def _default(option, kind):
    value = default_of(option)
    if isinstance(value, bool):
        return f"on; `--no-{option.name}`" if value else "off"
    return "required" if is_required(option) else "" if value in (None, {}) else f"`{shown_as(value, kind)}`"


def manual_with_tables(text):
    """The manual's text with every table anew."""
    for name in TABLES:
        before, begin, rest = text.partition(f"<!-- options of {name} -->\n")
        assert begin, f"the table of {name} is missing in {MANUAL}"
        _, end, after = rest.partition("<!-- end -->")
        text = f"{before}{begin}\n{table(name)}\n\n{end}{after}"
    return text


if __name__ == "__main__":
    MANUAL.write_text(manual_with_tables(MANUAL.read_text(encoding="utf-8")), encoding="utf-8")
