"""Tones of what no photo showed: they go on from what was seen.

The network's answer for hidden parts keeps its detail; its smooth part is replaced by the smooth continuation of the
seen skin, and on the scalp of the seen hair. Both agree along the border, so a wide band carries the coarse tones from
one to the other, and the confidence's own ramp, a narrow one, the detail (Burt and Adelson 1983).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from coarse.face_model import FaceModel, kept_with_model
from coarse.morphable import DARKEST_ALBEDO
from gcnface.stages.outliers import step_down
from refine.diffusion import extend_values
from refine.pyramid import MeshPyramid
from render.normals import vertex_normals
from render.shapes import check_shape

GOAL_LEVEL = 3
"""Level of the pyramid to which seen tones are smoothed: vertices about 10 mm apart."""
OWN_LEVEL = 2
"""Level to which the network's are: about 5 mm."""
SHARE = 0.8
"""How far the network's own smooth part is replaced."""
AHEAD = (0.15, 0.55)
"""Cosine between a normal of the mean head and straight ahead: photos show what lies above, so the network has learned
it and is left alone; below, nothing taught it anything."""
LARGEST = 0.8
"""The most, as a natural logarithm, that a tone is moved."""

_LEAST_SEEN = 30.0
"""Vertices of a kind that must be seen for its tones to be moved."""
_SOFT_LEVEL = 2
"""Level to which the border between skin and hair is smoothed: 5 mm."""
_UNTAUGHT = ("ears", "neck", "scalp")
"""Regions that photographs hardly taught the network, wherever they look."""
_SKIN, _HAIR = ("face", "eyes_nose_mouth", "ears", "neck"), ("scalp",)
_SKIN_SOURCES = ("face", "ears", "neck")
"""Regions whose colours are carried on as skin; lips and lids are not."""


def match_tones(model: FaceModel, pyramid: MeshPyramid, albedo: Tensor, confidence: Tensor) -> Tensor:
    """Albedo whose hidden parts have the tones of the seen ones.

    Args:
        model: the face model; its regions are read.
        pyramid: of its mesh.
        albedo: (B, V, 3) linear, refined.
        confidence: (B, V) in [0, 1], how far a vertex was seen.

    Returns:
        (B, V, 3); where the confidence is 1 it is unchanged.
    """
    count = check_shape("albedo", albedo, "B V 3")["V"]
    check_shape("confidence", confidence, "B V", B=len(albedo), V=count)
    tables = _tables(model, pyramid).to(albedo)
    logs, seen = albedo.clamp(min=DARKEST_ALBEDO).log(), confidence[..., None]
    mirror = torch.from_numpy(model.mirror).long()
    other = (1 - seen) * seen[:, mirror]
    known = seen + other
    evidence = (seen * logs + other * logs[:, mirror]) / known.clamp(min=DARKEST_ALBEDO)
    skin, hair, movable, sources, scalp = tables.unbind(1)
    shift = skin[:, None] * _shift(logs, evidence, known, sources[:, None], pyramid)
    shift = shift + hair[:, None] * _shift(logs, evidence, known, scalp[:, None], pyramid)
    return albedo * ((1 - seen) * movable[:, None] * shift).exp()


@kept_with_model
def _tables(model: FaceModel, pyramid: MeshPyramid) -> Tensor:
    """(V, 5): soft shares of skin and hair and how far a vertex is moved; whose colours are carried on as which."""
    groups = (_SKIN, _HAIR, _SKIN_SOURCES, _UNTAUGHT)
    skin, hair, sources, untaught = (torch.from_numpy(model.region_mask(*names)).float() for names in groups)
    movable = (skin + hair) * torch.maximum(_rarely_seen(model), untaught)
    hard = torch.stack([skin, hair, movable], 1)[None].to(pyramid.faces.device)
    soft = extend_values(hard, torch.ones_like(hard[..., :1]), pyramid, finest=_SOFT_LEVEL)[0].cpu()
    soft[:, 2] *= skin + hair
    return torch.cat([soft, torch.stack([sources, hair], 1)], 1)


def _rarely_seen(model: FaceModel) -> Tensor:
    """(V,) 1 where the head's surface is turned to the side, 0 where it looks ahead."""
    normals = vertex_normals(torch.from_numpy(model.mean)[None], torch.from_numpy(model.faces.astype(np.int64)))
    return step_down(normals[0, :, 2], AHEAD)


def _shift(logs: Tensor, evidence: Tensor, known: Tensor, source: Tensor, pyramid: MeshPyramid) -> Tensor:
    """(B, V, 3) from the smooth part of all colours of one kind to the continuation of the known ones."""
    weight, all_of_it = known * source, source.expand_as(known)
    inner = weight * extend_values(weight, all_of_it, pyramid, finest=GOAL_LEVEL).clamp(0, 1).square()
    goal = extend_values(evidence, inner, pyramid, finest=GOAL_LEVEL)
    own = extend_values(logs, all_of_it, pyramid, finest=OWN_LEVEL)
    shift = SHARE * (goal - own).clamp(-LARGEST, LARGEST)
    return torch.where(inner.sum(1, keepdim=True) > _LEAST_SEEN, shift, 0.0)
