"""Heads with true geometry: fitted faces with their own colours, drawn at every yaw to 90 degrees.

Annotated photographs look into the camera; networks must also know profiles. Views are made in two ways. Bare heads are
drawn whole over pieces of other photographs, at any yaw, with changed expressions and lights. Photographic views turn
the photo itself in depth, hair and background included, as 300W-LP does (Zhu et al. 2016), up to 60 degrees. In both
the landmarks, hidden ones included, and the coefficients are exact.

    python -m gcnface.building.rendered_heads --data runs/faces -o runs/heads
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d
from torch.nn.functional import interpolate as interpolate_image

from coarse.coefficients import Coefficients
from coarse.decomposition import decompose
from coarse.face_model import LANDMARKS5_FROM_468, FaceModel, load_face_model
from coarse.fitting import fit_landmarks
from coarse.morphable import DARKEST_ALBEDO, MorphableModel, crop_camera
from gcnface.building.rotated_photo import rotated_photo
from gcnface.data.faces import CANVAS_MARGIN_PX, CANVAS_PX, PreparedFaces, load_prepared
from gcnface.data.heads import HeadRenders, forget_heads, save_heads, source_of
from gcnface.photo.crop import TEMPLATE_POINTS5_PX, similarity_from_points
from gcnface.photo.parsing import FaceParser, load_parser
from gcnface.stages.observation import class_maps, observe_vertices
from refine.facenet import embed_crop224, load_facenet
from refine.network import TextureRefiner
from refine.stored import load_refiner
from render.camera import Camera
from render.color import linear_from_srgb, srgb_from_linear
from render.interpolate import interpolate
from render.lighting import MINIMUM_SHADING, shade
from render.normals import vertex_normals
from render.rasterize import rasterize
from render.rotation import axis_angle_from_rotation, rotation_from_axis_angle, rotation_from_euler

_log = logging.getLogger(__name__)

_SUPERSAMPLE = 2
"""Heads are drawn at twice the size and averaged, so that jagged outlines tell no network where the face ends."""


@dataclass(frozen=True)
class RenderedViews:
    """How many views, and the ranges of the random changes."""

    people: int = 1500
    """At most so many people."""
    views: int = 5
    """Views a person."""
    yaw_rad: float = 1.57
    photographic_yaw_rad: float = 1.05
    photographic: float = 0.7
    """Share of views that turn the photograph itself, for people with their own shape."""
    pitch_rad: float = 0.22
    roll_rad: float = 0.15
    altered: float = 0.45
    """Share of people whose shape is changed, so that shape and skin vary apart."""
    identity: float = 0.6
    """Deviation of what is then added to the fitted identity."""
    expression: float = 0.5
    """Share of bare heads whose expression is changed."""
    light: float = 0.5
    """Share of bare heads that are lit anew."""
    seed: int = 0


@dataclass(frozen=True)
class Networks:
    """What is needed to complete the skin of a face."""

    model: FaceModel
    network: MorphableModel
    coarser: MorphableModel
    parser: FaceParser
    facenet: nn.Module
    refiner: TextureRefiner


@dataclass(frozen=True)
class Source:
    """A fitted face and what its photograph shows.

    Attributes:
        fit: its coefficients in its own crop (a batch of one).
        canvas: (288, 288, 3) uint8.
        albedo: (V, 3) linear RGB, completed.
        shading: (V, 3) linear, of the photo's light.
    """

    fit: Coefficients
    canvas: NDArray[np.uint8]
    albedo: Tensor
    shading: Tensor


@dataclass(frozen=True)
class RenderedView:
    """One drawn view; fields as in `HeadRenders`."""

    canvas: NDArray[np.uint8]
    posed: Coefficients
    canvas_from_crop: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    yaw: float
    photographic: bool


def aligned_canvas_camera(network: MorphableModel, posed: Coefficients) -> tuple[NDArray[np.float32], Camera]:
    """The similarity that aligns a posed head as a detector would, and the camera behind it."""
    points = crop_camera().project(network.landmarks_cam(posed))[0, :, :2].numpy()
    five = np.stack([points[list(index)].mean(0) for index in LANDMARKS5_FROM_468])
    matrix = similarity_from_points(five, TEMPLATE_POINTS5_PX + CANVAS_MARGIN_PX).astype(np.float32)
    return matrix, crop_camera().transformed(torch.from_numpy(matrix), (CANVAS_PX, CANVAS_PX))


def canvas_landmarks(network: MorphableModel, posed: Coefficients, camera: Camera) -> NDArray[np.float32]:
    """(468, 3) canvas px; z relative to the model's origin at the scale of the origin's depth."""
    screen = camera.project(network.landmarks_cam(posed))[0]
    origin_mm = posed.translation[0, 2]
    px_per_mm = camera.px_from_cam[0, :2, :2].det().sqrt() / origin_mm
    return torch.cat([screen[:, :2], (screen[:, 2:] - origin_mm) * px_per_mm], dim=1).numpy()


def bare_head(network: MorphableModel, posed: Coefficients, linear: Tensor, behind: Tensor, camera: Camera) -> Tensor:
    """(288, 288, 3) sRGB: a head with vertex colours `linear` (V, 3) over the picture `behind` (288, 288, 3)."""
    verts = network.vertices(posed.identity, posed.expression)
    rotated = network.in_camera(verts, posed)
    side = CANVAS_PX * _SUPERSAMPLE
    larger = camera.transformed(torch.diag(torch.tensor([_SUPERSAMPLE, _SUPERSAMPLE, 1.0])), (side, side))
    fragments = rasterize(rotated, network.faces, larger)
    drawn = interpolate(linear, network.faces, fragments)
    stacked = torch.cat([drawn * fragments.mask[..., None], fragments.mask[..., None].float()], dim=3)
    mean = avg_pool2d(stacked.permute(0, 3, 1, 2), _SUPERSAMPLE)[0].permute(1, 2, 0)
    return srgb_from_linear((mean[..., :3] + (1 - mean[..., 3:]) * linear_from_srgb(behind)).clamp(0, 1))


def complete_colors(parts: Networks, fit: Coefficients, crop: Tensor) -> Tensor:
    """The skin of a fitted face, seen and unseen: (V, 3) linear albedo and (V, 3) the photo's shading, stacked.

    Args:
        parts: the loaded networks.
        fit: coefficients of the face in its crop (a batch of one).
        crop: (1, 3, 224, 224) sRGB.

    Returns:
        (2, V, 3).
    """
    network, classes = parts.network, parts.parser.parse(crop)
    seen = observe_vertices(parts.model, network(fit), crop, class_maps(classes), crop_camera())
    found = decompose(parts.coarser, seen.colors(parts.coarser.vertex_index))
    face = network(replace(fit, albedo=found.albedo, lighting=found.lighting))
    shading = face.shading.clamp(min=MINIMUM_SHADING)
    embedding = embed_crop224(parts.facenet, crop)
    albedo = parts.refiner(face.albedo, seen.linear / shading, seen.confidence[..., None], embedding)
    return torch.stack([albedo[0].clamp(DARKEST_ALBEDO, 1), shading[0]])


def draw_views(
    network: MorphableModel,
    source: Source,
    backgrounds: NDArray[np.uint8],
    settings: RenderedViews,
    rng: np.random.Generator,
) -> Iterator[RenderedView]:
    """Views of one person at any yaw, both kinds mixed.

    Args:
        network: finest level of the face model.
        source: the person.
        backgrounds: (n, 288, 288, 3) canvases to stand behind bare heads.
        settings: ranges.
        rng: of every random choice.
    """
    fit, altered = source.fit, rng.random() < settings.altered
    if altered:
        shift = torch.from_numpy(rng.normal(0, settings.identity, fit.identity.shape)).float()
        fit = replace(fit, identity=fit.identity + shift)
    for _ in range(settings.views):
        photographic = not altered and rng.random() < settings.photographic
        limit = settings.photographic_yaw_rad if photographic else settings.yaw_rad
        angles = (rng.uniform(-limit, limit), rng.normal(0, settings.pitch_rad), rng.normal(0, settings.roll_rad))
        turn = rotation_from_euler(*(torch.tensor([float(a)]) for a in angles))
        start = fit if photographic else _with_expression(fit, settings, rng)
        rotation = turn @ rotation_from_axis_angle(start.rotation)
        posed = replace(start, rotation=axis_angle_from_rotation(rotation))
        matrix, camera = aligned_canvas_camera(network, posed)
        behind = _background(backgrounds[rng.integers(len(backgrounds))], rng)
        if photographic:
            photo = torch.from_numpy(source.canvas.astype(np.float32) / 255)
            picture = rotated_photo(network, fit, photo, turn, behind, camera)
        else:
            lit = source.albedo * _light(network, posed, source.shading, settings, rng)
            picture = bare_head(network, posed, lit, behind, camera)
        yaw = float(torch.atan2(rotation[0, 0, 2], rotation[0, 2, 2]))
        points = canvas_landmarks(network, posed, camera)
        yield RenderedView((picture * 255).round().byte().numpy(), posed, matrix, points, yaw, photographic)


def _with_expression(fit: Coefficients, settings: RenderedViews, rng: np.random.Generator) -> Coefficients:
    """Rest, the photo's expression, or some units at random."""
    if rng.random() >= settings.expression:
        return fit
    chosen = rng.random(fit.expression.shape) < 0.08
    strength = rng.uniform(0.1, 0.9, fit.expression.shape) * chosen
    return replace(fit, expression=torch.from_numpy(strength).float())


