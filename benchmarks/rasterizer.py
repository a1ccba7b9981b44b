"""Time of the rasteriser on a head-sized mesh: `python -m benchmarks.rasterizer [--help]`."""

from __future__ import annotations

import argparse
import math
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.timing import milliseconds
from render import available_backends, use_backend
from render.camera import perspective_camera
from render.fragments import Fragments
from render.interpolate import interpolate
from render.rasterize import rasterize

RADII_MM = (75.0, 110.0, 95.0)
DISTANCE_MM = 1000.0


def head_sized_mesh(lines: int = 186, columns: int = 200) -> tuple[Tensor, Tensor]:
    """An open ellipsoid of 2 * (lines - 1) * columns triangles, 1 m before the camera: verts_cam (1, V, 3), faces."""
    polar = torch.linspace(0.01, math.pi - 0.01, lines)[:, None]
    around = (torch.arange(columns) * (2 * math.pi / columns))[None]
    unit = torch.stack([polar.sin() * around.cos(), polar.cos().expand(-1, columns), polar.sin() * around.sin()], -1)
    verts = unit.reshape(1, -1, 3) * torch.tensor(RADII_MM) + torch.tensor([0.0, 0.0, DISTANCE_MM])
    row = torch.arange(lines * columns).view(lines, columns)
    a, b = row[:-1], row[1:]
    c, d = a.roll(-1, 1), b.roll(-1, 1)
    faces = [torch.stack(corner, -1).reshape(-1, 3) for corner in ((a, b, c), (c, b, d))]
    return verts, torch.cat(faces)


class Measured(NamedTuple):
    """Median and least ms, forward alone and forward and backward (with a colour image), and the faces found."""

    forward: tuple[float, float]
    both: tuple[float, float]
    pix_to_face: Tensor


def measure(side_px: int, repeats: int) -> Measured:
    """Time the backend in use on the head-sized mesh."""
    verts, faces = head_sized_mesh()
    camera = perspective_camera(1015.0 * side_px / 224, (side_px / 2, side_px / 2), (side_px, side_px))
    color = torch.rand(verts.shape[1], 3, generator=torch.Generator().manual_seed(0))

    def forward() -> Fragments:
        return rasterize(verts, faces, camera)

    def both() -> None:
        points, rgb = verts.clone().requires_grad_(), color.clone().requires_grad_()
        interpolate(rgb, faces, rasterize(points, faces, camera)).square().sum().backward()

    return Measured(*milliseconds([forward, both], repeats), forward().pix_to_face)


def main() -> None:
    """Measure every backend that is installed and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=224, help="side of the image in pixels")
    parser.add_argument("--repeats", type=int, default=20, help="timed runs of the torch backend (PyTorch3D: 2)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    faces = len(head_sized_mesh()[1])
    print(f"{faces} triangles, {arguments.size} x {arguments.size} px, {arguments.threads} threads, ms: median (least)")
    results = {}
    for backend in available_backends():
        with use_backend(backend):
            result = measure(arguments.size, arguments.repeats if backend == "torch" else 2)
        results[backend] = result
        times = [f"{median:9.1f} ({least:.1f})" for median, least in (result.forward, result.both)]
        print(f"{backend:10s} forward {times[0]}   forward and backward {times[1]}")
    if "pytorch3d" not in results:
        print("pytorch3d  not installed")
        return
    ours, theirs = results["torch"], results["pytorch3d"]
    ratios = [slow[0] / fast[0] for slow, fast in ((theirs.forward, ours.forward), (theirs.both, ours.both))]
    print(f"ratio      forward {ratios[0]:8.0f}x   forward and backward {ratios[1]:8.0f}x")
    differ = int((ours.pix_to_face != theirs.pix_to_face).sum())
    print(f"pixels whose face differs: {differ} of {ours.pix_to_face.numel()}")


if __name__ == "__main__":
    main()
