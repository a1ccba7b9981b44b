"""What is measured of a face, by which its quality is told.

Of several kinds: the position map network's own doubt, how far detector, position map, regressor and fit agree, and
what the picture is like.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

from coarse.morphable import crop_camera
from coarse.position_map import WINDOW_MARGIN_PX, PositionMapLayout
from coarse.regressor import CoefficientRegressor
from gcnface.photo.crop import CROP_SIDE_PX, FaceCrop, similarity_scale, warp_points
from gcnface.photo.parsing import PARSING_CLASSES
from gcnface.result.quality import QualityMeasures
from gcnface.stages.alignment import AlignedCrop
from gcnface.stages.coarse import CoarseStage
from gcnface.stages.looks import rotation_in_photo
from gcnface.stages.observation import face_mask, view_cosine
from gcnface.stages.records import FittedFace
from render.color import linear_from_srgb
from render.rotation import euler_from_rotation, rotation_from_axis_angle, rotation_from_euler
from render.sampling import sample_image

SHADOW, BRIGHT_QUANTILE = 0.2, 0.8
"""A place is in shadow with less than this share of the light of the brighter places."""
_SMOOTHING_PX = 9
_EVERY_VERTEX = 16
_FRONT_COSINE = 0.3


@torch.no_grad()
def measure_aligned(photo_hw: tuple[int, ...], aligned: AlignedCrop, layout: PositionMapLayout) -> QualityMeasures:
    """What a crop and its position map tell.

    Args:
        photo_hw: of the photo.
        aligned: the face found in it.
        layout: of its position map.
    """
    points = layout.landmarks468(aligned.position_map.float())[0, :, :2].cpu() - WINDOW_MARGIN_PX
    return _with_evidence(_of_picture(photo_hw, aligned.crop, points), aligned)


@torch.no_grad()
def measure_fitted(view: FittedFace, stage: CoarseStage) -> QualityMeasures:
    """What a fitted face tells.

    Args:
        view: the face.
        stage: that fitted it.
    """
    points = _landmarks(stage, view.coarse.coefficients)
    size = _size_px(points)
    turn = _turn(rotation_from_axis_angle(view.coarse.coefficients.rotation))
    measures = _of_picture(view.photo.shape[:2], view.crop, points)
    shares = sample_image(view.classes, points[None].to(view.classes))[0].mean(0).tolist()
    told = {f"{name}_share": shares[PARSING_CLASSES.index(name)] for name in ("rest", "hair", "glasses")}
    told["color_residual"] = _color_residual(view, stage)
    if isinstance(stage.regressor, CoefficientRegressor) and view.features is not None:
        raw = stage.regressor.coefficients(view.features)
        regressed = _landmarks(stage, stage.coarser.layout.decode(raw))
        told["regressor_percent"] = _apart_percent(regressed, points, size)
    if view.alignment is not None:
        measures = _with_evidence(measures, view.alignment)
        if stage.dense is not None:
            at = stage.dense.layout.landmarks468(view.alignment.position_map.float())[0, :, :2].cpu()
            told["map_percent"] = _apart_percent(at - WINDOW_MARGIN_PX, points, size)
    return replace(measures, **told, **turn)


def _with_evidence(measures: QualityMeasures, aligned: AlignedCrop) -> QualityMeasures:
    evidence = aligned.evidence
    in_photo = rotation_from_euler(*torch.from_numpy(np.radians(evidence.euler_deg.astype(np.float64)))[:, None])
    upright = rotation_in_photo(in_photo[0].numpy(), aligned.crop.crop_from_photo)
    return replace(
        measures,
        expected_error_percent=evidence.expected_error_percent,
        face_logit=evidence.face_logit,
        misfit_percent=evidence.misfit_percent,
        points_percent=evidence.points_percent,
        box_percent=evidence.box_percent,
        moved_px=evidence.moved_px,
        **_turn(torch.from_numpy(upright)[None]),
    )


def _turn(rotation: Tensor) -> dict[str, float]:
    """Yaw and pitch of a head (1, 3, 3) in the crop, in which it stands upright."""
    yaw, pitch, _ = torch.rad2deg(euler_from_rotation(rotation.cpu()))[0].tolist()
    return {"yaw_deg": yaw, "pitch_deg": pitch}


def _of_picture(photo_hw: tuple[int, ...], crop: FaceCrop, points: Tensor) -> QualityMeasures:
    """What the picture is like around landmarks (468, 2) in crop px."""
    in_photo = warp_points(points.numpy(), crop.photo_from_crop)
    outside = ~((in_photo >= 0) & (in_photo <= photo_hw[1::-1])).all(1)
    light = linear_from_srgb(crop.image[None]).mean(1, keepdim=True)
    smooth = avg_pool2d(light, _SMOOTHING_PX, 1, _SMOOTHING_PX // 2, count_include_pad=False)
    lit = sample_image(smooth, points[None].float())[0, :, 0]
    bright = float(torch.quantile(lit, BRIGHT_QUANTILE))
    return QualityMeasures(
        detection_score=float(crop.score),
        face_px=_size_px(points) / similarity_scale(crop.crop_from_photo),
        sharpness=_sharpness(crop.image, points),
        outside_share=float(outside.mean()),
        brightness=bright,
        shadow_share=float((lit < SHADOW * bright).float().mean()),
    )


def _sharpness(image: Tensor, points: Tensor) -> float:
    """Mean second difference in the landmarks' box (3, 224, 224), by the spread of brightness there."""
    low = points.min(0).values.clamp(0, CROP_SIDE_PX - 32).long().tolist()
    high = points.max(0).values.clamp(32, CROP_SIDE_PX).long().tolist()
    gray = image.mean(0)[low[1] : max(high[1], low[1] + 32), low[0] : max(high[0], low[0] + 32)]
    kernel = gray.new_tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
    return float(conv2d(gray[None, None], kernel[None, None]).abs().mean() / (gray.std() + 0.02))


