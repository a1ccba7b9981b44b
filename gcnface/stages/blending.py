"""Several photos of one face, colours on its vertices: which photo a vertex believes, and how their tones are matched.

As Burt and Adelson 1983 blend pictures, coarse tones change over a wide band and detail over a narrow one, here on the
mesh, where no seam of the texture atlas is in the way. All of it becomes one weight and one factor a vertex and photo:
the factor turns a photo's own smooth tones into the common ones, the weight says whose detail is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, identity
from torch import Tensor

from coarse.morphable import DARKEST_ALBEDO
from render.shapes import check_shape


@dataclass(frozen=True)
class BlendSettings:
    """Widths and limits."""

    narrow_steps: int = 6
    """Steps of diffusion over the mesh of the weights of detail; n steps reach about sqrt(n) edges of 0.7 to 2 mm."""
    wide_steps: int = 60
    """The same for coarse tones."""
    least_overlap: int = 200
    """Vertices that two photos must share for their tones to be compared."""
    ridge: float = 1.0
    """Weight, in shared vertices, of leaving a photo's tone as it is."""
    largest_factor: float = 2.0
    """Of the local factor of tones, and one over the least."""


@dataclass(frozen=True)
class Blend:
    """How P photos make one set of colours.

    Attributes:
        weight: (P, V); over the photos it sums to the largest confidence of the vertex.
        factor: (P, V, 3) what a photo's albedo is multiplied by.
    """

    weight: Tensor
    factor: Tensor

    def colors(self, albedo: Tensor) -> Tensor:
        """(V, 3) blend of (P, V, 3); black where nothing was seen."""
        total = self.weight.sum(0).clamp(min=1e-6)
        return (self.weight[..., None] * self.factor * albedo).sum(0) / total[:, None]


def blend_photos(
    faces: NDArray[np.int32],
    albedo: Tensor,
    confidence: Tensor,
    quality: Tensor,
    settings: BlendSettings = BlendSettings(),
) -> Blend:
    """Weights and factors for colours of several photos; permuting the photos permutes the result.

    Args:
        faces: (F, 3) of the mesh.
        albedo: (P, V, 3) linear, each photo's colours without its light.
        confidence: (P, V) in [0, 1], how far a photo shows the vertex.
        quality: (P, V), not negative, which photo shows it best.
        settings: widths.
    """
    size = check_shape("albedo", albedo, "P V C", C=3)
    check_shape("confidence", confidence, "P V", P=size["P"], V=size["V"])
    check_shape("quality", quality, "P V", P=size["P"], V=size["V"])
    seen, colors = confidence.numpy().astype(np.float64), albedo.numpy().astype(np.float64)
    if size["P"] == 1:
        return Blend(confidence, torch.ones_like(albedo))
    spread = _diffusion(faces, size["V"])
    gain = np.exp(_log_gains(colors, seen, settings))
    coherent = np.stack([_diffused(spread, q, settings.wide_steps) for q in quality.numpy().astype(np.float64)])
    winner = (coherent * (seen > 0)).argmax(0)
    one_hot = (np.arange(size["P"])[:, None] == winner).astype(np.float64)
    narrow, wide = (_weights(spread, one_hot, seen, n) for n in (settings.narrow_steps, settings.wide_steps))
    own = np.stack([_smooth(spread, c * g, w, settings) for c, g, w in zip(colors, gain, seen, strict=True)])
    share = wide / np.maximum(wide.sum(0), 1e-9)
    common = (share[..., None] * own).sum(0)
    limit = settings.largest_factor
    local = np.clip(np.maximum(common, DARKEST_ALBEDO) / np.maximum(own, DARKEST_ALBEDO), 1 / limit, limit)
    factor = np.where((share.sum(0) > 0)[:, None], local, 1.0) * gain[:, None]
    return Blend(*(torch.from_numpy(x.astype(np.float32)) for x in (narrow, factor)))


def _diffusion(faces: NDArray[np.int32], count: int) -> csr_matrix:
    """(V, V) half a vertex itself, half the mean of its neighbours; rows sum to 1."""
    a, b = faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()
    ones = np.ones(2 * len(a))
    adjacency = csr_matrix((ones, (np.r_[a, b], np.r_[b, a])), shape=(count, count))
    adjacency.data[:] = 1.0
    degree = np.asarray(adjacency.sum(1)).ravel()
    mean = diags(1 / np.maximum(degree, 1)) @ adjacency
    return (0.5 * identity(count) + 0.5 * mean + diags(0.5 * (degree == 0))).tocsr()


def _diffused(spread: csr_matrix, values: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """(V,) or (V, C) values after some steps of diffusion."""
    for _ in range(steps):
        values = spread @ values
    return values


def _weights(
    spread: csr_matrix, one_hot: NDArray[np.float64], seen: NDArray[np.float64], steps: int
) -> NDArray[np.float64]:
    """(P, V) the winners' borders softened, only where a photo shows the vertex, summing to the largest confidence."""
    soft = np.stack([_diffused(spread, hot, steps) for hot in one_hot]) * seen
    return soft / np.maximum(soft.sum(0), 1e-9) * seen.max(0)


def _smooth(
    spread: csr_matrix, colors: NDArray[np.float64], seen: NDArray[np.float64], settings: BlendSettings
) -> NDArray[np.float64]:
    """(V, 3) a photo's coarse tones, carried on a little beyond what it shows."""
    both = _diffused(spread, np.column_stack([colors * seen[:, None], seen]), settings.wide_steps)
    return both[:, :3] / np.maximum(both[:, 3:], 1e-9)


def _log_gains(colors: NDArray[np.float64], seen: NDArray[np.float64], settings: BlendSettings) -> NDArray[np.float64]:
    """(P, 3) logarithms of one factor a photo and channel that make shared vertices agree; their sum is 0.

    Pairs of photos are compared by the median of the logarithmic ratio, which highlights and shadows do not move; then
    least squares over the pairs, as Brown and Lowe 2007 compensate the gains of a panorama.
    """
    count = len(colors)
    normal, side = settings.ridge * np.eye(count), np.zeros((count, 3))
    for i, j in combinations(range(count), 2):
        shared = (np.minimum(seen[i], seen[j]) > 0.5) & (np.minimum(colors[i], colors[j]).min(1) > DARKEST_ALBEDO)
        if shared.sum() < settings.least_overlap:
            continue
        ratio = np.median(np.log(colors[j][shared]) - np.log(colors[i][shared]), axis=0)
        weight = float(shared.sum())
        normal[[i, j], [i, j]] += weight
        normal[[i, j], [j, i]] -= weight
        side[i] += weight * ratio
        side[j] -= weight * ratio
    return np.asarray(np.linalg.solve(normal, side), np.float64)
