"""index.html: the table, and every photo with what each method makes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from gcnface.evaluation.bootstrap import Interval
from gcnface.evaluation.markup import Figures, image, number, page, text
from gcnface.evaluation.methods import METHODS
from gcnface.evaluation.photos import PHOTO_ITSELF
from gcnface.evaluation.report_pictures import SOURCES, PhotoPictures
from gcnface.evaluation.table import COST, SECTIONS, Column, Summary, column_of, number_of
from gcnface.evaluation.worst import judged_method, worst_page
from gcnface.io.atomic import staged

_NETWORKS = ("sface", "dlib", "facenet")
"""Whose cosine stands under the pictures: first those that no loss has seen."""
_MEANING = {
    "seen": "the photo shows it",
    "mirrored": "the photo shows the other half of the face",
    "inferred": "nothing in the photo shows it",
}


def write_pages(folder: Path, summary: Summary, pictures: Mapping[str, PhotoPictures]) -> list[Path]:
    """Write index.html and worst.html beside the pictures.

    Args:
        folder: of the report; the pictures' files are relative to it.
        summary: of the report.
        pictures: by photo.

    Raises:
        OutputError: the folder cannot be written to.
    """
    pages = {"index.html": index_page(summary, pictures), "worst.html": worst_page(summary, pictures)}
    with staged(folder) as stage:
        for name, content in pages.items():
            (stage / name).write_text(content, encoding="utf-8")
    return [folder / name for name in pages]


def index_page(summary: Summary, pictures: Mapping[str, PhotoPictures]) -> str:
    """The whole page; the photos of the lowest PSNR come first."""
    sheet = _Sheet(summary, Figures(summary), _Captions(summary), judged_method(summary))
    photos = sorted(summary.photos, key=sheet.rank)
    report = summary.report
    failed = f" {number_of(len(report.failed), 'photo')} gave no figures." if report.failed else ""
    head = (
        f"<header><h1>What the methods make of {number_of(len(photos), 'photo')}</h1>"
        f"<p class=soft>{summary.people} people.{failed} Every method works on the same fitted geometry.</p></header>"
    )
    cards = [
        _card(place, photo, sheet, pictures.get(photo, PhotoPictures(photo))) for place, photo in enumerate(photos)
    ]
    sizes = f"--columns: {len(report.methods) + 1}; --lines: {len(sheet.captions.pasted)}"
    main = (
        _tables(summary)
        + _legend(summary, sheet.captions)
        + f'<h2>Photos</h2><div id=photos style="{sizes}">{"".join(cards)}</div>'
        + _failed(summary)
    )
    return page("Evaluation", "index.html", head, main, _sorter(sheet.captions))


class _Captions:
    """Which figures stand under the pictures."""

    def __init__(self, summary: Summary) -> None:
        there = set(summary.names)
        network = next((n for n in _NETWORKS if f"{n}_front" in there), None)
        self.pasted: list[str] = [name for name in ("psnr_face", "ssim_face", "l1") if name in there]
        self.rotated: list[str] = []
        if network:
            self.pasted.append(f"{network}_front")
            yaws = sorted(
                (n for n in there if n.startswith(f"{network}_yaw")), key=lambda n: float(n.partition("yaw")[2])
            )
            self.rotated = yaws[-1:]
        self.first = self.pasted[0] if self.pasted else "psnr_face"

    @property
    def all(self) -> list[str]:
        """Every figure of the captions."""
        return self.pasted + self.rotated


@dataclass(frozen=True)
class _Sheet:
    """What all cards are made from; `judged` is the method whose figures order them."""

    summary: Summary
    figures: Figures
    captions: _Captions
    judged: str

    def rank(self, photo: str) -> tuple[bool, float]:
        """Worst first, unknown last."""
        value = self.figures.value(photo, self.judged, self.captions.first)
        return (not math.isfinite(value), value if column_of(self.captions.first).higher else -value)


def _short(name: str) -> str:
    """A figure's name in the width of a picture."""
    plain = {"psnr_face": "PSNR", "ssim_face": "SSIM", "l1": "L1"}
    if name in plain:
        return plain[name]
    title = column_of(name).title
    return title.replace(", head pasted", "").replace(" turned", "")


