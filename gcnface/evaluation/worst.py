"""worst.html: the ten photos on which our method does worst, by every metric, with pictures."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import PurePath

from gcnface.evaluation.markup import image, number, page, text
from gcnface.evaluation.records import Metric
from gcnface.evaluation.registries import METHODS, REFERENCE
from gcnface.evaluation.report_pictures import MethodPictures, PhotoPictures
from gcnface.evaluation.summary import Summary, column_of

COUNT = 10


def gets_list(metric: Metric) -> bool:
    """Whether photos are listed by a metric: not by those of the machine, nor by second readings of others."""
    return metric.metric != "seconds" and metric.view != "frame" and not metric.gain


def worst_photos(summary: Summary, method: str, metric: Metric) -> list[tuple[str, float]]:
    """Photos with the worst values of one metric, the worst first; photos without the metric are left out."""
    sign = column_of(metric).sign
    return sorted(summary.known(method, metric).items(), key=lambda pair: (sign * pair[1], pair[0]))[:COUNT]


def judged_method(summary: Summary) -> str:
    """Ours, or the last method where ours was not measured."""
    methods = summary.report.methods
    return REFERENCE if REFERENCE in methods else methods[-1]


def worst_page(summary: Summary, pictures: Mapping[str, PhotoPictures]) -> str:
    """The whole page.

    Args:
        summary: of the report.
        pictures: by photo; photos without pictures are named all the same.
    """
    method = judged_method(summary)
    metrics = [m for m in summary.metrics if gets_list(m) and worst_photos(summary, method, m)]
    title = f"The worst {COUNT} photos by each metric"
    links = " · ".join(f'<a href="#{text(m.label)}">{text(column_of(m).title)}</a>' for m in metrics)
    head = (
        f"<header><h1>{title}</h1><p class=soft>Method: {text(METHODS[method].title)}. Pictures: the photo, the drawn "
        "head pasted into it, the head turned to the side that the photo shows less of.</p>"
        f"<p>{links}</p></header>"
    )
    parts = [_section(summary, pictures, method, metric) for metric in metrics]
    return page(title, "worst.html", head, "".join(parts) or "<p>No photo gave metrics.</p>")


def _section(summary: Summary, pictures: Mapping[str, PhotoPictures], method: str, metric: Metric) -> str:
    column = column_of(metric)
    known = summary.known(method, metric).values()
    middle = number(statistics.median(known), column.digits)
    cards = []
    for photo, value in worst_photos(summary, method, metric):
        shown = pictures.get(photo, PhotoPictures())
        cards.append(_card(photo, number(value, column.digits), shown.original, shown.of(method)))
    order = f"{'lowest' if column.higher else 'highest'} first; median of all {len(known)}: {middle}"
    return (
        f'<section id="{text(metric.label)}"><h2>{text(column.title)} <small>{order}</small></h2>'
        f"<div class=ten>{''.join(cards)}</div></section>"
    )


def _card(photo: str, value: str, original: str | None, own: MethodPictures) -> str:
    shown = {"photo": original, "drawn over the photo": own.pasted, "turned": own.rotated}
    trio = "".join(image(file, f"{photo}: {what}") for what, file in shown.items())
    name = text(PurePath(photo).name)
    return (
        f'<article><div class=trio>{trio}</div><div class=name><span title="{text(photo)}">{name}</span>'
        f"<b>{value}</b></div></article>"
    )
