"""Whose shape: millimetres against the true identity from one and from five photos, and telling people apart."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from benchmarks.coarse_methods import Methods
from coarse.confidence import load_confidence
from coarse.similarity import similarity_between
from gcnface.training.faces import CANVAS_MARGIN_PX, CANVAS_PX, PreparedFaces
from gcnface.training.heads import HeadRenders

_CROP = slice(CANVAS_MARGIN_PX, CANVAS_PX - CANVAS_MARGIN_PX)


def identity_figures(
    methods: Methods, faces: PreparedFaces, heads: HeadRenders
) -> Iterator[tuple[str, str, float]]:
    """(method, column, value) of every figure."""
    rows = np.nonzero(heads.validation)[0]
    found, trust = regressed(methods, heads.canvases[rows])
    true, person = torch.from_numpy(np.array(heads.identity[rows])), heads.person[rows]
    yield "mean face", "heads: mm, 1 photo", float(identity_error_mm(methods, torch.zeros_like(true), true).mean())
    yield "regressor", "heads: mm, 1 photo", float(identity_error_mm(methods, found, true).mean())
    groups = [np.nonzero(person == p)[0] for p in np.unique(person)]
    # People whose views are partly photographs keep one identity; a person's views share it exactly.
    truth = torch.stack([true[g[0]] for g in groups])
    for name, weight in (("plain mean", torch.ones_like(trust)), ("confidences", trust)):
        fused = torch.stack([(weight[g] * found[g]).sum(0) / weight[g].sum(0) for g in groups])
        column = f"heads: mm, {len(groups[0])} photos"
        yield f"regressor, {name}", column, float(identity_error_mm(methods, fused, truth).mean())
    yield "regressor", "heads: same person AUC", same_person_auc(found, person)
    real = np.nonzero(faces.validation & ~faces.drawn)[0]
    several, _ = regressed(methods, faces.canvases[real])
    yield "regressor", "photographs: AUC", same_person_auc(several, faces.identities[real])


@torch.no_grad()
def regressed(methods: Methods, canvases: np.ndarray) -> tuple[Tensor, Tensor]:
    """Identity coefficients and their confidences, (N, Ni) each."""
    confidence = load_confidence(methods.regressor)
    found, trust = [], []
    for start in range(0, len(canvases), 16):
        image = torch.from_numpy(canvases[start : start + 16].astype(np.float32) / 255).permute(0, 3, 1, 2)
        features = methods.regressor.features(image[:, :, _CROP, _CROP])
        found.append(methods.regressor.heads["identity"](features))
        trust.append(confidence(features).identity)
    return torch.cat(found), torch.cat(trust)


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


def same_person_auc(identity: Tensor, person: np.ndarray) -> float:
    """How often two photos of a person have the larger cosine than two of strangers."""
    unit = torch.nn.functional.normalize(identity, dim=1)
    cosine = (unit @ unit.T).numpy()
    pairs = np.array(list(combinations(range(len(person)), 2)))
    scores, same = cosine[pairs[:, 0], pairs[:, 1]], person[pairs[:, 0]] == person[pairs[:, 1]]
    order = np.argsort(np.argsort(scores)) + 1.0
    positives, negatives = int(same.sum()), int((~same).sum())
    return float((order[same].sum() - positives * (positives + 1) / 2) / max(positives * negatives, 1))
