"""Small meshes and pyramids with known properties."""

import numpy as np
import torch

from coarse.levels import decimated_levels
from refine.graph import scaled_laplacian
from refine.pyramid import MeshPyramid
from refine.sparse import SparseOperator


def icosphere(subdivisions: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit sphere, 10 * 4^n + 2 vertices: verts (V, 3), faces (F, 3) counter-clockwise from outside."""
    golden = (1 + 5**0.5) / 2
    ring = np.array([[-1, golden, 0], [1, golden, 0], [-1, -golden, 0], [1, -golden, 0]])
    verts = np.concatenate([ring, ring[:, [2, 0, 1]], ring[:, [1, 2, 0]]])
    verts /= np.linalg.norm(verts[0])
    close = np.linalg.norm(verts[:, None] - verts[None], axis=2) < 1.1
    np.fill_diagonal(close, False)
    faces = [
        (i, j, k) for i in range(12) for j in range(i) for k in range(j) if close[i, j] & close[j, k] & close[i, k]
    ]
    faces = np.array(faces)
    normal = np.cross(verts[faces[:, 1]] - verts[faces[:, 0]], verts[faces[:, 2]] - verts[faces[:, 0]])
    inward = (normal * verts[faces].mean(1)).sum(1) < 0
    faces[inward] = faces[inward][:, ::-1]
    for _ in range(subdivisions):
        verts, faces = _subdivide(verts, faces)
    return verts, faces


def _subdivide(verts: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    unique, inverse = np.unique(edges, axis=0, return_inverse=True)
    middle = verts[unique].mean(1)
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    ab, bc, ca = len(verts) + inverse.reshape(3, -1)
    a, b, c = faces.T
    parts = [np.stack(corner, 1) for corner in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    return np.concatenate([verts, middle]), np.concatenate(parts)


def torus_grid(rows: int, columns: int) -> np.ndarray:
    """Faces of a triangulated torus: closed, every vertex with six neighbours."""
    a = np.arange(rows * columns).reshape(rows, columns)
    b, c = np.roll(a, -1, 0), np.roll(a, -1, 1)
    d = np.roll(b, -1, 1)
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([c, b, d], -1).reshape(-1, 3)])


def masked_sheet(side: int) -> tuple[np.ndarray, np.ndarray]:
    """A bulging sheet with two holes for eyes: one component, an outer boundary, Euler number -1."""
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1.2, 1.2, side))
    verts = np.stack([x, y, 0.6 - 0.4 * (x**2 + y**2)], -1).reshape(-1, 3)
    a = np.arange(side * side).reshape(side, side)
    corners = (a[:-1, :-1], a[:-1, 1:], a[1:, 1:], a[1:, :-1])
    first, second = (np.stack([corners[i] for i in pick], -1).reshape(-1, 3) for pick in ((0, 1, 2), (0, 2, 3)))
    faces = np.concatenate([first, second])
    center = verts[faces].mean(1)
    hole = np.hypot((np.abs(center[:, 0]) - 0.4) / 0.22, (center[:, 1] - 0.3) / 0.15) < 1
    faces = faces[~hole]
    used, inverse = np.unique(faces, return_inverse=True)
    return verts[used], inverse.reshape(-1, 3)


def laplacian(faces: np.ndarray, count: int) -> SparseOperator:
    """The rescaled Laplacian of a mesh as an operator."""
    return SparseOperator(scaled_laplacian(faces, count), symmetric=True)


def sphere_pyramid(subdivisions: int = 3, factors: tuple[int, ...] = (4, 4)) -> MeshPyramid:
    """A pyramid over an icosphere."""
    return MeshPyramid(decimated_levels(*icosphere(subdivisions), factors))


def mirror_table(verts: np.ndarray) -> np.ndarray:
    """For each vertex the one nearest to its mirror image in x."""
    return np.linalg.norm((verts * [-1, 1, 1])[:, None] - verts[None], axis=2).argmin(1)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    """Standard normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
