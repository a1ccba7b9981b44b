r"""Smooth extension of partly known vertex values over a mesh, without weights: the pull-push method on a pyramid.

Gortler et al., "The lumigraph", 1996. Pull: known values are averaged onto coarser levels,
:math:`n_{l+1} = U_l^T n_l,\; d_{l+1} = U_l^T d_l` from :math:`n_0 = w x,\; d_0 = w`. Push: where a level knows too
little it takes from the coarser one, :math:`r_l = c_l\, n_l / d_l + (1 - c_l)\, U_l r_{l+1}` with
:math:`c_l = \min(d_l, 1)`, followed by a few steps of averaging over neighbours that hide the coarse triangles.
"""

from __future__ import annotations

import torch
from torch import Tensor

from refine.layout import concatenate
from refine.pyramid import MeshPyramid
from render.shapes import check_shape

SMOOTHING_STEPS = 2
"""Averaging steps a level after taking from the coarser one."""

SMALLEST = 1e-6
"""Weights below this count as none."""


def extend_values(values: Tensor, weight: Tensor, pyramid: MeshPyramid, *, finest: int = 0) -> Tensor:
    """Keep values where they are known in full and continue them smoothly elsewhere.

    A connected part without any known value takes the mean of all known ones; without any at all the answer is 0.

    Args:
        values: (B, V, C); what lies where the weight is 0 does not count.
        weight: (B, V, 1) in [0, 1], how far a value is known.
        pyramid: of the mesh.
        finest: levels below this one keep nothing: from 1 on the answer is the smooth part of the values alone, the
            smoother the higher.

    Returns:
        (B, V, C).

    Raises:
        ShapeError: sizes disagree.
    """
    bound = check_shape("values", values, "B V C", V=pyramid.vertex_counts[0])
    check_shape("weight", weight, "B V 1", B=bound["B"], V=bound["V"])
    sums = [concatenate(torch.where(weight > 0, values * weight, 0.0), weight)]
    for level in range(len(pyramid) - 1):
        sums.append(pyramid.gather(sums[-1], level))
    total = sums[-1].sum(dim=1, keepdim=True)
    result = (total[..., :-1] / total[..., -1:].clamp(min=SMALLEST)).expand(-1, pyramid.vertex_counts[-1], -1)
    for level in reversed(range(len(pyramid))):
        if level < len(pyramid) - 1:
            result = pyramid.unpool(result, level)
        known = sums[level] if level >= finest else torch.zeros_like(sums[level])
        result = _push(known, result, pyramid, level)
    return result


def _push(sums: Tensor, coarser: Tensor, pyramid: MeshPyramid, level: int) -> Tensor:
    mass = sums[..., -1:]
    confidence = torch.where(mass > SMALLEST, mass.clamp(max=1.0), 0.0)
    known = confidence * sums[..., :-1] / mass.clamp(min=SMALLEST)
    result = known + (1.0 - confidence) * coarser
    for _ in range(SMOOTHING_STEPS):
        result = known + (1.0 - confidence) * pyramid.average(result, level)
    return result
