"""index.html: the table, and every photo with what each method makes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from gcnface.evaluation.bootstrap import Interval
from gcnface.evaluation.markup import image, number, page, text
from gcnface.evaluation.records import Metric
from gcnface.evaluation.registries import COST, IDENTITY_NETWORKS, METHODS
from gcnface.evaluation.report_pictures import SOURCES, PhotoPictures
from gcnface.evaluation.summary import LIMITS, Column, Summary, column_of
from gcnface.evaluation.table import number_of
from gcnface.evaluation.worst import judged_method, worst_page
from gcnface.io.atomic import staged

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
    sheet = _Sheet(summary, _Captions(summary), judged_method(summary))
    photos = sorted(summary.photos, key=sheet.rank)
    report = summary.report
    failed = f" {number_of(len(report.failed), 'photo')} gave no metrics." if report.failed else ""
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
    """Which metrics stand under the pictures; of the identity networks one that no loss has seen, where there is."""

    def __init__(self, summary: Summary) -> None:
        fits = [Metric("psnr", "face"), Metric("ssim", "face"), Metric("l1", "face")]
        networks = sorted(IDENTITY_NETWORKS.values(), key=lambda row: row.in_losses)
        pasted = [Metric("cosine", "pasted_head", network=row.name) for row in networks]
        pasted = [metric for metric in pasted if metric in summary.metrics][:1]
        self.pasted = [metric for metric in fits if metric in summary.metrics] + pasted
        turned = [m for m in summary.metrics if m.view == "turned" and m.network in {p.network for p in pasted}]
        self.rotated = sorted(turned, key=lambda metric: metric.yaw_deg)[-1:]
        self.first = self.pasted[0] if self.pasted else fits[0]

    @property
    def all(self) -> list[Metric]:
        """Every metric of the captions."""
        return self.pasted + self.rotated


@dataclass(frozen=True)
class _Sheet:
    """What all cards are made from; `judged` is the method whose metrics order them."""

    summary: Summary
    captions: _Captions
    judged: str

    def value(self, photo: str, method: str, metric: Metric) -> float:
        """One value; NaN when it was not measured."""
        return self.summary.values(method, metric).get(photo, math.nan)

    def rank(self, photo: str) -> tuple[bool, float]:
        """What photos are sorted by: the worst value first, unknown ones last."""
        value = self.value(photo, self.judged, self.captions.first)
        return (not math.isfinite(value), value if column_of(self.captions.first).higher else -value)


def _short(metric: Metric) -> str:
    """A metric's title in the width of a picture."""
    plain = Metric(metric.metric, "turned" if metric.yaw_deg else "", metric.yaw_deg, metric.network)
    return column_of(plain).title.replace(" turned", "")


def _key(metric: Metric) -> str:
    """A metric as a data attribute, which holds lower-case letters and digits."""
    return "f" + "".join(letter for letter in metric.label.lower() if letter.isalnum())


def _card(place: int, photo: str, sheet: _Sheet, shown: PhotoPictures) -> str:
    report = sheet.summary.report
    values = {metric: sheet.value(photo, sheet.judged, metric) for metric in sheet.captions.all}
    data = "".join(f' data-{_key(metric)}="{value:.6g}"' for metric, value in values.items() if math.isfinite(value))
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
    own, captions = shown.methods.get(method), sheet.captions

    def lines(metrics: Sequence[Metric]) -> str:
        cells = []
        for metric in metrics:
            column, value = column_of(metric), sheet.value(photo, method, metric)
            others = [sheet.value(photo, other, metric) for other in sheet.summary.report.methods]
            best = " class=best" if _is_best(value, others, column) else ""
            cells.append(f"<dt>{text(_short(metric))}</dt><dd{best}>{number(value, min(column.digits, 3))}</dd>")
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
    parts = [f"<h2>{text(section)}</h2>{_table(summary, metrics)}" for section, metrics in summary.sections.items()]
    note = (
        "<p class=soft>Means over people, below them the 95 % interval of resampled people. ↑ more is better, ↓ less; "
        "the best mean is green (the mean albedo, which never changes, does not compete). † keeps the photo's own "
        "colours where they were seen, so that metrics against the same photo flatter it.</p>"
    )
    return note + "".join(parts)


def _table(summary: Summary, metrics: Sequence[Metric]) -> str:
    columns = [column_of(metric) for metric in metrics]
    means = {m: [summary.mean(m, metric) for metric in metrics] for m in summary.report.methods}
    head = "".join(f"<th scope=col>{text(c.title)}\N{NO-BREAK SPACE}{'↑' if c.higher else '↓'}</th>" for c in columns)
    rows = []
    for method, found in means.items():
        cells = []
        for k, (interval, column) in enumerate(zip(found, columns, strict=True)):
            rivals = [row[k].mean for m, row in means.items() if not METHODS[m].constant]
            best = not METHODS[method].constant and column.section != COST and _is_best(interval.mean, rivals, column)
            cells.append(_cell(interval, column, best=best))
        spec = METHODS[method]
        rows.append(f"<tr><th scope=row>{text(spec.title)}{' †' * spec.copies_photo}</th>{''.join(cells)}</tr>")
    rows += [_limit_row(summary, metrics, view, title) for view, title in LIMITS.items()]
    return (
        f"<div class=scroll tabindex=0><table class=metrics><thead><tr><th scope=col>Method</th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _limit_row(summary: Summary, metrics: Sequence[Metric], view: str, title: str) -> str:
    found = [summary.limit(metric, view) for metric in metrics]
    if not any(interval and interval.photos for interval in found):
        return ""
    cells = [_cell(i, column_of(m)) if i else "<td></td>" for i, m in zip(found, metrics, strict=True)]
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
    under = "; ".join(text(column_of(metric).title) for metric in captions.all)
    return (
        "<h2>Legend</h2><p>A card a photo. Upper pictures: the drawn head over the photo; lower ones: the head turned "
        f"to the side that the photo shows less of. Below them: {under}; the best of the row is green. Where the "
        f"colours of the texture come from:</p><ul class=legend>{swatches}</ul>"
        f"<details><summary>The methods</summary><ul>{methods}</ul></details>"
    )


def _sorter(captions: _Captions) -> str:
    options = ["<option data-key=place data-sign=1>as written</option>"] if not captions.all else []
    for metric in captions.all:
        worst, best = (1, -1) if column_of(metric).higher else (-1, 1)
        title = text(_short(metric))
        options.append(f'<option data-key={_key(metric)} data-sign="{worst}">{title}, worst first</option>')
        options.append(f'<option data-key={_key(metric)} data-sign="{best}">{title}, best first</option>')
    jump = '<a href="#photos">Pictures ↓</a>'
    return f"{jump}<label>Order <select id=order>{''.join(options)}</select></label>"


def _failed(summary: Summary) -> str:
    failed = summary.report.failed
    if not failed:
        return ""
    items = "".join(f"<li><b>{text(PurePath(photo).name)}</b>: {text(why)}</li>" for photo, why in failed.items())
    return f"<h2>Photos without metrics</h2><ul>{items}</ul>"