def _key(name: str) -> str:
    """A figure's name as a data attribute, which holds lower-case letters and digits."""
    return "f" + "".join(letter for letter in name.lower() if letter.isalnum())


def _card(place: int, photo: str, sheet: _Sheet, shown: PhotoPictures) -> str:
    report = sheet.summary.report
    values = {name: sheet.figures.value(photo, sheet.judged, name) for name in sheet.captions.all}
    data = "".join(f' data-{_key(name)}="{value:.6g}"' for name, value in values.items() if math.isfinite(value))
    groups = [f"{text(kind)}: {text(of[photo])}" for kind, of in report.groups.items() if photo in of]
    methods = sorted(report.methods, key=lambda method: method != sheet.judged)
    columns = [_source_column(shown)] + [_method_column(photo, method, sheet, shown) for method in methods]
    return (
        f'<section class=card data-place="{place}"{data}><header><h3 title="{text(photo)}">{text(PurePath(photo).name)}'
        f"</h3><small>{' · '.join(groups)}</small></header><div class=strip>{''.join(columns)}</div></section>"
    )


def _source_column(shown: PhotoPictures) -> str:
    turn = f"turned by {abs(shown.yaw_deg):g}°" if shown.yaw_deg else "in the photo's pose"
    return (
        f"<div class=source><h4>Photo</h4><figure class=row>{image(shown.original, 'photo')}"
        "<figcaption><dl></dl></figcaption></figure>"
        f"<figure>{image(shown.provenance, 'where the colours come from')}"
        f"<figcaption>where colours come from, {turn}</figcaption></figure></div>"
    )


def _method_column(photo: str, method: str, sheet: _Sheet, shown: PhotoPictures) -> str:
    own, captions, figures = shown.methods.get(method), sheet.captions, sheet.figures

    def lines(names: Sequence[str]) -> str:
        cells = []
        for name in names:
            column, value = column_of(name), figures.value(photo, method, name)
            others = [figures.value(photo, other, name) for other in sheet.summary.report.methods]
            best = " class=best" if _is_best(value, others, column) else ""
            cells.append(f"<dt>{text(_short(name))}</dt><dd{best}>{number(value, min(column.digits, 3))}</dd>")
        return f"<figcaption><dl>{''.join(cells)}</dl></figcaption>"

    title = text(METHODS[method].title)
    ours = ' class="ours"' if method == "ours" else ""
    return (
        f"<div{ours}><h4>{title}</h4><figure class=row>{image(own.pasted if own else None, f'{title}, over the photo')}"
        f"{lines(captions.pasted)}</figure>"
        f"<figure>{image(own.rotated if own else None, f'{title}, turned')}{lines(captions.rotated)}</figure></div>"
    )


def _is_best(value: float, others: Sequence[float], column: Column) -> bool:
    known = [other for other in others if math.isfinite(other)]
    if len(known) < 2 or not math.isfinite(value):
        return False
    return value == (max(known) if column.higher else min(known))


def _tables(summary: Summary) -> str:
    """Means by method, a table a section."""
    sections: dict[str, list[str]] = {section: [] for section in SECTIONS}
    for name in summary.names:
        sections.setdefault(column_of(name).section, []).append(name)
    parts = [f"<h2>{text(section)}</h2>{_table(summary, names)}" for section, names in sections.items() if names]
    note = (
        "<p class=soft>Means over people, below them the 95 % interval of resampled people. ↑ more is better, ↓ less; "
        "the best mean is green (the mean albedo, which never changes, does not compete). † keeps the photo's own "
        "colours where they were seen, so that figures against the same photo flatter it.</p>"
    )
    return note + "".join(parts)


_OUTSIDE = ("mean",)
"""A constant, which no light and no mirroring changes."""


