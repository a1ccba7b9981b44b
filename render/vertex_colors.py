"""Vertex colours whose drawing comes closest to a picture.

Colours sampled at the vertices and interpolated between them blur: each pixel mixes three samples. The best ones solve
a linear least-squares problem, for drawing is linear in the colours: with W the barycentric weights (pixels by
vertices), c = c0 + f y and

    min over y of  sum_i w_i |W (c0 + f y) - p|_i^2 + ridge |y|^2

where f in [0, 1] says how far a vertex may move. A few conjugate-gradient steps (CGLS, Hestenes and Stiefel 1952)
suffice; stopping early and the ridge both keep what the pixels do not tell near c0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, vstack
from torch import Tensor

from render.fragments import Fragments
from render.shapes import check_shape

_SMALLEST = np.float32(1e-30)


@dataclass(frozen=True)
class ColorTarget:
    """A picture that a mesh should look like.

    Attributes:
        fragments: the mesh in the picture's frame, a batch of one.
        picture: (H, W, C).
    """

    fragments: Fragments
    picture: Tensor


def solve_vertex_colors(
    initial: Tensor,
    faces: Tensor,
    targets: Sequence[ColorTarget],
    freedom: Tensor,
    *,
    ridge: float = 0.05,
    steps: int = 12,
) -> Tensor:
    """Vertex colours that reproduce pictures when they are interpolated.

    A pixel counts by the freedom of the vertices it mixes, so that what lies over hidden parts pulls at nothing.

    Args:
        initial: (V, C) colours to start from, in the encoding in which they are interpolated.
        faces: (F, 3) integer, those that were rasterised.
        targets: one or more pictures.
        freedom: (V,) in [0, 1]; vertices with 0 keep their colour exactly.
        ridge: weight of staying near `initial`, in pixels.
        steps: of conjugate gradients.

    Returns:
        (V, C) in the same encoding, not clipped.
    """
    size = check_shape("initial", initial, "V C")
    check_shape("freedom", freedom, "V", V=size["V"])
    check_shape("faces", faces, "F 3")
    free = freedom.detach().cpu().numpy().astype(np.float32)
    start = initial.detach().cpu().numpy().astype(np.float32)
    rows, sides = [], []
    for target in targets:
        check_shape("picture", target.picture, "H W C", C=size["C"])
        weights, pixel = barycentric_matrix(target.fragments, faces, size["V"])
        share = (weights @ free).clip(0, 1)
        counting = np.flatnonzero(share > 0)
        weights, root = weights[counting], np.sqrt(share[counting])
        picture = target.picture.detach().cpu().numpy().reshape(-1, size["C"])[pixel[counting]]
        rows.append(diags(root) @ weights @ diags(free))
        sides.append(root[:, None] * (picture - weights @ start))
    matrix, side = vstack(rows, format="csr").astype(np.float32), np.concatenate(sides).astype(np.float32)
    step = _least_squares(matrix, side, ridge, steps)
    return torch.from_numpy(start + free[:, None] * step).to(initial)


def barycentric_matrix(fragments: Fragments, faces: Tensor, count: int) -> tuple[csr_matrix, NDArray[np.int64]]:
    """The drawing as a matrix (N, V) over the N covered pixels of a batch of one, and their flat indices (N,)."""
    check_shape("pix_to_face", fragments.pix_to_face, "B H W", B=1)
    flat = fragments.pix_to_face.flatten().cpu()
    pixel = (flat >= 0).nonzero()[:, 0]
    corner = faces.long().cpu()[flat[pixel]].numpy()
    bary = fragments.bary.detach().cpu().reshape(-1, 3)[pixel].numpy().astype(np.float32)
    start = np.arange(0, 3 * len(corner) + 1, 3)
    return csr_matrix((bary.ravel(), corner.ravel(), start), shape=(len(corner), count)), pixel.numpy()


def _least_squares(matrix: csr_matrix, side: NDArray[np.float32], ridge: float, steps: int) -> NDArray[np.float32]:
    """(V, C): `steps` of CGLS, each column by itself, on |A y - b|^2 + ridge |y|^2 from y = 0."""
    transposed = matrix.T.tocsr()
    answer = np.zeros((matrix.shape[1], side.shape[1]), np.float32)
    residual = side
    gradient = transposed @ residual
    direction, norm = gradient, (gradient**2).sum(0)
    for _ in range(steps):
        drawn = matrix @ direction
        length = norm / np.maximum((drawn**2).sum(0) + ridge * (direction**2).sum(0), _SMALLEST)
        answer = answer + length * direction
        residual = residual - length * drawn
        gradient = transposed @ residual - ridge * answer
        norm, before = (gradient**2).sum(0), norm
        direction = gradient + norm / np.maximum(before, _SMALLEST) * direction
    return answer
