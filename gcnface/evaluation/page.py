"""index.html: the table, and every photo with what each method makes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

from gcnface.evaluation.bootstrap import Interval
from gcnface.evaluation.markup import image, number, page, text
from gcnface.evaluation.records import Metric
from gcnface.evaluation.registries import COST, IDENTITY_NETWORKS, METHODS, REFERENCE
from gcnface.evaluation.report_pictures import SOURCES, PhotoPictures
from gcnface.evaluation.summary import Column, Summary, column_of
from gcnface.evaluation.table import number_of, title_of
from gcnface.evaluation.worst import judged_method, worst_page
from gcnface.io.atomic import staged

_MEANING = {
    "seen": "the photo shows it",
    "mirrored": "the photo shows the other half of the face",
    "inferred": "nothing in the photo shows it",
}

_FITS = (Metric("psnr", "face"), Metric("ssim", "face"), Metric("l1", "face"))


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
    sheet, report = _Sheet(summary, pictures), summary.report
    photos = sorted(summary.photos, key=sheet.rank)
    failed = f" {number_of(len(report.failed), 'photo')} gave no metrics." if report.failed else ""
    head = (
        f"<header><h1>What the methods make of {number_of(len(photos), 'photo')}</h1>"
        f"<p class=soft>{summary.people} people.{failed} Every method works on the same fitted geometry.</p></header>"
    )
    cards = "".join(_card(place, photo, sheet) for place, photo in enumerate(photos))
    sizes = f"--columns: {len(report.methods) + 1}; --lines: {len(sheet.pasted)}"
    photo_list = f'<h2>Photos</h2><div id=photos style="{sizes}">{cards}</div>'
    main = _tables(summary) + _legend(sheet) + photo_list + _failed(report.failed)
    return page("Evaluation", "index.html", head, main, _sorter(sheet.metrics))


class _Sheet:
    """What all cards are made from.

    Attributes:
        judged: the method whose metrics order them.
        pasted: metrics under the pictures pasted over the photo; of the identity networks one that no loss has seen,
            where there is.
        rotated: metrics under the turned pictures.
        metrics: both.
    """

    def __init__(self, summary: Summary, pictures: Mapping[str, PhotoPictures]) -> None:
        self.summary, self.pictures, self.judged = summary, pictures, judged_method(summary)
        networks = sorted(IDENTITY_NETWORKS.values(), key=lambda row: row.in_losses)
        cosines = [Metric("cosine", "pasted_head", network=row.name) for row in networks]
        pasted = [metric for metric in cosines if metric in summary.metrics][:1]
        self.pasted = [metric for metric in _FITS if metric in summary.metrics] + pasted
        turned = [m for m in summary.metrics if m.view == "turned" and m.network in {p.network for p in pasted}]
        self.rotated = sorted(turned, key=lambda metric: metric.yaw_deg)[-1:]
        self.metrics = self.pasted + self.rotated

    def value(self, photo: str, method: str, metric: Metric) -> float:
        """One value; NaN when it was not measured."""
        return self.summary.values(method, metric).get(photo, math.nan)

    def rank(self, photo: str) -> tuple[bool, float]:
        """What photos are sorted by: the worst value first, unknown ones last."""
        first = [*self.pasted, *_FITS][0]
        value = self.value(photo, self.judged, first)
        return (not math.isfinite(value), column_of(first).sign * value)


def _short(metric: Metric) -> str:
    """A metric's title in the width of a picture."""
    plain = Metric(metric.metric, "turned" if metric.yaw_deg else "", metric.yaw_deg, metric.network)
    return column_of(plain).title.replace(" turned", "")


def _key(metric: Metric) -> str:
    """A metric as a data attribute, which holds lower-case letters and digits."""
    return "f" + "".join(letter for letter in metric.label.lower() if letter.isalnum())


def _card(place: int, photo: str, sheet: _Sheet) -> str:
    report, shown = sheet.summary.report, sheet.pictures.get(photo, PhotoPictures())
    values = {metric: sheet.value(photo, sheet.judged, metric) for metric in sheet.metrics}
    data = "".join(f' data-{_key(metric)}="{value:.6g}"' for metric, value in values.items() if math.isfinite(value))
    groups = [f"{text(kind)}: {text(of[photo])}" for kind, of in report.groups.items() if photo in of]
    turn = f"turned by {abs(shown.yaw_deg):g}°" if shown.yaw_deg else "in the photo's pose"
    columns = _column(
        " class=source",
        "Photo",
        image(shown.original, "photo") + "<figcaption><dl></dl></figcaption>",
        image(shown.provenance, "where the colours come from")
        + f"<figcaption>where colours come from, {turn}</figcaption>",
    )
    for method in sorted(report.methods, key=lambda method: method != sheet.judged):
        own, title = shown.of(method), text(METHODS[method].title)
        columns += _column(
            ' class="ours"' if method == REFERENCE else "",
            title,
            image(own.pasted, f"{title}, over the photo") + _caption(photo, method, sheet, sheet.pasted),
            image(own.rotated, f"{title}, turned") + _caption(photo, method, sheet, sheet.rotated),
        )
    return (
        f'<section class=card data-place="{place}"{data}><header><h3 title="{text(photo)}">{text(PurePath(photo).name)}'
        f"</h3><small>{' · '.join(groups)}</small></header><div class=strip>{columns}</div></section>"
    )


