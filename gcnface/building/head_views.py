"""Views of a fitted head or photograph at any yaw, with their true geometry: one picture at a time.

`gcnface.building.rendered_heads` draws whole data sets of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d
from torch.nn.functional import interpolate as interpolate_image

from coarse.coefficients import Coefficients
from coarse.face_model import LANDMARKS5_FROM_468, FaceModel
from coarse.morphable import MorphableModel, cam_from_model, crop_camera
from gcnface.building.hairstyles import haired
from gcnface.building.lamps import exposed, front_faces, random_lamps
from gcnface.building.rotated_photo import rotated_photo
from gcnface.data.faces import CANVAS_MARGIN_PX, CANVAS_PX
from gcnface.photo.crop import head_similarity
from render.camera import Camera
from render.color import linear_from_srgb, srgb_from_linear
from render.interpolate import interpolate
from render.normals import vertex_normals
from render.rasterize import rasterize
from render.rotation import axis_angle_from_rotation, rotation_from_axis_angle, rotation_from_euler

_SUPERSAMPLE = 2
"""Heads are drawn at twice the size and averaged, so that jagged outlines tell no network where the face ends."""


@dataclass(frozen=True)
class RenderedViews:
    """How many views, and the ranges of the random changes."""

    people: int = 1700
    """At most so many people."""
    views: int = 7
    """Views a person."""
    yaw_rad: float = 1.75
    photographic_yaw_rad: float = 1.2
    photographic: float = 0.6
    """Share of views that turn the photograph itself, for people with their own shape."""
    pitch_rad: float = 0.35
    """Deviation; of photographic views half of it."""
    steepest_rad: float = 0.87
    """Limit of the pitch."""
    roll_rad: float = 0.15
    nearest_mm: float = 300.0
    farthest_mm: float = 3000.0
    """Distances of the camera, drawn evenly in their logarithm."""
    altered: float = 0.45
    """Share of people whose shape is changed, so that shape and skin vary apart."""
    identity: float = 0.6
    """Deviation of what is then added to the fitted identity."""
    expression: float = 0.5
    """Share of bare heads whose expression is changed."""
    light: float = 0.5
    """Share of bare heads that are lit anew."""
    hair: float = 0.7
    """Share of bare heads that are given hair."""
    shoulders: float = 0.7
    """Share of bare heads that stand on shoulders."""
    seed: int = 0


@dataclass(frozen=True)
class DrawnModel:
    """The face model and its finest level, which is drawn."""

    model: FaceModel
    network: MorphableModel


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
    points = landmarks_px(network, posed, crop_camera())
    five = np.stack([points[list(index)].mean(0) for index in LANDMARKS5_FROM_468])
    upright = head_similarity(five, cam_from_model(posed.rotation)[0].numpy())
    shift = np.array([[1, 0, CANVAS_MARGIN_PX], [0, 1, CANVAS_MARGIN_PX], [0, 0, 1.0]])
    matrix = (shift @ upright).astype(np.float32)
    return matrix, crop_camera().transformed(torch.from_numpy(matrix), (CANVAS_PX, CANVAS_PX))


def landmarks_px(network: MorphableModel, posed: Coefficients, camera: Camera) -> NDArray[np.float32]:
    """(468, 3) px of the camera's picture; z relative to the model's origin at the scale of the origin's depth."""
    screen = camera.project(network.landmarks_cam(posed))[0]
    origin_mm = posed.translation[0, 2]
    px_per_mm = camera.px_from_cam[0, :2, :2].det().sqrt() / origin_mm
    return torch.cat([screen[:, :2], (screen[:, 2:] - origin_mm) * px_per_mm], dim=1).numpy()


def bare_head(
    network: MorphableModel,
    posed: Coefficients,
    linear: Tensor,
    behind: Tensor,
    camera: Camera,
    verts: Tensor | None = None,
) -> Tensor:
    """(288, 288, 3) sRGB: a head with vertex colours `linear` (V, 3) over the picture `behind` (288, 288, 3).

    Its vertices (1, V, 3) are those of `posed`, unless they are given.
    """
    verts = network.vertices(posed.identity, posed.expression) if verts is None else verts
    rotated = network.in_camera(verts, posed)
    side = CANVAS_PX * _SUPERSAMPLE
    larger = camera.transformed(torch.diag(torch.tensor([_SUPERSAMPLE, _SUPERSAMPLE, 1.0])), (side, side))
    faces = front_faces(larger.project(rotated)[0], network.faces)
    fragments = rasterize(rotated, faces, larger)
    drawn = interpolate(linear, faces, fragments)
    stacked = torch.cat([drawn * fragments.mask[..., None], fragments.mask[..., None].float()], dim=3)
    mean = avg_pool2d(stacked.permute(0, 3, 1, 2), _SUPERSAMPLE)[0].permute(1, 2, 0)
    return srgb_from_linear((mean[..., :3] + (1 - mean[..., 3:]) * linear_from_srgb(behind)).clamp(0, 1))


