"""worst.html: the ten photos on which our method does worst, by every figure, with pictures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from pathlib import PurePath

from gcnface.evaluation.markup import Figures, image, number, page, text
from gcnface.evaluation.methods import METHODS
from gcnface.evaluation.report_pictures import PhotoPictures
from gcnface.evaluation.table import REFERENCE, Summary, column_of

COUNT = 10
LEFT_OUT = ("seconds", "_frame", "_gain")
"""Parts of the names of figures that get no list: those of the machine, and second readings of others."""


def worst_photos(figures: Figures, method: str, name: str, count: int = COUNT) -> list[tuple[str, float]]:
    """Photos with the worst values of one figure, the worst first; photos without the figure are left out."""
    sign = 1.0 if column_of(name).higher else -1.0
    known = [(photo, value) for photo, value in figures.of(method, name).items() if math.isfinite(value)]
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
    figures, method = Figures(summary), judged_method(summary)
    chosen = [name for name in summary.names if not any(part in name for part in LEFT_OUT)]
    names = [name for name in chosen if worst_photos(figures, method, name)]
    title = f"The worst {COUNT} photos by each figure"
    links = " · ".join(f'<a href="#{text(name)}">{text(column_of(name).title)}</a>' for name in names)
    head = (
        f"<header><h1>{title}</h1><p class=soft>Method: {text(METHODS[method].title)}. Pictures: the photo, the drawn "
        "head pasted into it, the head turned to the side that the photo shows less of.</p>"
        f"<p>{links}</p></header>"
    )
    parts = [_section(figures, pictures, method, name) for name in names]
    return page(title, "worst.html", head, "".join(parts) or "<p>No photo gave figures.</p>")


def _section(figures: Figures, pictures: Mapping[str, PhotoPictures], method: str, name: str) -> str:
    column = column_of(name)
    known = [value for value in figures.of(method, name).values() if math.isfinite(value)]
    middle = number(statistics.median(known), column.digits)
    cards = [
        _card(photo, value, column.digits, pictures.get(photo, PhotoPictures(photo)), method)
        for photo, value in worst_photos(figures, method, name)
    ]
    direction = "lowest" if column.higher else "highest"
    return (
        f'<section id="{text(name)}"><h2>{text(column.title)} <small>{direction} first; median of all {len(known)}: '
        f"{middle}</small></h2><div class=ten>{''.join(cards)}</div></section>"
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