def _light(
    network: MorphableModel, posed: Coefficients, own: Tensor, settings: RenderedViews, rng: np.random.Generator
) -> Tensor:
    """(V, 3) shading: the photo's own, or a random lamp's that stays with the camera."""
    if rng.random() >= settings.light:
        return own
    verts = network.vertices(posed.identity, posed.expression)
    normals = vertex_normals(verts, network.faces) @ rotation_from_axis_angle(posed.rotation).transpose(1, 2)
    direction = rng.normal(size=3) * (1.0, 0.6, 0.5) + (0, 0.3, 0.4)
    x, y, z = direction / np.linalg.norm(direction) * rng.uniform(0.2, 0.9)
    lamp = torch.zeros(1, 9, 3)
    lamp[:, :4] = torch.tensor([1.13 * rng.uniform(0.5, 1.0), y, z, x]).float()[:, None]
    return shade(normals, lamp)[0].clamp(0.05, 2.0)


def _background(canvas: NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
    """(288, 288, 3) sRGB: an upper corner of another canvas enlarged; a second face would be one too many."""
    side = int(rng.integers(60, 100))
    corner = canvas[:side, :side] if rng.random() < 0.5 else canvas[:side, -side:]
    planes = torch.from_numpy(corner.astype(np.float32) / 255).permute(2, 0, 1)[None]
    return interpolate_image(planes, (CANVAS_PX, CANVAS_PX), mode="bilinear", antialias=True)[0].permute(1, 2, 0)


@dataclass(frozen=True)
class _Job:
    """One process's share: rows of the prepared faces, and where their views go."""

    data: Path
    output: Path
    rows: NDArray[np.int64]
    first: int
    settings: RenderedViews


@lru_cache(maxsize=1)
def _loaded() -> Networks:
    torch.set_num_threads(1)
    model = load_face_model()
    network, coarser = MorphableModel(model), MorphableModel(model, level=1)
    return Networks(model, network, coarser, load_parser(), load_facenet(), load_refiner(model))


@torch.no_grad()
def _draw_people(job: _Job) -> dict[str, NDArray]:
    """Draw the views of some people into the output's canvases; everything else is returned."""
    parts = _loaded()
    faces = load_prepared(job.data)
    with torch.enable_grad():
        fits = fit_landmarks(parts.network, faces.crop_landmarks()[job.rows])
    canvases = np.load(job.output / "canvases.npy", mmap_mode="r+")
    found: list[dict[str, NDArray]] = []
    for i, row in enumerate(job.rows):
        rng = np.random.default_rng((job.settings.seed, int(row)))
        crop, fit = faces.crop(row), fits[i : i + 1]
        albedo, shading = complete_colors(parts, fit, crop)
        backgrounds = faces.canvases[np.sort(rng.choice(np.nonzero(~faces.validation)[0], 4, replace=False))]
        source = Source(fit, np.array(faces.canvases[row]), albedo, shading)
        for k, view in enumerate(draw_views(parts.network, source, backgrounds, job.settings, rng)):
            canvases[job.first + i * job.settings.views + k] = view.canvas
            found.append(_row(view, faces, row))
    canvases.flush()
    return {name: np.stack([one[name] for one in found]) for name in found[0]}


def _row(view: RenderedView, faces: PreparedFaces, row: int) -> dict[str, NDArray]:
    posed = {
        name: getattr(view.posed, name)[0].numpy() for name in ("identity", "expression", "rotation", "translation")
    }
    return posed | {
        "canvas_from_crop": view.canvas_from_crop,
        "landmarks": view.landmarks,
        "person": np.array(int(row)),
        "yaw": np.array(view.yaw, np.float32),
        "photographic": np.array(view.photographic),
        "validation": np.array(faces.validation[row]),
        "source": np.array(source_of(faces, row)),
    }


def render_heads(data: Path, output: Path, settings: RenderedViews = RenderedViews(), workers: int = 1) -> HeadRenders:
    """Draw views of people of a prepared data set, training and held-out ones alike.

    Args:
        data: the prepared faces.
        output: folder for ``canvases.npy`` (0.25 MB a view) and ``heads.npz``.
        settings: how many and how.
        workers: processes; the result does not depend on it.
    """
    faces = load_prepared(data)
    rows = _chosen_people(faces, settings)
    output.mkdir(parents=True, exist_ok=True)
    forget_heads(output)
    shape = (len(rows) * settings.views, CANVAS_PX, CANVAS_PX, 3)
    np.lib.format.open_memmap(output / "canvases.npy", "w+", np.uint8, shape).flush()
    size = 50
    starts = range(0, len(rows), size)
    jobs = [_Job(data, output, rows[s : s + size], s * settings.views, settings) for s in starts]
    parts = []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for part in pool.map(_draw_people, jobs):
            parts.append(part)
            _log.info("%d of %d views", sum(len(p["person"]) for p in parts), shape[0])
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    heads = HeadRenders(canvases=np.load(output / "canvases.npy", mmap_mode="r"), **table)
    save_heads(heads, output)
    return heads


def _chosen_people(faces: PreparedFaces, settings: RenderedViews) -> NDArray[np.int64]:
    """Photographs before drawn faces, at random within each."""
    order = np.random.default_rng(settings.seed).permutation(len(faces))
    return order[np.argsort(faces.drawn[order], kind="stable")][: settings.people]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="prepared faces (gcnface prepare)")
    parser.add_argument("--people", type=int, default=RenderedViews.people, help="at most so many people")
    parser.add_argument("--views", type=int, default=RenderedViews.views, help="views a person")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    render_heads(args.data, args.output, RenderedViews(people=args.people, views=args.views), args.workers)


if __name__ == "__main__":
    main()
