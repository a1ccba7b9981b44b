"""Texture completion on a textured scan: the colours of the side that a drawn view hides, and the shape.

    python -m benchmarks.completion --scan head.obj --texture colour.jpg [--sheet sheet.png] [--json figures.json]

The scan is drawn from the front and turned to both sides; each picture goes through the whole pipeline; our mesh is
laid onto the scan, and what a method shows at its vertices is compared with what the scan shows there, in the light of
the picture. Shape is measured from our vertices of the face to the scan, in mm at an eye distance of 63 mm.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.scans import Registration, Samples, Scan, placed_like, read_scan, register
from coarse.face_model import FaceModel
from coarse.morphable import FACE_DEPTH_MM, VIEW_FROM_CAM
from gcnface.errors import GcnfaceError
from gcnface.evaluation.completion import (
    FACE_REGIONS,
    TURNS_DEG,
    HeldOutView,
    all_turns,
    completion_figures,
    shown_weight,
)
from gcnface.evaluation.methods import DEFAULT_METHODS, METHODS, Method, build_methods, fit_photo
from gcnface.evaluation.records import FittedPhoto
from gcnface.evaluation.rendering import HeadRenderer, rotated
from gcnface.evaluation.scenes import SCENE_PX, photograph, scene_camera
from gcnface.pipeline import Reconstructor
from render.camera import Camera
from render.lighting import ambient_lighting, sh_basis, shade
from render.normals import vertex_normals

ON_SCAN_MM = 6.0
"""Vertices further from the scan than this have no true colour."""
FIRST_HEIGHT_MM = 300.0
"""A scan of unknown unit is first drawn this tall."""
LAMP, LAMP_STRENGTH, AMBIENT = (0.4, 0.5, 0.8), 0.45, 0.6
BACKGROUND = (0.42, 0.45, 0.48)
_SHOWN, _HIDDEN = 0.5, 0.01


@dataclass(frozen=True)
class ScanView:
    """A scan drawn turned, reconstructed and registered.

    Attributes:
        held_out: picture, reconstruction, true colours at our vertices.
        mm: (V,) distance of our vertices from the scan; None when no face was found.
    """

    held_out: HeldOutView
    mm: Tensor | None


@dataclass(frozen=True)
class PlacedScan:
    """A scan in mm and the axes of our model, points on it, and (N,) the vertices of its face."""

    scan: Scan
    samples: Samples
    face: Tensor


@dataclass(frozen=True)
class Shot:
    """A scan before a camera: (V, 3) vertices in camera space, (V, 3) shading, the camera, the picture (S, S, 3)."""

    verts_cam: Tensor
    shading: Tensor
    camera: Camera
    picture: NDArray[np.float32]


def shoot(scan: Scan, yaw_deg: float, face: Tensor | None = None) -> Shot:
    """Draw a scan in millimetres, its lamp turned with it.

    Args:
        scan: axes of our model.
        yaw_deg: positive turns the nose to the viewer's right.
        face: (N,) vertices that are put into the middle of the picture; None takes all.
    """
    normals = vertex_normals(scan.verts[None], scan.surface.faces)
    towards = torch.tensor(LAMP) / torch.tensor(LAMP).norm()
    lighting = ambient_lighting(AMBIENT) + LAMP_STRENGTH * sh_basis(towards)[None, :, None].expand(1, 9, 3)
    shading = shade(normals, lighting)[0].clamp(min=0.05)
    origin = torch.tensor([[0.0, 0.0, 1000.0 + FACE_DEPTH_MM]])
    straight = scan.verts * torch.tensor(VIEW_FROM_CAM) + origin
    verts = rotated(straight[None], origin, yaw_deg)[0]
    camera = scene_camera(verts if face is None else verts[face])
    behind = np.broadcast_to(np.array(BACKGROUND, np.float32), (SCENE_PX, SCENE_PX, 3)).copy()
    return Shot(verts, shading, camera, photograph(scan.surface, verts, shading, camera, behind))


def first_placed(scan: Scan) -> Scan:
    """About the right size, in the middle; the frontal reconstruction then tells exactly."""
    low, high = scan.verts.amin(0), scan.verts.amax(0)
    verts = (scan.verts - (low + high) / 2) * (FIRST_HEIGHT_MM / float(high[1] - low[1]))
    return replace(scan, verts=verts)


def registered(
    reconstructor: Reconstructor, scan: Scan, shot: Shot, samples: Samples
) -> tuple[FittedPhoto, Registration]:
    """Reconstruct a picture of a scan and lay the mesh onto it.

    Raises:
        GcnfaceError: no face is found.
    """
    seen = fit_photo(reconstructor, shot.picture)
    if seen is None:
        raise GcnfaceError("no face is found in the drawn scan; it must have y up and look along +z")
    return seen, register(reconstructor.model, seen, scan, samples, shot.verts_cam, shot.camera)


def scan_view(reconstructor: Reconstructor, placed: PlacedScan, yaw_deg: float) -> ScanView:
    """One turn of a placed scan.

    Args:
        reconstructor: holds the networks.
        placed: the scan.
        yaw_deg: positive turns the nose to the viewer's right.
    """
    scan, samples = placed.scan, placed.samples
    shot = shoot(scan, yaw_deg, placed.face)
    nothing = torch.zeros(len(reconstructor.model.mean), dtype=torch.bool)
    try:
        seen, found = registered(reconstructor, scan, shot, samples)
    except GcnfaceError:
        return ScanView(HeldOutView(yaw_deg, shot.picture, None, torch.zeros(len(nothing), 3), nothing, nothing), None)
    faces = scan.surface.faces
    uv = (scan.surface.uv[scan.surface.uv_faces[samples.face]] * samples.bary[..., None]).sum(1)[found.nearest]
    lit = scan.surface.colors(uv) * samples.values(shot.shading, faces)[found.nearest]
    weight = samples.values(shown_weight(shot.verts_cam, faces, shot.camera)[:, None], faces)[found.nearest, 0]
    known = _on_face(reconstructor.model) & (found.distance < ON_SCAN_MM)
    view = HeldOutView(yaw_deg, shot.picture, seen, lit, known & (weight > _SHOWN), known & (weight < _HIDDEN))
    return ScanView(view, found.distance)


def scan_views(reconstructor: Reconstructor, scan: Scan, turns_deg: tuple[float, ...] = TURNS_DEG) -> list[ScanView]:
    """Place a scan by its frontal reconstruction, then draw and reconstruct every turn."""
    placed = place(reconstructor, scan)
    return [scan_view(reconstructor, placed, yaw) for yaw in all_turns(turns_deg)]


def place(reconstructor: Reconstructor, scan: Scan) -> PlacedScan:
    """A scan of any unit in mm and the axes of our model.

    Raises:
        GcnfaceError: no face is found in the scan drawn from the front.
    """
    rough = first_placed(scan)
    samples = rough.samples()
    seen, found = registered(reconstructor, rough, shoot(rough, 0.0), samples)
    placed = placed_like(reconstructor.model, rough, found, seen)
    on_face = found.nearest[_on_face(reconstructor.model)]
    return PlacedScan(placed, samples, placed.surface.faces[samples.face[on_face], 0].unique())


def _on_face(model: FaceModel) -> Tensor:
    return torch.from_numpy(model.region_mask(*FACE_REGIONS))


def sheet(
    reconstructor: Reconstructor, views: list[ScanView], methods: Mapping[str, Method], yaw_deg: float = 40.0
) -> NDArray:
    """A row a view: the picture, then each method's answer from the side that was hidden, `yaw_deg` off the front."""
    renderer, rows = HeadRenderer(reconstructor.model, 256), []
    for view in views:
        seen = view.held_out.seen
        if seen is None:
            continue
        away = -np.sign(view.held_out.yaw_deg or 1.0) * (yaw_deg + abs(view.held_out.yaw_deg))
        frame = renderer.frame(seen.view.coarse, float(away))
        drawn = [renderer.shade(frame, method(seen)).picture for method in methods.values()]
        rows.append(np.hstack([cv2.resize(view.held_out.picture, (256, 256), interpolation=cv2.INTER_AREA), *drawn]))
    return np.vstack(rows)