def _color_residual(view: FittedFace, stage: CoarseStage) -> float:
    """How far the drawn face differs from the photo where the parser sees a face."""
    chosen = torch.arange(0, view.coarse.verts_cam.shape[1], _EVERY_VERTEX, device=view.coarse.verts_cam.device)
    region = torch.from_numpy(stage.model.region_mask("face", "eyes_nose_mouth")).to(chosen.device)
    chosen = chosen[region[chosen]]
    verts, lit = view.coarse.verts_cam[:, chosen], view.coarse.lit[:, chosen]
    xy = crop_camera().project(verts)[..., :2]
    seen = linear_from_srgb(sample_image(view.image, xy))
    weight = sample_image(face_mask(view.classes)[:, None], xy)[..., 0]
    weight = weight * (view_cosine(verts, view.coarse.normals_view[:, chosen]) > _FRONT_COSINE)
    if float(weight.sum()) < 1:
        return math.nan
    difference = ((seen - lit).abs().mean(-1) * weight).sum()
    return float(difference / (lit.clamp(min=0).mean(-1) * weight).sum().clamp(min=1e-3))


def _landmarks(stage: CoarseStage, coefficients: object) -> Tensor:
    """(468, 2) crop px, on the CPU."""
    points = stage.morphable.landmarks_cam(coefficients)  # type: ignore[arg-type]
    return crop_camera().project(points)[0, :, :2].cpu()


def _size_px(points: Tensor | NDArray) -> float:
    """Root of the area of the box of points (N, 2)."""
    return float(np.sqrt(np.prod(np.ptp(np.asarray(points), axis=0)) + 1e-9))


def _apart_percent(a: Tensor, b: Tensor, size_px: float) -> float:
    return 100 * float((a - b).norm(dim=1).mean()) / max(size_px, 1e-6)