def draw_views(
    parts: DrawnModel,
    source: Source,
    backgrounds: NDArray[np.uint8],
    settings: RenderedViews,
    rng: np.random.Generator,
) -> Iterator[RenderedView]:
    """Views of one person at any yaw, both kinds mixed.

    Args:
        parts: the face model at its finest level.
        source: the person.
        backgrounds: (n, 288, 288, 3) canvases to stand behind bare heads.
        settings: ranges.
        rng: of every random choice.
    """
    network, fit, altered = parts.network, source.fit, rng.random() < settings.altered
    if altered:
        shift = torch.from_numpy(rng.normal(0, settings.identity, fit.identity.shape)).float()
        fit = replace(fit, identity=fit.identity + shift)
    for _ in range(settings.views):
        photographic = not altered and rng.random() < settings.photographic
        turn = _random_turn(photographic, settings, rng)
        start = fit if photographic else _from_elsewhere(_with_expression(fit, settings, rng), settings, rng)
        rotation = turn @ rotation_from_axis_angle(start.rotation)
        posed = replace(start, rotation=axis_angle_from_rotation(rotation))
        matrix, camera = aligned_canvas_camera(network, posed)
        behind = _background(backgrounds[rng.integers(len(backgrounds))], rng)
        if photographic:
            photo = torch.from_numpy(source.canvas.astype(np.float32) / 255)
            picture = rotated_photo(network, fit, photo, turn, behind, camera)
        else:
            picture = _dressed_head(parts, source, posed, (behind, camera), settings, rng)
        yaw = float(torch.atan2(rotation[0, 0, 2], rotation[0, 2, 2]))
        points = landmarks_px(network, posed, camera)
        yield RenderedView((picture * 255).round().byte().numpy(), posed, matrix, points, yaw, photographic)


def _random_turn(photographic: bool, settings: RenderedViews, rng: np.random.Generator) -> Tensor:
    """(1, 3, 3) in viewing axes, put before the head's own rotation."""
    limit = settings.photographic_yaw_rad if photographic else settings.yaw_rad
    deviation = settings.pitch_rad / 2 if photographic else settings.pitch_rad
    pitch = np.clip(rng.normal(0, deviation), -settings.steepest_rad, settings.steepest_rad)
    angles = (rng.uniform(-limit, limit), pitch, rng.normal(0, settings.roll_rad))
    return rotation_from_euler(*(torch.tensor([float(a)]) for a in angles))


def _from_elsewhere(fit: Coefficients, settings: RenderedViews, rng: np.random.Generator) -> Coefficients:
    """Seen from another distance, in the same direction; the alignment behind the camera restores the size."""
    distance = np.exp(rng.uniform(np.log(settings.nearest_mm), np.log(settings.farthest_mm)))
    return replace(fit, translation=fit.translation * float(distance / fit.translation[0, 2]))


def _with_expression(fit: Coefficients, settings: RenderedViews, rng: np.random.Generator) -> Coefficients:
    """Rest, the photo's expression, or some units at random."""
    if rng.random() >= settings.expression:
        return fit
    chosen = rng.random(fit.expression.shape) < 0.08
    strength = rng.uniform(0.1, 0.9, fit.expression.shape) * chosen
    return replace(fit, expression=torch.from_numpy(strength).float())


def _dressed_head(
    parts: DrawnModel,
    source: Source,
    posed: Coefficients,
    scene: tuple[Tensor, Camera],
    settings: RenderedViews,
    rng: np.random.Generator,
) -> Tensor:
    """(288, 288, 3) sRGB: a bare head with hair, under a light, over shoulders and the picture behind."""
    network, (behind, camera) = parts.network, scene
    verts, albedo = network.vertices(posed.identity, posed.expression), source.albedo
    if rng.random() < settings.hair:
        verts, albedo = haired(parts.model, verts, albedo, network.faces, rng)
    lit = albedo * source.shading
    if rng.random() < settings.light:
        rotation = rotation_from_axis_angle(posed.rotation).transpose(1, 2)
        normals = (vertex_normals(verts, network.faces) @ rotation)[0]
        shading = random_lamps(rng).shading((verts @ rotation)[0], normals, network.faces)
        lit = exposed(albedo * shading, normals[:, 2] > 0.3, rng)
    if rng.random() < settings.shoulders:
        behind = _over_shoulders(parts, verts, posed, (behind, camera), rng)
    return bare_head(network, posed, lit, behind, camera, verts)


def _over_shoulders(
    parts: DrawnModel, verts: Tensor, posed: Coefficients, scene: tuple[Tensor, Camera], rng: np.random.Generator
) -> Tensor:
    """The picture behind with a pair of shoulders where the neck ends."""
    behind, camera = scene
    neck = torch.from_numpy(parts.model.region_mask("neck"))
    screen = camera.project(parts.network.in_camera(verts, posed))[0, neck, :2]
    lowest = screen[(verts[0, neck, 1]).argsort()[:40]].mean(0).numpy()
    width, height = rng.uniform(90, 190), rng.uniform(50, 110)
    picture = np.ascontiguousarray(behind.numpy())
    color = rng.uniform(0, 1) * np.exp(rng.normal(0, 0.25, 3))
    center = (int(lowest[0] + rng.normal(0, 8)), int(lowest[1] + 0.85 * height))
    shape = cv2.ellipse(np.zeros(picture.shape[:2], np.uint8), center, (int(width), int(height)), 0, 0, 360, 1, -1)
    soft = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), 1.0)[..., None]
    cloth = np.clip(color * (0.8 + 0.4 * picture), 0, 1)
    return torch.from_numpy((picture * (1 - soft) + cloth * soft).astype(np.float32))


def _background(canvas: NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
    """(288, 288, 3) sRGB: an upper corner of another canvas enlarged; a second face would be one too many."""
    side = int(rng.integers(60, 100))
    corner = canvas[:side, :side] if rng.random() < 0.5 else canvas[:side, -side:]
    planes = torch.from_numpy(corner.astype(np.float32) / 255).permute(2, 0, 1)[None]
    return interpolate_image(planes, (CANVAS_PX, CANVAS_PX), mode="bilinear", antialias=True)[0].permute(1, 2, 0)