def _table(summary: Summary, names: Sequence[str]) -> str:
    columns = [column_of(name) for name in names]
    means = {m: [summary.mean(m, name) for name in names] for m in summary.report.methods}
    head = "".join(f"<th scope=col>{text(c.title)}\N{NO-BREAK SPACE}{'↑' if c.higher else '↓'}</th>" for c in columns)
    rows = []
    for method, found in means.items():
        cells = []
        for k, (interval, column) in enumerate(zip(found, columns, strict=True)):
            rivals = [row[k].mean for m, row in means.items() if m not in _OUTSIDE]
            best = method not in _OUTSIDE and column.section != COST and _is_best(interval.mean, rivals, column)
            cells.append(_cell(interval, column, best=best))
        spec = METHODS[method]
        rows.append(f"<tr><th scope=row>{text(spec.title)}{' †' * spec.copies_photo}</th>{''.join(cells)}</tr>")
    rows += [_limit_row(summary, names, key, title) for key, title in _LIMITS.items()]
    return (
        f"<div class=scroll tabindex=0><table class=figures><thead><tr><th scope=col>Method</th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


_LIMITS = {"mirror": "ceiling: photo, mirrored", "strangers": "floor: other people"}
"""Rows of identity tables: what the photo itself scores, and what others do."""


def _limit_row(summary: Summary, names: Sequence[str], key: str, title: str) -> str:
    networks = [name.partition("_")[0] if name.partition("_")[0] in _NETWORKS else None for name in names]
    found = [summary.mean(PHOTO_ITSELF, f"{n}_{key}") if n else None for n in networks]
    if not any(interval and interval.photos for interval in found):
        return ""
    cells = [
        _cell(interval, column_of(name)) if interval else "<td></td>"
        for interval, name in zip(found, names, strict=True)
    ]
    return f"<tr class=limit><th scope=row>{title}</th>{''.join(cells)}</tr>"


def _cell(interval: Interval, column: Column, *, best: bool = False) -> str:
    if not interval.photos:
        return "<td>–</td>"
    value = number(interval.mean, column.digits)
    value = f"<span class=best>{value}</span>" if best else value
    if not math.isfinite(interval.low):
        return f"<td>{value}</td>"
    low, high = number(interval.low, column.digits), number(interval.high, column.digits)
    return f"<td>{value}<small>{low} – {high}</small></td>"


def _css(color: tuple[float, float, float]) -> str:
    return f"rgb({', '.join(str(round(255 * c)) for c in color)})"


def _legend(summary: Summary, captions: _Captions) -> str:
    swatches = "".join(
        f'<li><i style="background:{_css(color)}"></i>{name}: {_MEANING[name]}</li>' for name, color in SOURCES.items()
    )
    methods = "".join(
        f"<li><b>{text(METHODS[m].title)}</b>: {text(METHODS[m].summary)}</li>" for m in summary.report.methods
    )
    under = "; ".join(text(column_of(name).title) for name in captions.all)
    return (
        "<h2>Legend</h2><p>A card a photo. Upper pictures: the drawn head over the photo; lower ones: the head turned "
        f"to the side that the photo shows less of. Below them: {under}; the best of the row is green. Where the "
        f"colours of the texture come from:</p><ul class=legend>{swatches}</ul>"
        f"<details><summary>The methods</summary><ul>{methods}</ul></details>"
    )


def _sorter(captions: _Captions) -> str:
    options = ["<option data-key=place data-sign=1>as written</option>"] if not captions.all else []
    for name in captions.all:
        worst, best = (1, -1) if column_of(name).higher else (-1, 1)
        title = text(_short(name))
        options.append(f'<option data-key={_key(name)} data-sign="{worst}">{title}, worst first</option>')
        options.append(f'<option data-key={_key(name)} data-sign="{best}">{title}, best first</option>')
    jump = '<a href="#photos">Pictures ↓</a>'
    return f"{jump}<label>Order <select id=order>{''.join(options)}</select></label>"


def _failed(summary: Summary) -> str:
    failed = summary.report.failed
    if not failed:
        return ""
    items = "".join(f"<li><b>{text(PurePath(photo).name)}</b>: {text(why)}</li>" for photo, why in failed.items())
    return f"<h2>Photos without figures</h2><ul>{items}</ul>"
