"""Whose shape: millimetres against the true identity from one and from five photos, and telling people apart."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.coarse_methods import Methods
from coarse.confidence import load_confidence
from coarse.regressor import CoefficientRegressor, load_regressor
from coarse.similarity import similarity_between
from gcnface.data.faces import CANVAS_MARGIN_PX, CANVAS_PX, PreparedFaces
from gcnface.data.heads import HeadRenders

_CROP = slice(CANVAS_MARGIN_PX, CANVAS_PX - CANVAS_MARGIN_PX)


def identity_metrics(
    methods: Methods, faces: PreparedFaces, heads: HeadRenders, variants: dict[str, Path]
) -> Iterator[tuple[str, str, float]]:
    """(method, column, value) of every metric.

    Args:
        methods: the shipped networks.
        faces: photographs of held-out people, some with two.
        heads: rendered heads, several views a person, who share one true identity.
        variants: other regressors by name; they are measured beside the shipped one, without confidences.
    """
    rows, real = (np.nonzero(x)[0] for x in (heads.validation, faces.validation & ~faces.drawn))
    true, person = torch.from_numpy(np.array(heads.identity[rows])), heads.person[rows]
    groups = [np.nonzero(person == p)[0] for p in np.unique(person)]
    truth = torch.stack([true[g[0]] for g in groups])
    yield "mean face", "heads: mm, 1 photo", float(identity_error_mm(methods, torch.zeros_like(true), true).mean())
    regressors = {"regressor": methods.regressor}
    regressors |= {name: load_regressor(methods.regressor.layout, path) for name, path in variants.items()}
    trust_known = load_confidence(methods.regressor)
    for name, regressor in regressors.items():
        of_heads, of_photos = (features(regressor, x) for x in (heads.canvases[rows], faces.canvases[real]))
        with torch.no_grad():
            found, several = (regressor.heads["identity"](x) for x in (of_heads, of_photos))
            trust = trust_known(of_heads).identity
        yield name, "heads: mm, 1 photo", float(identity_error_mm(methods, found, true).mean())
        column = f"heads: mm, {len(groups[0])} photos"
        weights = {"plain mean": torch.ones_like(trust)} | ({"confidences": trust} if name == "regressor" else {})
        for kind, weight in weights.items():
            fused = torch.stack([(weight[g] * found[g]).sum(0) / weight[g].sum(0) for g in groups])
            yield f"{name}, {kind}", column, float(identity_error_mm(methods, fused, truth).mean())
        for kind, identity, who in (("heads", found, person), ("photographs", several, faces.identities[real])):
            yield name, f"{kind}: AUC", same_person_auc(identity, who)
            yield name, f"{kind}: centred AUC", same_person_auc(identity - identity.mean(0), who)


@torch.no_grad()
def features(regressor: CoefficientRegressor, canvases: NDArray[np.uint8]) -> Tensor:
    """(N, F) pooled features of canvases."""
    found = []
    for start in range(0, len(canvases), 16):
        image = torch.from_numpy(canvases[start : start + 16].astype(np.float32) / 255).permute(0, 3, 1, 2)
        found.append(regressor.features(image[:, :, _CROP, _CROP]))
    return torch.cat(found)


@torch.no_grad()
def identity_error_mm(methods: Methods, found: Tensor, true: Tensor) -> Tensor:
    """(N,) mean distance of face vertices at rest, after scale and pose are made equal by a similarity."""
    model = methods.stages["regressor"].coarser
    region = torch.from_numpy(methods.model.region_mask("face", "eyes_nose_mouth"))[model.vertex_index]
    errors = []
    for one, other in zip(found.split(64), true.split(64), strict=True):
        rest = torch.zeros(len(one), model.expression_count)
        a, b = (model.vertices(identity, rest)[:, region] for identity in (one, other))
        errors.append((similarity_between(a, b).apply(a) - b).norm(dim=2).mean(1))
    return torch.cat(errors)


def same_person_auc(identity: Tensor, person: NDArray) -> float:
    """How often two photos of a person have the larger cosine than two of strangers.

    What all pictures of one kind have in common raises all cosines alike: "centred" is without their mean.
    """
    unit = torch.nn.functional.normalize(identity, dim=1)
    cosine = (unit @ unit.T).numpy()
    pairs = np.array(list(combinations(range(len(person)), 2)))
    scores, same = cosine[pairs[:, 0], pairs[:, 1]], person[pairs[:, 0]] == person[pairs[:, 1]]
    order = np.argsort(np.argsort(scores)) + 1.0
    positives, negatives = int(same.sum()), int((~same).sum())
    return float((order[same].sum() - positives * (positives + 1) / 2) / max(positives * negatives, 1))
