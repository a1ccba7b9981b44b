"""What a run gathers, photo by photo, until its report is written."""

from __future__ import annotations

import resource
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gcnface.evaluation.groups import GLASSES_SHARE, TONE_KINDS, tones_of
from gcnface.evaluation.people import Subject
from gcnface.evaluation.photo_evaluator import PhotoEvaluator
from gcnface.evaluation.records import PHOTO_ITSELF, Measured, Metric, MetricValue
from gcnface.evaluation.report_pictures import PhotoPictures
from gcnface.evaluation.summary import Report
from gcnface.options import EvaluateOptions
from gcnface.version import __version__


@dataclass(frozen=True)
class MeasuredPhoto:
    """What is kept of a measured photo.

    Attributes:
        measured: all values, but for those of slow protocols.
        features: (D,) the photo's own feature, by identity network.
        protocols: values by slow protocol, none where it has no use for the photo.
        pictures: of the photo, written.
    """

    measured: Sequence[Measured]
    features: Mapping[str, NDArray[np.float32]]
    protocols: Mapping[str, Sequence[Measured]]
    pictures: PhotoPictures


@dataclass
class Collected:
    """Values, features and groups of the photos so far.

    Attributes:
        columns: a user's groups by file name.
        wanted: how many photos are to go through each slow protocol.
        values: all of them.
        failed: photos without values, and why.
        features: (D,) of each photo by identity network.
        groups: for each kind of group the group of each photo.
        people: whom each photo shows.
        done: how many photos went through each protocol.
        pictures: of each photo.
    """

    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    wanted: Mapping[str, int] = field(default_factory=dict)
    values: list[MetricValue] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    features: dict[str, Mapping[str, NDArray[np.float32]]] = field(default_factory=dict)
    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    pictures: dict[str, PhotoPictures] = field(default_factory=dict)

    @property
    def open_protocols(self) -> list[str]:
        """Protocols that have not had photos enough."""
        return [name for name, wanted in self.wanted.items() if self.done[name] < wanted]

    def add(self, subject: Subject, photo: MeasuredPhoto) -> None:
        """A measured photo; of protocols that have had photos enough what is beyond is left out."""
        key, found = str(subject.file), list(photo.measured)
        for name in self.open_protocols:
            more = photo.protocols.get(name, ())
            self.done[name] += bool(more)
            found += more
        self.values += [MetricValue(key, subject.person, *measured) for measured in found]
        self.features[key], self.people[key], self.pictures[key] = photo.features, subject.person, photo.pictures
        own = {metric: value for method, metric, value in photo.measured if method == PHOTO_ITSELF}
        groups = {"glasses": "with" if own[Metric("glasses_share")] > GLASSES_SHARE else "without"}
        groups |= tones_of({view: own[Metric("skin_angle", view)] for view in TONE_KINDS.values()})
        groups |= self.columns.get(subject.name, self.columns.get(subject.file.name, {}))
        for kind, group in groups.items():
            self.groups.setdefault(kind, {})[key] = group

    def report(
        self, options: EvaluateOptions, evaluator: PhotoEvaluator, left_out: Mapping[str, str], notes: Sequence[str]
    ) -> Report:
        """The report of all photos so far."""
        return Report(
            [*self.values, *self._strangers()],
            list(evaluator.methods),
            self.groups,
            self._settings(options, evaluator),
            left_out,
            self.failed,
            notes,
        )

    def _strangers(self) -> list[MetricValue]:
        """The mean cosine of each photo to those of all other people: what a wrong face scores."""
        found = []
        for photo, own in self.features.items():
            for network, feature in own.items():
                others = [f[network] for p, f in self.features.items() if self.people[p] != self.people[photo]]
                if others:
                    value = float((np.stack(others) @ feature).mean())
                    metric = Metric("cosine", "strangers", network=network)
                    found.append(MetricValue(photo, self.people[photo], PHOTO_ITSELF, metric, value))
        return found

    def _settings(self, options: EvaluateOptions, evaluator: PhotoEvaluator) -> dict[str, Any]:
        return {
            "gcnface": __version__,
            "torch": torch.__version__,
            "face_model": evaluator.reconstructor.model.name,
            "picture_px": options.size,
            "yaws_deg": list(options.yaws),
            "mirrored": options.mirrored,
            "photos_of": dict(self.done),
            "fit": options.fit,
            "device": options.device,
            "threads": torch.get_num_threads(),
            "held_out": options.held_out,
            "identity_networks": list(evaluator.networks),
            "peak_memory_gb": round(peak_memory_gb(), 2),
        }


def peak_memory_gb() -> float:
    """Largest resident memory of this process so far, 10^9 bytes; networks of the measuring included."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
