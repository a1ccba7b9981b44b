"""From the values of a run to means, differences and splits by group, column by column."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gcnface.evaluation.bootstrap import Interval, difference_interval, mean_interval
from gcnface.evaluation.records import PHOTO_ITSELF, Metric, MetricValue
from gcnface.evaluation.registries import IDENTITY_NETWORKS, METRICS, REFERENCE, sections, view_row

FEWEST_IN_GROUP = 2
"""People below which a group gets no row."""

LIMITS = {"mirror": "ceiling: photo, mirrored", "strangers": "floor: other people's photos"}
"""Rows that put the columns of identity in place: what the photo itself scores by each of these views."""


@dataclass(frozen=True)
class Column:
    """A metric as a column.

    Attributes:
        title: what stands above it.
        section: of the report it stands in.
        digits: after the point.
        higher: whether more is better.
    """

    title: str
    section: str
    digits: int = 3
    higher: bool = True

    @property
    def sign(self) -> int:
        """What values are multiplied by so that more is better."""
        return 1 if self.higher else -1


def column_of(metric: Metric) -> Column:
    """How a metric is shown, by the rows of the registries."""
    row, view = METRICS[metric.metric], view_row(metric.view)
    what = IDENTITY_NETWORKS[metric.network].title if metric.network else row.title
    parts = (what, view.title.format(yaw=metric.yaw_deg), "gain removed" * metric.gain)
    return Column(", ".join(part for part in parts if part), view.section, row.digits, row.higher)


def key_metrics(metrics: Sequence[Metric]) -> list[Metric]:
    """Of many metrics those that differences and splits are given of: the keys of their views, at the largest turn."""
    chosen: dict[Metric, Metric] = {}
    for metric in metrics:
        if metric.metric in view_row(metric.view).key and not metric.gain:
            kind = replace(metric, yaw_deg=0.0)
            chosen[kind] = max(chosen.get(kind, metric), metric, key=lambda m: m.yaw_deg)
    return list(chosen.values())


@dataclass(frozen=True)
class Report:
    """A finished run.

    Attributes:
        values: all of them.
        methods: in the order of the rows.
        groups: for each kind of group the group of each photo.
        settings: what was measured and by which versions; JSON values.
        left_out: methods, metrics and networks that were not there, and why.
        failed: photos without values, and why.
        notes: sentences for the reader.
    """

    values: Sequence[MetricValue]
    methods: Sequence[str]
    groups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


class Summary:
    """Means, differences and splits of a report's values.

    Attributes:
        report: the run.
        metrics: of the methods, in the order of the columns.
        photo_metrics: of the photos themselves.
        photos: those with values.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self._value: dict[tuple[str, Metric], dict[str, float]] = defaultdict(dict)
        for value in report.values:
            self._value[value.method, value.metric][value.photo] = value.value
        self.person = {value.photo: value.person for value in report.values}
        self.photos = list(self.person)
        order, kinds = sections(), list(METRICS)
        found = dict.fromkeys(metric for method, metric in self._value if method != PHOTO_ITSELF)
        self.metrics = sorted(found, key=lambda m: (order.index(column_of(m).section), kinds.index(m.metric)))
        self.photo_metrics = [metric for method, metric in self._value if method == PHOTO_ITSELF]

    @property
    def people(self) -> int:
        """How many people were measured."""
        return len(set(self.person.values()))

    @property
    def sections(self) -> dict[str, list[Metric]]:
        """Metrics of the methods by section, in the order of the report."""
        found: dict[str, list[Metric]] = defaultdict(list)
        for metric in self.metrics:
            found[column_of(metric).section].append(metric)
        return dict(found)

    def values(self, method: str, metric: Metric) -> Mapping[str, float]:
        """One metric of one method by photo."""
        return self._value.get((method, metric), {})

    def known(self, method: str, metric: Metric) -> dict[str, float]:
        """`values` without those that cannot be told."""
        return {photo: value for photo, value in self.values(method, metric).items() if math.isfinite(value)}

    def mean(self, method: str, metric: Metric, photos: Iterable[str] | None = None) -> Interval:
        """The mean over people of one metric."""
        values, people = self._aligned(method, metric, self.photos if photos is None else photos)
        return mean_interval(values, people)

    def limit(self, metric: Metric, view: str) -> Interval | None:
        """What the photo itself scores by one of `LIMITS`; None of metrics by no identity network."""
        return self.mean(PHOTO_ITSELF, replace(metric, view=view, yaw_deg=0.0)) if metric.network else None

    def limits(self, metrics: Iterable[Metric]) -> dict[str, list[Interval | None]]:
        """For each title of `LIMITS` its row of a table, where there is anything in it."""
        rows = {title: [self.limit(metric, view) for metric in metrics] for view, title in LIMITS.items()}
        return {title: row for title, row in rows.items() if any(found and found.photos for found in row)}

    def difference(self, method: str, metric: Metric) -> Interval:
        """The mean over people of `REFERENCE` minus a method."""
        ours, people = self._aligned(REFERENCE, metric, self.photos)
        others, _ = self._aligned(method, metric, self.photos)
        return difference_interval(ours, others, people)

    def groups(self, kind: str) -> dict[str, list[str]]:
        """Photos of each group of a kind that has people enough."""
        of_photo = self.report.groups[kind]
        found: dict[str, list[str]] = defaultdict(list)
        for photo in self.photos:
            if photo in of_photo:
                found[of_photo[photo]].append(photo)
        return {g: p for g, p in sorted(found.items()) if len({self.person[x] for x in p}) >= FEWEST_IN_GROUP}

    def _aligned(self, method: str, metric: Metric, photos: Iterable[str]) -> tuple[list[float], list[str]]:
        values, chosen = self.values(method, metric), list(photos)
        return [values.get(photo, math.nan) for photo in chosen], [self.person[photo] for photo in chosen]
