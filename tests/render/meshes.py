"""Small meshes with known answers."""

import math

import torch
from torch import Tensor


def sphere(lines: int = 24, columns: int = 40) -> tuple[Tensor, Tensor]:
    """Unit sphere: verts (V, 3) in model axes, faces (F, 3) counter-clockwise from outside, poles at +-y."""
    polar = torch.linspace(0, math.pi, lines + 1)[1:-1, None]
    around = torch.arange(columns) * (2 * math.pi / columns)
    ring = torch.stack([polar.sin() * around.sin(), polar.cos().expand(-1, columns), polar.sin() * around.cos()], -1)
    verts = torch.cat([ring.reshape(-1, 3), torch.tensor([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])])
    grid = torch.arange((lines - 1) * columns).view(lines - 1, columns)
    a, b = grid[:-1], grid[1:]
    c, d = a.roll(-1, 1), b.roll(-1, 1)
    top, bottom = torch.full((columns,), len(verts) - 2), torch.full((columns,), len(verts) - 1)
    quads = [torch.stack([a, b, c], -1).reshape(-1, 3), torch.stack([c, b, d], -1).reshape(-1, 3)]
    caps = [torch.stack([top, grid[0], grid[0].roll(-1)], -1), torch.stack([bottom, grid[-1].roll(-1), grid[-1]], -1)]
    return verts, torch.cat(quads + caps)


def in_camera(verts_model: Tensor, scale_mm: float, center_mm: tuple[float, float, float]) -> Tensor:
    """(1, V, 3) camera space: model axes turned by diag(1, -1, -1), scaled and moved."""
    return (verts_model * torch.tensor([1.0, -1.0, -1.0]) * scale_mm + torch.tensor(center_mm))[None]


def random_triangles(count: int, hw: tuple[int, int], seed: int, spread: float = 12.0) -> tuple[Tensor, Tensor]:
    """Triangles (1, 3 * count, 3) on the screen, some beyond its frame, depths 1 to 3, and their faces."""
    generator = torch.Generator().manual_seed(seed)
    center = torch.rand(count, 1, 2, generator=generator) * torch.tensor([hw[1] * 1.4, hw[0] * 1.4])
    center = center - 0.2 * torch.tensor([hw[1], hw[0]])
    xy = center + spread * torch.randn(count, 3, 2, generator=generator)
    z = 1 + 2 * torch.rand(count, 3, 1, generator=generator)
    return torch.cat([xy, z], -1).view(1, -1, 3), torch.arange(3 * count).view(-1, 3)
