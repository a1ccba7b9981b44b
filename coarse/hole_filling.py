"""Closing the openings of the face chart (eyes and mouth), so that a dense face hides what is behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from coarse.decimation import boundary_edges
from render.shapes import check_shape


@dataclass(frozen=True)
class ClosedFaces:
    """A mesh with a fan of triangles over every opening; each fan has one new vertex, the mean of the opening's rim.

    Attributes:
        faces: (F', 3) int64: those given, then the fans, wound as the faces around them; new vertices come last.
        rims: for each opening the (n,) int64 vertices around it.
    """

    faces: Tensor
    rims: tuple[Tensor, ...]

    def close(self, attributes: Tensor) -> Tensor:
        """Values at the vertices (B, N, C) with those at the new ones behind: (B, N + openings, C)."""
        check_shape("attributes", attributes, "B N C")
        return torch.cat([attributes, *(attributes[:, rim].mean(1, keepdim=True) for rim in self.rims)], 1)


def close_openings(faces: np.ndarray, uv: np.ndarray) -> ClosedFaces:
    """Find and close every boundary of a chart but its outer one, which is the longest on the chart.

    Args:
        faces: (F, 3) integer, consistently wound.
        uv: (N, 2) where the vertices lie on the chart.
    """
    count = len(uv)
    boundary, _ = boundary_edges(faces.astype(np.int64))
    graph = coo_matrix((np.ones(len(boundary)), tuple(boundary.T)), shape=(count, count))
    loop = connected_components(graph, directed=False)[1][boundary[:, 0]]
    length = np.linalg.norm(uv[boundary[:, 0]] - uv[boundary[:, 1]], axis=1)
    longest = max(np.unique(loop), key=lambda one: length[loop == one].sum(), default=-1)
    openings = [boundary[loop == one] for one in np.unique(loop) if one != longest]
    fans = [np.column_stack([edges[:, ::-1], np.full(len(edges), count + i)]) for i, edges in enumerate(openings)]
    closed = np.concatenate([faces.astype(np.int64), *fans])
    return ClosedFaces(torch.from_numpy(closed), tuple(torch.from_numpy(edges[:, 0].copy()) for edges in openings))