def _column(kind: str, title: str, upper: str, lower: str) -> str:
    return f"<div{kind}><h4>{title}</h4><figure class=row>{upper}</figure><figure>{lower}</figure></div>"


def _caption(photo: str, method: str, sheet: _Sheet, metrics: Sequence[Metric]) -> str:
    cells = []
    for metric in metrics:
        column, value = column_of(metric), sheet.value(photo, method, metric)
        rivals = [sheet.value(photo, other, metric) for other in sheet.summary.report.methods]
        best = " class=best" if _is_best(value, rivals, column) else ""
        cells.append(f"<dt>{text(_short(metric))}</dt><dd{best}>{number(value, min(column.digits, 3))}</dd>")
    return f"<figcaption><dl>{''.join(cells)}</dl></figcaption>"


def _is_best(value: float, rivals: Sequence[float], column: Column) -> bool:
    known = [column.sign * rival for rival in rivals if math.isfinite(rival)]
    return len(known) > 1 and column.sign * value == max(known)


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
    rivals = [means[m] for m in means if not METHODS[m].constant]
    rows = []
    for method, found in means.items():
        cells = []
        for k, (interval, column) in enumerate(zip(found, columns, strict=True)):
            best = _is_best(interval.mean, [row[k].mean for row in rivals], column)
            cells.append(_cell(interval, column, best=best and column.section != COST and not METHODS[method].constant))
        rows.append(f"<tr><th scope=row>{text(title_of(method))}</th>{''.join(cells)}</tr>")
    for title, limits in summary.limits(metrics).items():
        cells = [_cell(interval, column) for interval, column in zip(limits, columns, strict=True)]
        rows.append(f"<tr class=limit><th scope=row>{title}</th>{''.join(cells)}</tr>")
    head = "".join(f"<th scope=col>{text(c.title)}\N{NO-BREAK SPACE}{'↑' if c.higher else '↓'}</th>" for c in columns)
    return (
        f"<div class=scroll tabindex=0><table class=metrics><thead><tr><th scope=col>Method</th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(interval: Interval | None, column: Column, *, best: bool = False) -> str:
    if interval is None or not interval.photos:
        return f"<td>{'' if interval is None else '–'}</td>"
    mean, low, high = (number(end, column.digits) for end in (interval.mean, interval.low, interval.high))
    value = f"<span class=best>{mean}</span>" if best else mean
    around = f"<small>{low} – {high}</small>" if math.isfinite(interval.low) else ""
    return f"<td>{value}{around}</td>"


def _legend(sheet: _Sheet) -> str:
    colors = {name: ", ".join(str(round(255 * channel)) for channel in color) for name, color in SOURCES.items()}
    swatches = [
        f'<li><i style="background:rgb({color})"></i>{name}: {_MEANING[name]}</li>' for name, color in colors.items()
    ]
    rows = [METHODS[method] for method in sheet.summary.report.methods]
    methods = "".join(f"<li><b>{text(row.title)}</b>: {text(row.summary)}</li>" for row in rows)
    under = "; ".join(text(column_of(metric).title) for metric in sheet.metrics)
    return (
        "<h2>Legend</h2><p>A card a photo. Upper pictures: the drawn head over the photo; lower ones: the head turned "
        f"to the side that the photo shows less of. Below them: {under}; the best of the row is green. Where the "
        f"colours of the texture come from:</p><ul class=legend>{''.join(swatches)}</ul>"
        f"<details><summary>The methods</summary><ul>{methods}</ul></details>"
    )


def _sorter(metrics: Sequence[Metric]) -> str:
    options = [] if metrics else ["<option data-key=place data-sign=1>as written</option>"]
    for metric in metrics:
        title, sign = text(_short(metric)), column_of(metric).sign
        options.append(f'<option data-key={_key(metric)} data-sign="{sign}">{title}, worst first</option>')
        options.append(f'<option data-key={_key(metric)} data-sign="{-sign}">{title}, best first</option>')
    jump = '<a href="#photos">Pictures ↓</a>'
    return f"{jump}<label>Order <select id=order>{''.join(options)}</select></label>"


def _failed(failed: Mapping[str, str]) -> str:
    items = "".join(f"<li><b>{text(PurePath(photo).name)}</b>: {text(why)}</li>" for photo, why in failed.items())
    return f"<h2>Photos without metrics</h2><ul>{items}</ul>" if failed else ""
