"""The face chart: a symmetric Tutte embedding of the face onto the unit square.

Tutte 1963 (a convex boundary and positive weights give an embedding without fold-overs) with conformal weights
(cotangents clamped to stay positive), boundary on the square and mirror plane at u = 1/2 as in Bas, Huber, Smith,
Awais and Kittler, "3D Morphable Models as Spatial Transformer Networks", 2017. Conformal weights alone starve what
stands out (nose, lips get half the texels of the cheeks), so they are rebalanced a few times by the stretch they left:
Yoshizawa, Belyaev and Seidel, "A fast and simple stretch-minimizing mesh parameterization", 2004. The weights stay
positive, so the embedding stays free of folds.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import bmat, coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import spsolve

from gcnface.building.geometry import boundary_loops, vertex_areas

MIN_WEIGHT = 0.05
# Rounds of rebalancing and the power of the stretch in each; three half steps make the density even within 15 %
# while a median triangle is sheared by 1.5 : 1 instead of 1.4 : 1.
STRETCH_ROUNDS, STRETCH_POWER = 3, 0.5
MAX_STRETCH = 5.0
# Shares of the half boundary (from the middle of the forehead down one side to the middle of the throat) that go
# to the square's top half edge, side and bottom half edge.
BOUNDARY_SHARES = (0.25, 0.5, 0.25)


def tutte_chart(vertices: np.ndarray, faces: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Embed a symmetric disc with holes on the unit square.

    Holes (eyes, mouth) are closed by a virtual vertex each before solving.

    Args:
        vertices: (V, 3) symmetric in x; only those that `faces` use are embedded.
        faces: (F, 3) faces of the chart, closed under the mirror.
        mirror: (V,) mirror table.

    Returns:
        (V, 2) u right, v up, mirrored exactly in u = 1/2; NaN where no face of the chart is.
    """
    loops = boundary_loops(faces)
    outer, holes = loops[0], loops[1:]
    weights = conformal_weights(vertices, faces)
    boundary_uv = _square_boundary(vertices, outer, mirror)
    uv = _solve(weights, np.unique(faces), outer, boundary_uv, holes)
    for _ in range(STRETCH_ROUNDS):
        weights = (weights @ diags(1.0 / vertex_stretch(vertices, uv, faces) ** STRETCH_POWER)).tocsr()
        uv = _solve(weights, np.unique(faces), outer, boundary_uv, holes)
    centered = uv[:, 0] - 0.5
    centered = 0.5 * (centered - centered[mirror])
    height = 0.5 * (uv[:, 1] + uv[:, 1][mirror])
    return np.stack([0.5 + centered, height], axis=-1)


def chart_faces(faces: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The chosen faces without those whose three corners all lie on the outer boundary (they would be flat)."""
    while True:
        outer = boundary_loops(faces[chosen])[0]
        flat = np.isin(faces[chosen], outer).all(1)
        if not flat.any():
            return chosen
        chosen = chosen[~flat]


def conformal_weights(vertices: np.ndarray, faces: np.ndarray) -> csr_matrix:
    """(V, V) symmetric edge weights, half the sum of the two opposite cotangents, at least MIN_WEIGHT."""
    count = len(vertices)
    total = csr_matrix((count, count))
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        a, b = (vertices[faces[:, m]] - vertices[faces[:, i]] for m in (j, k))
        cotangent = (a * b).sum(1) / np.maximum(np.linalg.norm(np.cross(a, b), axis=1), 1e-12)
        total = total + coo_matrix((0.5 * cotangent, (faces[:, j], faces[:, k])), shape=(count, count)).tocsr()
    total = (total + total.T).tocsr()
    total.data = np.clip(total.data, MIN_WEIGHT, 1.0 / MIN_WEIGHT)
    return total


def vertex_stretch(vertices: np.ndarray, uv: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V,) root of surface area over chart area around each vertex, relative to its median; 1 outside the chart."""
    on_surface, in_chart = vertex_areas(vertices, faces), vertex_areas(np.nan_to_num(uv), faces)
    inside = in_chart > 0
    stretch = np.ones(len(vertices))
    stretch[inside] = np.sqrt(on_surface[inside] / in_chart[inside])
    stretch[inside] /= np.median(stretch[inside])
    return np.clip(stretch, 1.0 / MAX_STRETCH, MAX_STRETCH)


def _square_boundary(vertices: np.ndarray, loop: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """(n, 2) points of the boundary loop on the unit square, by arc length, +x half to u > 1/2."""
    middle = np.flatnonzero(mirror[loop] == loop)
    top = middle[vertices[loop[middle], 1].argmax()]
    rotated = np.roll(loop, -top)
    bottom = int(np.flatnonzero(mirror[rotated[1:]] == rotated[1:])[0]) + 1
    if vertices[rotated[1:bottom]][:, 0].mean() < 0:
        rotated = np.roll(rotated[::-1], 1)
        bottom = len(loop) - bottom
    half = rotated[: bottom + 1]
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(vertices[half], axis=0), axis=1))])
    knots = np.concatenate([[0.0], np.cumsum(BOUNDARY_SHARES)])
    u = np.interp(length / length[-1], knots, (0.5, 1.0, 1.0, 0.5))
    v = np.interp(length / length[-1], knots, (1.0, 1.0, 0.0, 0.0))
    table = np.full((len(vertices), 2), np.nan)
    table[half] = np.stack([u, v], axis=-1)
    table[mirror[half]] = np.stack([1.0 - u, v], axis=-1)
    return table[loop]


def _solve(
    weights: csr_matrix, members: np.ndarray, outer: np.ndarray, outer_uv: np.ndarray, holes: list[np.ndarray]
) -> np.ndarray:
    count, ends = weights.shape[0], np.cumsum([0] + [len(hole) for hole in holes])
    rims = csr_matrix((np.ones(ends[-1]), np.concatenate([*holes, []]), ends), shape=(len(holes), count))
    grown = bmat([[weights, rims.T], [rims, None]], format="csr")
    free = np.setdiff1d(np.append(members, count + np.arange(len(holes))), outer)
    degree = np.asarray(grown.sum(1)).ravel()
    inner = -grown[free][:, free]
    inner.setdiag(degree[free])
    known = grown[free][:, outer] @ outer_uv
    uv = np.full((count + len(holes), 2), np.nan)
    uv[outer] = outer_uv
    uv[free] = spsolve(inner.tocsc(), known)
    return uv[:count]
