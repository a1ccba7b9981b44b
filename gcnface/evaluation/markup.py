"""Pieces that the pages of the report share."""

from __future__ import annotations

import html
import math
import re
from importlib.resources import files
from urllib.parse import quote

from gcnface.version import __version__

PAGES = {"index.html": "All photos", "worst.html": "Worst ten"}


def text(content: object) -> str:
    """Escaped for text and attributes."""
    return html.escape(str(content), quote=True)


def number(value: float, digits: int) -> str:
    """A number with a true minus sign, or a dash where there is none."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.{digits}f}".replace("-", "−")


def image(file: str | None, what: str) -> str:
    """A picture, or a box that says that there is none.

    Args:
        file: relative to the page.
        what: it shows, for those who do not see it.
    """
    if file is None:
        return "<div class=missing>no picture</div>"
    return f'<img src="{text(quote(file))}" alt="{text(what)}" loading=lazy width=192 height=192>'


def page(title: str, own: str, head: str, main: str, tools: str = "") -> str:
    """A whole page.

    Args:
        title: plain.
        own: its file name, marked in the navigation.
        head: markup above the navigation.
        main: markup below it.
        tools: markup at the navigation's end.
    """
    links = "".join(
        f'<a href="{name}"{" aria-current=page" if name == own else ""}>{label}</a>' for name, label in PAGES.items()
    )
    content = {
        "title": text(title),
        "version": text(__version__),
        "body": f"{head}<nav><div>{links}{tools}</div></nav><main>{main}</main>",
        "footer": f"Made by gcnface {text(__version__)}. The metrics of every photo are in "
        '<a href="table.json">table.json</a> and <a href="metrics.csv">metrics.csv</a>, the tables in '
        '<a href="table.md">table.md</a>.',
    }
    template = (files("gcnface") / "assets" / "report.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: content[match[1]], template)
