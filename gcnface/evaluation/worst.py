"""worst.html: the ten photos on which our method does worst, by every metric, with pictures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from pathlib import PurePath

from gcnface.evaluation.markup import image, number, page, text
from gcnface.evaluation.records import Metric
from gcnface.evaluation.registries import METHODS, REFERENCE
from gcnface.evaluation.report_pictures import PhotoPictures
from gcnface.evaluation.summary import Summary, column_of

COUNT = 10


def gets_list(metric: Metric) -> bool:
    """Whether photos are listed by a metric: not by those of the machine, nor by second readings of others."""
    return metric.metric != "seconds" and metric.view != "frame" and not metric.gain


def worst_photos(summary: Summary, method: str, metric: Metric, count: int = COUNT) -> list[tuple[str, float]]:
    """Photos with the worst values of one metric, the worst first; photos without the metric are left out."""
    sign = 1.0 if column_of(metric).higher else -1.0
    known = [(photo, value) for photo, value in summary.values(method, metric).items() if math.isfinite(value)]
    return sorted(known, key=lambda pair: (sign * pair[1], pair[0]))[:count]


def judged_method(summary: Summary) -> str:
    """Ours, or the last method where ours was not measured."""
    methods = list(summary.report.methods)
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
    known = [value for value in summary.values(method, metric).values() if math.isfinite(value)]
    middle = number(statistics.median(known), column.digits)
    cards = [
        _card(photo, value, column.digits, pictures.get(photo, PhotoPictures(photo)), method)
        for photo, value in worst_photos(summary, method, metric)
    ]
    order = f"{'lowest' if column.higher else 'highest'} first; median of all {len(known)}: {middle}"
    return (
        f'<section id="{text(metric.label)}"><h2>{text(column.title)} <small>{order}</small></h2>'
        f"<div class=ten>{''.join(cards)}</div></section>"
    )


def _card(photo: str, value: float, digits: int, shown: PhotoPictures, method: str) -> str:
    own = shown.methods.get(method)
    trio = (
        image(shown.original, f"{photo}: photo")
        + image(own.pasted if own else None, f"{photo}: drawn over the photo")
        + image(own.rotated if own else None, f"{photo}: turned")
    )
    name = text(PurePath(photo).name)
    return (
        f'<article><div class=trio>{trio}</div><div class=name><span title="{text(photo)}">{name}</span>'
        f"<b>{number(value, digits)}</b></div></article>"
    )
