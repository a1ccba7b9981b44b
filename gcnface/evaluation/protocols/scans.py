"""Texture completion on a textured scan: the colors of the side that a drawn view hides, and the shape.

The scan is drawn from the front and turned to both sides; each picture goes through the whole pipeline; our mesh is
laid onto the scan, and what a method shows at its vertices is compared with what the scan shows there, in the light of
the picture. Shape is measured from our vertices of the face to the scan, in mm at an eye distance of 63 mm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.face_model import FaceModel
from coarse.morphable import FACE_DEPTH_MM, VIEW_FROM_CAM
from gcnface.errors import GcnfaceError
from gcnface.evaluation.methods import Method, fit_photo
from gcnface.evaluation.protocols.completion import (
    TURNS_DEG,
    HeldOutView,
    compare_views,
    found_shares,
    shown_weight,
    split_by_weight,
)
from gcnface.evaluation.protocols.scan_files import Registration, Samples, Scan, placed_like, register
from gcnface.evaluation.records import PHOTO_ITSELF, FittedPhoto, Measured, Metric, averaged
from gcnface.evaluation.rendering import all_turns, rotated
from gcnface.evaluation.scenes import SCENE_PX, face_region, photograph, scene_camera
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
class RenderedScan:
    """A scan before a camera: (V, 3) vertices in camera space, (V, 3) shading, the camera, the picture (S, S, 3)."""

    verts_cam: Tensor
    shading: Tensor
    camera: Camera
    picture: NDArray[np.float32]


def render_scan(scan: Scan, yaw_deg: float, face: Tensor | None = None) -> RenderedScan:
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
    return RenderedScan(verts, shading, camera, photograph(scan.surface, verts, shading, camera, behind))


def first_placed(scan: Scan) -> Scan:
    """About the right size, in the middle; the frontal reconstruction then tells exactly."""
    low, high = scan.verts.amin(0), scan.verts.amax(0)
    verts = (scan.verts - (low + high) / 2) * (FIRST_HEIGHT_MM / float(high[1] - low[1]))
    return replace(scan, verts=verts)


def registered(
    reconstructor: Reconstructor, scan: Scan, rendered: RenderedScan, samples: Samples
) -> tuple[FittedPhoto, Registration]:
    """Reconstruct a picture of a scan and lay the mesh onto it.

    Raises:
        GcnfaceError: no face is found.
    """
    fitted = fit_photo(reconstructor, rendered.picture)
    if fitted is None:
        raise GcnfaceError("no face is found in the drawn scan; it must have y up and look along +z")
    return fitted, register(reconstructor.model, fitted, scan, samples, rendered.verts_cam, rendered.camera)


def scan_view(reconstructor: Reconstructor, placed: PlacedScan, yaw_deg: float) -> ScanView:
    """One turn of a placed scan.

    Args:
        reconstructor: holds the networks.
        placed: the scan.
        yaw_deg: positive turns the nose to the viewer's right.
    """
    scan, samples = placed.scan, placed.samples
    rendered = render_scan(scan, yaw_deg, placed.face)
    nothing = torch.zeros(len(reconstructor.model.mean), dtype=torch.bool)
    try:
        fitted, found = registered(reconstructor, scan, rendered, samples)
    except GcnfaceError:
        return ScanView(
            HeldOutView(yaw_deg, rendered.picture, None, torch.zeros(len(nothing), 3), nothing, nothing), None
        )
    faces = scan.surface.faces
    uv = (scan.surface.uv[scan.surface.uv_faces[samples.face]] * samples.bary[..., None]).sum(1)[found.nearest]
    lit = scan.surface.colors(uv) * samples.values(rendered.shading, faces)[found.nearest]
    weight = samples.values(shown_weight(rendered.verts_cam, faces, rendered.camera)[:, None], faces)[found.nearest, 0]
    known = face_region(reconstructor.model) & (found.distance < ON_SCAN_MM)
    view = HeldOutView(yaw_deg, rendered.picture, fitted, lit, *split_by_weight(known, weight))
    return ScanView(view, found.distance)


def scan_views(reconstructor: Reconstructor, scan: Scan, turns_deg: Sequence[float] = TURNS_DEG) -> list[ScanView]:
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
    fitted, found = registered(reconstructor, rough, render_scan(rough, 0.0), samples)
    placed = placed_like(reconstructor.model, rough, found, fitted)
    on_face = found.nearest[face_region(reconstructor.model)]
    return PlacedScan(placed, samples, placed.surface.faces[samples.face[on_face], 0].unique())


def measure(reconstructor: Reconstructor, methods: Mapping[str, Method], subject: Scan) -> list[Measured]:
    """Colors and shape of one scan at every turn.

    Raises:
        GcnfaceError: no face is found in the scan drawn from the front.
    """
    return judge(reconstructor.model, scan_views(reconstructor, subject), methods)


def judge(model: FaceModel, views: Sequence[ScanView], methods: Mapping[str, Method]) -> list[Measured]:
    """Colors of every method, and the distances of the shape that all share; both sides of a turn are averaged."""
    held_out = [view.held_out for view in views]
    shape = []
    for view in views:
        if view.mm is not None:
            mm = view.mm[face_region(model)].numpy()
            for name, value in (("mean", mm.mean()), ("median", np.median(mm)), ("p90", np.quantile(mm, 0.9))):
                metric = Metric("distance", name, abs(view.held_out.yaw_deg))
                shape.append(Measured(PHOTO_ITSELF, metric, float(value)))
    return found_shares(held_out) + averaged(shape) + compare_views(model, held_out, methods)
