"""From figures to the tables people read: JSON, Markdown, CSV."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gcnface.evaluation.bootstrap import Interval, difference_interval, mean_interval
from gcnface.evaluation.methods import METHODS
from gcnface.evaluation.photos import PHOTO_ITSELF
from gcnface.evaluation.records import Figure

REFERENCE = "ours"
"""The method that the others are held against."""

FEWEST_IN_GROUP = 2
"""People below which a group gets no row."""


@dataclass(frozen=True)
class Column:
    """A figure as a column.

    Attributes:
        title: of it.
        section: of the report it stands in.
        digits: after the point.
        higher: whether more is better.
    """

    title: str
    section: str
    digits: int = 3
    higher: bool = True


PICTURE, IDENTITY, COST, MORE = "Picture against photo", "Identity", "Same texture again, and cost", "Further figures"
HIDDEN, RELIT, HARD = "The side that was not shown", "One face, several lights", "One face, two hard lights"
SECTIONS = (PICTURE, IDENTITY, HIDDEN, RELIT, HARD, COST, MORE)
"""Of a report, in order."""

_COLUMNS = {
    "l1": Column("L1", PICTURE, 4, higher=False),
    "psnr_face": Column("PSNR, face", PICTURE, 2),
    "psnr_frame": Column("PSNR, frame", PICTURE, 2),
    "ssim_face": Column("SSIM, face", PICTURE, 4),
    "ssim_frame": Column("SSIM, frame", PICTURE, 4),
    "lpips_face": Column("LPIPS, face", PICTURE, 4, higher=False),
    "lpips_frame": Column("LPIPS, frame", PICTURE, 4, higher=False),
    "mirrored_psnr": Column("mirrored photo, PSNR", COST, 2),
    "seconds": Column("seconds, method alone", COST, 2, higher=False),
    "seconds_whole": Column("seconds, whole photo", COST, 2, higher=False),
}
_IDENTITY_NAMES = {"facenet": "FaceNet", "sface": "SFace", "dlib": "dlib"}
_VIEWS = {"front": "head pasted", "face": "face pasted"}

_OWN_FIGURES = {
    "skin_angle_photo": "typology angle in the photo, °",
    "skin_angle_albedo": "typology angle of the albedo, °",
    "seen_share": "share of the face that is seen",
    "glasses_share": "glasses, share of the head",
}
"""What is said of the photos of each group."""

_KEY_FIGURES = ("l1", "psnr_face", "ssim_face")


@dataclass(frozen=True)
class Report:
    """A finished run.

    Attributes:
        figures: all of them.
        methods: in the order of the rows.
        groups: for each kind of group the group of each photo.
        settings: what was measured and by which versions; JSON values.
        left_out: methods and networks that were not there, and why.
        failed: photos without figures, and why.
        notes: sentences for the reader.
    """

    figures: Sequence[Figure]
    methods: Sequence[str]
    groups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


class Summary:
    """Means, differences and splits of a report's figures."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self._value: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
        self._person: dict[str, str] = {}
        names: dict[str, None] = {}
        for figure in report.figures:
            self._value[figure.method, figure.name][figure.photo] = figure.value
            self._person[figure.photo] = figure.person
            if figure.method != PHOTO_ITSELF:
                names[figure.name] = None
        known = {name: place for place, name in enumerate(_COLUMNS)}
        self.names = sorted(names, key=lambda name: known.get(name, len(known)))
        self.photos = list(self._person)

    @property
    def people(self) -> int:
        """How many people were measured."""
        return len(set(self._person.values()))

    def mean(self, method: str, name: str, photos: Iterable[str] | None = None) -> Interval:
        """The mean over people of one figure."""
        values, people = self._aligned(method, name, self.photos if photos is None else photos)
        return mean_interval(values, people)

    def difference(self, method: str, name: str) -> Interval:
        """The mean over people of `REFERENCE` minus a method."""
        ours, people = self._aligned(REFERENCE, name, self.photos)
        others, _ = self._aligned(method, name, self.photos)
        return difference_interval(ours, others, people)

    def groups(self, kind: str) -> dict[str, list[str]]:
        """Photos of each group of a kind that has people enough."""
        of_photo = self.report.groups[kind]
        found: dict[str, list[str]] = defaultdict(list)
        for photo in self.photos:
            if photo in of_photo:
                found[of_photo[photo]].append(photo)
        return {g: p for g, p in sorted(found.items()) if len({self._person[x] for x in p}) >= FEWEST_IN_GROUP}

    def data(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        report = self.report
        rows: dict[str, dict[str, Any]] = {
            photo: {"photo": photo, "person": person, "groups": {}, "figures": defaultdict(dict)}
            for photo, person in self._person.items()
        }
        for figure in report.figures:
            rows[figure.photo]["figures"][figure.method or "photo"][figure.name] = _number(figure.value)
        for kind, of_photo in report.groups.items():
            for photo, group in of_photo.items():
                if photo in rows:
                    rows[photo]["groups"][kind] = group
        methods = list(report.methods)
        pairs = [(m, n) for m in methods for n in self.names]
        own = [name for method, name in self._value if method == PHOTO_ITSELF]
        return {
            "settings": dict(report.settings),
            "methods": {m: {"title": METHODS[m].title, "summary": METHODS[m].summary} for m in methods},
            "left_out": dict(report.left_out),
            "failed": dict(report.failed),
            "notes": list(report.notes),
            "means": _nested((m, n, self.mean(m, n)) for m, n in pairs),
            "photo": {name: _interval(self.mean(PHOTO_ITSELF, name)) for name in own},
            "ours_minus": _nested(
                (m, n, self.difference(m, n)) for m, n in pairs if REFERENCE in methods and m != REFERENCE
            ),
            "splits": {
                kind: {
                    group: _nested((m, n, self.mean(m, n, photos)) for m, n in pairs)
                    for group, photos in self.groups(kind).items()
                }
                for kind in report.groups
            },
            "photos": list(rows.values()),
        }

    def _aligned(self, method: str, name: str, photos: Iterable[str]) -> tuple[list[float], list[str]]:
        table = self._value.get((method, name), {})
        chosen = list(photos)
        return [table.get(photo, math.nan) for photo in chosen], [self._person[photo] for photo in chosen]


def column_of(name: str) -> Column:
    """How a figure is shown; those that are not known by name are guessed from its parts."""
    if name in _COLUMNS:
        return _COLUMNS[name]
    network, _, view = name.partition("_")
    if network in _IDENTITY_NAMES:
        turn = re.fullmatch(r"yaw([\d.]+)", view)
        title = f"{turn[1]}° turned" if turn else _VIEWS.get(view, view)
        return Column(f"{_IDENTITY_NAMES[network]}, {title}", IDENTITY)
    drawn = re.fullmatch(r"(?:(hidden|shown)([\d.]+)|relit(_hard)?(_true)?)(_gain)?_(psnr|l1)", name)
    if drawn:
        return _drawn_column(*drawn.groups())
    lower = name.endswith(("_l1", "_error")) or "lpips" in name
    return Column(name.replace("_", " "), MORE, 2 if "psnr" in name else 4, higher=not lower)


def _drawn_column(
    side: str | None, turn: str, hard: str | None, true: str | None, gain: str | None, unit: str
) -> Column:
    """A figure of the protocols whose truth is drawn."""
    what = f"{side} at {turn}°" if side else "true albedo" if true else "between lights"
    without = ", gain removed" if gain else ""
    section = HIDDEN if side else HARD if hard else RELIT
    return Column(f"{unit.upper()}, {what}{without}", section, 2 if unit == "psnr" else 4, higher=unit == "psnr")


def write_tables(folder: Path, summary: Summary) -> None:
    """table.json, table.md and figures.csv into a folder that exists."""
    (folder / "table.json").write_text(json.dumps(summary.data(), indent=1), encoding="utf-8")
    (folder / "table.md").write_text(markdown(summary), encoding="utf-8")
    with (folder / "figures.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["photo", "person", "method", "figure", "value"])
        for f in summary.report.figures:
            writer.writerow([f.photo, f.person, f.method or "photo", f.name, repr(float(f.value))])


def markdown(summary: Summary) -> str:
    """The report as Markdown."""
    report = summary.report
    lines = ["# Evaluation", ""]
    lines += [
        f"{number_of(len(summary.photos), 'photo')} of {summary.people} people; "
        f"{number_of(len(report.failed), 'photo')} without figures.",
        "",
    ]
    lines += [
        "Means over people; in brackets the 95 % interval of 2000 resamplings of the people. ↑ more is better, ↓ less.",
        "† keeps the photo's own colours where they were seen: figures against the same photo flatter it.",
        "",
    ]
    lines += [f"Note: {note}." for note in report.notes] + [""] * bool(report.notes)
    for section in SECTIONS:
        names = [name for name in summary.names if column_of(name).section == section]
        if names:
            lines += [f"## {section}", "", *_main_table(summary, names), ""]
        if names and section == IDENTITY:
            lines += _shares_of_ceiling(summary, names)
    if REFERENCE in report.methods and len(report.methods) > 1:
        lines += _differences(summary)
    for kind in report.groups:
        lines += _split(summary, kind)
    lines += _appendix(report)
    return "\n".join(lines).rstrip() + "\n"


def number_of(count: int, what: str) -> str:
    """Such as "1 photo" and "2 photos"."""
    return f"{count} {what}" + "s" * (count != 1)


def _main_table(summary: Summary, names: Sequence[str]) -> list[str]:
    rows = [[_title(m), *(_cell(summary.mean(m, n), column_of(n)) for n in names)] for m in summary.report.methods]
    for key, title in (("mirror", "ceiling: photo, mirrored"), ("strangers", "floor: other people's photos")):
        cells = [_photo_cell(summary, name, key) for name in names]
        if any(cells):
            rows.append([f"*{title}*", *cells])
    return _grid(["method", *(_head(n) for n in names)], rows)


def _shares_of_ceiling(summary: Summary, names: Sequence[str]) -> list[str]:
    """The same means over that of the photo against its own mirror image."""
    rows = []
    for method in summary.report.methods:
        row = [_title(method)]
        for name in names:
            top = summary.mean(PHOTO_ITSELF, f"{name.partition('_')[0]}_mirror").mean
            row.append(f"{summary.mean(method, name).mean / top:.3f}")
        rows.append(row)
    return ["As shares of the ceiling:", "", *_grid(["method", *(_head(n) for n in names)], rows), ""]


def _photo_cell(summary: Summary, name: str, key: str) -> str:
    """The ceiling or floor of an identity column."""
    network = name.partition("_")[0]
    found = summary.mean(PHOTO_ITSELF, f"{network}_{key}")
    return _cell(found, column_of(name)) if network in _IDENTITY_NAMES and found.photos else ""


def _differences(summary: Summary) -> list[str]:
    names = key_figures(summary.names)
    others = [m for m in summary.report.methods if m != REFERENCE]
    rows = [[_title(m), *(_difference_cell(summary.difference(m, n), column_of(n)) for n in names)] for m in others]
    text = "Paired by photo. **Bold**: the interval lies on the better side of 0; *italic*: on the worse side."
    return ["## Ours minus the others", "", text, "", *_grid(["method", *(_head(n) for n in names)], rows), ""]


def _split(summary: Summary, kind: str) -> list[str]:
    groups = summary.groups(kind)
    if len(groups) < 2:
        return []
    names = key_figures(summary.names)
    rows = []
    for group, photos in groups.items():
        for method in summary.report.methods:
            found = [summary.mean(method, name, photos) for name in names]
            who = f"{group} ({found[0].people})"
            rows.append([who, _title(method), *(_cell(i, column_of(n)) for i, n in zip(found, names, strict=True))])
    table = _grid([f"{kind} (people)", "method", *(_head(n) for n in names)], rows)
    return [f"## By {kind}", "", *table, "", *_own_figures(summary, kind, groups)]


def _own_figures(summary: Summary, kind: str, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """What the photos of each group show, whatever the method."""
    plain = Column("", "", 2)
    rows = [
        [g, *(_cell(summary.mean(PHOTO_ITSELF, n, photos), plain) for n in _OWN_FIGURES)]
        for g, photos in groups.items()
    ]
    return [*_grid([kind, *_OWN_FIGURES.values()], rows), ""]


def _appendix(report: Report) -> list[str]:
    lines = []
    if report.left_out:
        lines += ["## Left out", "", *(f"- {name}: {why}" for name, why in report.left_out.items()), ""]
    if report.failed:
        lines += ["## Photos without figures", "", *(f"- {photo}: {why}" for photo, why in report.failed.items()), ""]
    if report.settings:
        lines += ["## Settings", "", *(f"- {name}: {value}" for name, value in report.settings.items()), ""]
    return lines


def key_figures(names: Sequence[str]) -> list[str]:
    """Of many figures those that differences and splits are given of.

    Three of the picture, of each identity network the pasted head and the largest turn, PSNR of the unseen side and of
    one face under two lights.
    """
    chosen = [name for name in _KEY_FIGURES if name in names]
    for network in _IDENTITY_NAMES:
        turns = [name for name in names if name.startswith(f"{network}_yaw")]
        chosen += [name for name in (f"{network}_front",) if name in names]
        chosen += [max(turns, key=_turn)] if turns else []
    hidden = [name for name in names if re.fullmatch(r"hidden[\d.]+_psnr", name)]
    chosen += [max(hidden, key=_turn)] if hidden else []
    return chosen + [name for name in ("relit_l1",) if name in names]


def _turn(name: str) -> float:
    """The degrees in a figure's name."""
    found = re.search(r"[\d.]+", name)
    return float(found[0]) if found else 0.0


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def _head(name: str) -> str:
    column = column_of(name)
    return f"{column.title} {'↑' if column.higher else '↓'}"


def _title(method: str) -> str:
    spec = METHODS[method]
    return spec.title + " †" * spec.copies_photo


def _cell(interval: Interval, column: Column) -> str:
    if not interval.photos:
        return "–"
    text = f"{interval.mean:.{column.digits}f}"
    if math.isfinite(interval.low):
        text += f" [{interval.low:.{column.digits}f}, {interval.high:.{column.digits}f}]"
    return text


def _difference_cell(interval: Interval, column: Column) -> str:
    if not interval.photos:
        return "–"
    text = f"{interval.mean:+.{column.digits}f}"
    if not math.isfinite(interval.low):
        return text
    text += f" [{interval.low:+.{column.digits}f}, {interval.high:+.{column.digits}f}]"
    sign = (interval.low > 0) - (interval.high < 0)
    better = sign if column.higher else -sign
    return f"**{text}**" if better > 0 else f"*{text}*" if better < 0 else text


def _nested(items: Iterable[tuple[str, str, Interval]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for method, name, interval in items:
        if interval.photos:
            found[method][name] = _interval(interval)
    return dict(found)


def _interval(interval: Interval) -> dict[str, Any]:
    return {name: _number(value) for name, value in asdict(interval).items()}


def _number(value: float) -> float | None:
    """JSON knows no NaN."""
    return value if np.isfinite(value) else None
