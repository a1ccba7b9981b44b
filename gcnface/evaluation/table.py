"""The tables people read, and the files programs read: Markdown, JSON, CSV, all from the fields of the values."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gcnface.evaluation.bootstrap import Interval
from gcnface.evaluation.records import PHOTO_ITSELF, Metric
from gcnface.evaluation.registries import IDENTITY, METHODS, REFERENCE
from gcnface.evaluation.summary import Summary, column_of, key_metrics

_OWN_METRICS = {
    Metric("skin_angle", "photo"): "typology angle in the photo, °",
    Metric("skin_angle", "albedo"): "typology angle of the albedo, °",
    Metric("seen_share"): "share of the face that is seen",
    Metric("glasses_share"): "glasses, share of the head",
}
"""What is said of the photos of each group."""


def write_tables(folder: Path, summary: Summary) -> None:
    """table.json, table.md and metrics.csv into a folder that exists."""
    (folder / "table.json").write_text(json.dumps(data_of(summary), indent=1), encoding="utf-8")
    (folder / "table.md").write_text(markdown(summary), encoding="utf-8")
    with (folder / "metrics.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [value.fields() for value in summary.report.values]
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def data_of(summary: Summary) -> dict[str, Any]:
    """Everything, as JSON values; every number stands in a record with all fields of its metric."""
    report = summary.report
    pairs = [(method, metric) for method in report.methods for metric in summary.metrics]
    others = [pair for pair in pairs if REFERENCE in report.methods and pair[0] != REFERENCE]
    own = [(PHOTO_ITSELF, metric) for metric in summary.photo_metrics]
    return {
        "settings": dict(report.settings),
        "methods": {m: {"title": METHODS[m].title, "summary": METHODS[m].summary} for m in report.methods},
        "left_out": dict(report.left_out),
        "failed": dict(report.failed),
        "notes": list(report.notes),
        "means": _intervals((m, n, summary.mean(m, n)) for m, n in pairs + own),
        "ours_minus": _intervals((m, n, summary.difference(m, n)) for m, n in others),
        "splits": {
            kind: {
                group: _intervals((m, n, summary.mean(m, n, photos)) for m, n in pairs)
                for group, photos in summary.groups(kind).items()
            }
            for kind in report.groups
        },
        "photos": _photo_records(summary),
    }


def _photo_records(summary: Summary) -> list[dict[str, Any]]:
    """All values of every photo, and the groups it is in."""
    groups = summary.report.groups
    found: dict[str, dict[str, Any]] = {}
    for value in summary.report.values:
        record = value.fields() | {"value": _number(value.value)}
        photo, person = record.pop("photo"), record.pop("person")
        own = {kind: of[photo] for kind, of in groups.items() if photo in of}
        found.setdefault(photo, {"photo": photo, "person": person, "groups": own, "metrics": []})
        found[photo]["metrics"].append(record)
    return list(found.values())


def markdown(summary: Summary) -> str:
    """The report as Markdown."""
    report = summary.report
    lines = [
        "# Evaluation",
        "",
        f"{number_of(len(summary.photos), 'photo')} of {summary.people} people; "
        f"{number_of(len(report.failed), 'photo')} without metrics.",
        "",
        "Means over people; in brackets the 95 % interval of 2000 resamplings of the people. ↑ more is better, ↓ less.",
        "† keeps the photo's own colours where they were seen: metrics against the same photo flatter it.",
        "",
    ]
    lines += [f"Note: {note}." for note in report.notes] + [""] * bool(report.notes)
    for section, metrics in summary.sections.items():
        lines += [f"## {section}", "", *_main_table(summary, metrics)]
        if section == IDENTITY:
            lines += _shares_of_ceiling(summary, metrics)
    if REFERENCE in report.methods and len(report.methods) > 1:
        lines += _differences(summary)
    for kind in report.groups:
        lines += _split(summary, kind)
    parts = {"Left out": report.left_out, "Photos without metrics": report.failed, "Settings": report.settings}
    for title, items in parts.items():
        if items:
            lines += [f"## {title}", "", *(f"- {name}: {value}" for name, value in items.items()), ""]
    return "\n".join(lines).rstrip() + "\n"


def number_of(count: int, what: str) -> str:
    """Such as "1 photo" and "2 photos"."""
    return f"{count} {what}" + "s" * (count != 1)


def title_of(method: str) -> str:
    """What a method is called in tables; marked where metrics flatter it."""
    row = METHODS[method]
    return row.title + " †" * row.copies_photo


def _main_table(summary: Summary, metrics: Sequence[Metric]) -> list[str]:
    rows = [[title_of(m), *(_cell(summary.mean(m, n), n) for n in metrics)] for m in summary.report.methods]
    for title, limits in summary.limits(metrics).items():
        cells = [_cell(found, n) if found and found.photos else "" for found, n in zip(limits, metrics, strict=True)]
        rows.append([f"*{title}*", *cells])
    return _grid(["method", *map(_head, metrics)], rows)


def _shares_of_ceiling(summary: Summary, metrics: Sequence[Metric]) -> list[str]:
    """The same means over that of the photo against its own mirror image."""
    tops = {metric: summary.limit(metric, "mirror") for metric in metrics}
    rows = [
        [title_of(m), *(f"{summary.mean(m, n).mean / top.mean:.3f}" if top else "" for n, top in tops.items())]
        for m in summary.report.methods
    ]
    return ["As shares of the ceiling:", "", *_grid(["method", *map(_head, metrics)], rows)]


def _differences(summary: Summary) -> list[str]:
    metrics = key_metrics(summary.metrics)
    others = [m for m in summary.report.methods if m != REFERENCE]
    rows = [[title_of(m), *(_difference_cell(summary.difference(m, n), n) for n in metrics)] for m in others]
    text = "Paired by photo. **Bold**: the interval lies on the better side of 0; *italic*: on the worse side."
    return ["## Ours minus the others", "", text, "", *_grid(["method", *map(_head, metrics)], rows)]


def _split(summary: Summary, kind: str) -> list[str]:
    """Means by group, and what the photos of each group show, whatever the method."""
    groups, metrics = summary.groups(kind), key_metrics(summary.metrics)
    if len(groups) < 2:
        return []
    rows, own = [], []
    for group, photos in groups.items():
        for method in summary.report.methods:
            found = [summary.mean(method, metric, photos) for metric in metrics]
            cells = [_cell(interval, metric) for interval, metric in zip(found, metrics, strict=True)]
            rows.append([f"{group} ({found[0].people})", title_of(method), *cells])
        own.append([group, *(_cell(summary.mean(PHOTO_ITSELF, n, photos), n) for n in _OWN_METRICS)])
    table = _grid([f"{kind} (people)", "method", *map(_head, metrics)], rows)
    return [f"## By {kind}", "", *table, *_grid([kind, *_OWN_METRICS.values()], own)]


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table and an empty line."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines] + [""]


def _head(metric: Metric) -> str:
    column = column_of(metric)
    return f"{column.title} {'↑' if column.higher else '↓'}"


def _cell(interval: Interval, metric: Metric, sign: str = "") -> str:
    """A mean and its interval; a dash where nothing was measured."""
    if not interval.photos:
        return "–"
    ends = (interval.mean, interval.low, interval.high)
    mean, low, high = (f"{value:{sign}.{column_of(metric).digits}f}" for value in ends)
    return f"{mean} [{low}, {high}]" if math.isfinite(interval.low) else mean


def _difference_cell(interval: Interval, metric: Metric) -> str:
    """A difference; bold or italic where its interval leaves out 0."""
    side = (interval.low > 0) - (interval.high < 0)
    mark = {1: "**", 0: "", -1: "*"}[side * column_of(metric).sign]
    return mark + _cell(interval, metric, "+") + mark


def _intervals(items: Iterable[tuple[str, Metric, Interval]]) -> list[dict[str, Any]]:
    """Records of the means that are known."""
    return [
        {"method": method or "photo", **metric.fields(), **{name: _number(x) for name, x in asdict(interval).items()}}
        for method, metric, interval in items
        if interval.photos
    ]


def _number(value: float) -> float | None:
    """The value as JSON has it, which knows no NaN."""
    return value if math.isfinite(value) else None
