"""Rows of the evaluation's registries, and making what they stand for; nothing heavy is loaded here."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from gcnface.errors import MissingPackageError, WeightsError

PICTURE, IDENTITY, COST, MORE = "Picture against photo", "Identity", "Same texture again, and cost", "Further metrics"
"""Sections of the report; those of the protocols come between the second and the third."""


@dataclass(frozen=True)
class Row:
    """One row of a registry.

    Attributes:
        name: what the command line and the files of a report call it.
        title: in tables.
        summary: one sentence, for help and reports.
        source: what makes it, "module:function"; empty where nothing needs to be made.
    """

    name: str
    title: str
    summary: str
    source: str = ""

    def load(self) -> Callable[..., Any]:
        """Import what the row names."""
        return pkgutil.resolve_name(self.source)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class MethodRow(Row):
    """A way to color a face; its source takes a `Reconstructor`, and `weights` where they are named.

    Attributes:
        weights: name of its weights, of `refine.baselines.BASELINES`.
        copies_photo: keeps the photo's own colors where they were seen, so that metrics against it flatter it.
        usual: measured when no method is named.
        constant: gives every photo the same albedo, so that agreeing with itself is no merit.
    """

    weights: str = ""
    copies_photo: bool = False
    usual: bool = True
    constant: bool = False


@dataclass(frozen=True)
class NetworkRow(Row):
    """An identity network; its source takes FaceNet and the network's file or None.

    Attributes:
        usual: taken when no network is named.
        in_losses: our training or fit has seen it, so that it is no impartial judge.
    """

    usual: bool = True
    in_losses: bool = False


@dataclass(frozen=True)
class MetricRow(Row):
    """A metric; where it has a source, that makes a function that compares two pictures (see `metrics`).

    Attributes:
        digits: after the point, in tables.
        higher: whether more is better.
    """

    digits: int = 4
    higher: bool = True


@dataclass(frozen=True)
class ViewRow:
    """Where a metric is measured.

    Attributes:
        name: what the files of a report call it.
        title: in tables; "{yaw:g}" stands for the turn of the head in degrees.
        section: of the report.
        key: metrics that are also given as differences and by group; of several turns the largest.
    """

    name: str
    title: str
    section: str = MORE
    key: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProtocolRow(Row):
    """A protocol; its source is a `gcnface.evaluation.protocols.Protocol`.

    Attributes:
        views: of its metrics.
        subject: what it is given: "photo", measured by then, or "scan".
    """

    views: tuple[ViewRow, ...] = ()
    subject: str = "photo"


AnyRow = TypeVar("AnyRow", bound=Row)
Made = TypeVar("Made")


def build_all(
    rows: Mapping[str, AnyRow], names: Iterable[str], build: Callable[[AnyRow], Made], required: Collection[str] = ()
) -> tuple[dict[str, Made], dict[str, str]]:
    """What some rows stand for, by name, and why others were left out.

    Args:
        rows: a registry.
        names: of the rows that are wanted.
        build: makes what a row stands for.
        required: names that are not left out.

    Raises:
        MissingPackageError: the package of a required row is not installed.
        WeightsError: the weights of a required row are missing or damaged.
    """
    built: dict[str, Made] = {}
    left_out: dict[str, str] = {}
    for name in names:
        try:
            built[name] = build(rows[name])
        except (MissingPackageError, WeightsError) as error:
            if name in required:
                raise
            left_out[name] = str(error)
    return built, left_out
