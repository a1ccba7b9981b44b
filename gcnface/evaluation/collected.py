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

from gcnface.evaluation.groups import GLASSES_SHARE, tone_of
from gcnface.evaluation.people import Subject
from gcnface.evaluation.photo_evaluator import EvaluatedPhoto, PhotoEvaluator
from gcnface.evaluation.records import PHOTO_ITSELF, Measured, Metric, MetricValue
from gcnface.evaluation.summary import Report
from gcnface.options import EvaluateOptions
from gcnface.version import __version__


@dataclass
class Collected:
    """Values, features and groups of the photos so far.

    Attributes:
        columns: a user's groups by file name.
        values: all of them.
        failed: photos without values, and why.
        features: (D,) of each photo by identity network.
        groups: for each kind of group the group of each photo.
        people: whom each photo shows.
        done: how many photos went through each protocol.
    """

    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    values: list[MetricValue] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    features: dict[str, Mapping[str, NDArray[np.float32]]] = field(default_factory=dict)
    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)

    def add(self, subject: Subject, evaluated: EvaluatedPhoto, more: Sequence[Measured] = ()) -> None:
        """A measured photo, and what protocols measured of it."""
        photo = str(subject.file)
        self.values += [MetricValue(photo, subject.person, *found) for found in (*evaluated.measured, *more)]
        self.features[photo], self.people[photo] = evaluated.features, subject.person
        own = {metric: value for method, metric, value in evaluated.measured if method == PHOTO_ITSELF}
        tone = tone_of(own[Metric("skin_angle", "albedo")])
        groups = {"glasses": "with" if own[Metric("glasses_share")] > GLASSES_SHARE else "without"}
        groups |= {"skin tone": tone} if tone else {}
        groups |= self.columns.get(subject.name, self.columns.get(subject.file.name, {}))
        for kind, group in groups.items():
            self.groups.setdefault(kind, {})[photo] = group

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