def shape_lines(model: FaceModel, views: list[ScanView]) -> list[str]:
    """Lines of the table of distances."""
    lines = ["| yaw | mean mm | median mm | 90 % mm |", "|---|---|---|---|"]
    for view in views:
        if view.mm is None:
            lines.append(f"| {view.held_out.yaw_deg:g} | no face found | | |")
            continue
        mm = view.mm[_on_face(model)].numpy()
        cells = " | ".join(f"{value:.2f}" for value in (mm.mean(), np.median(mm), np.quantile(mm, 0.9)))
        lines.append(f"| {view.held_out.yaw_deg:g} | {cells} |")
    return lines


def color_lines(figures: dict[str, dict[str, float]], names: list[str]) -> list[str]:
    """Lines of the table of colours."""
    lines = ["| method | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for method, values in figures.items():
        lines.append(f"| {METHODS[method].title} | " + " | ".join(f"{values[n]:.2f}" for n in names) + " |")
    return lines


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scan", type=Path, required=True, help="textured OBJ or GLB, y up, looking along +z")
    parser.add_argument("--texture", type=Path, help="picture of its colours, when the file names none")
    parser.add_argument("--methods", default=",".join(DEFAULT_METHODS))
    parser.add_argument("--sheet", type=Path, help="picture of every view and answer")
    parser.add_argument("--json", type=Path, help="all figures")
    args = parser.parse_args()
    reconstructor = Reconstructor()
    methods, left_out = build_methods(reconstructor, args.methods.split(","), strict=False)
    views = scan_views(reconstructor, read_scan(args.scan, args.texture))
    figures = completion_figures(reconstructor.model, [view.held_out for view in views], methods)
    print("\n".join(shape_lines(reconstructor.model, views)) + "\n")
    names = [name for name in next(iter(figures.values())) if name.endswith("_psnr")]
    print("\n".join(color_lines(figures, names)))
    print("".join(f"\nleft out: {name}: {why}" for name, why in left_out.items()))
    if args.sheet:
        cv2.imwrite(str(args.sheet), np.rint(sheet(reconstructor, views, methods)[..., ::-1] * 255))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
