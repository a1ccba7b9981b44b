"""The record of a face, out of what the stages found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.face_model import FaceModel
from coarse.morphable import MorphableModel
from coarse.records import CoarseFace
from gcnface.face_model import is_shipped, remember
from gcnface.options import ReconstructionOptions
from gcnface.photo.crop import FaceCrop
from gcnface.result.mesh import TexturedMesh
from gcnface.result.reconstruction import Reconstruction
from gcnface.stages.records import FittedFace, RefinedFace
from gcnface.stages.texture import Texture
from gcnface.version import __version__
from render.camera import Camera
from render.color import srgb_from_linear
from render.normals import vertex_normals


def reconstruction_of(
    view: FittedFace,
    refined: RefinedFace,
    texture: Texture,
    morphable: MorphableModel,
    model: FaceModel,
    options: ReconstructionOptions,
    seconds: Mapping[str, float],
) -> Reconstruction:
    """The record of a refined face, posed and lit as in `view`; all on the CPU."""
    coarse, camera = refined.coarse, view.camera
    c = coarse.coefficients
    landmarks468, landmarks68 = (
        _landmarks_px(points, coarse, camera) for points in (morphable.landmarks_cam(c), morphable.landmarks68_cam(c))
    )
    coefficients: dict[str, Any] = {n: value[0].numpy() for n, value in coarse.coefficients.named().items()}
    return Reconstruction(
        mesh=_mesh(morphable, model, coarse, refined, texture.rgb),
        vertices_cam=coarse.verts_cam[0].numpy(),
        px_from_cam=camera.px_from_cam[0].numpy(),
        vertex_rgb=srgb_from_linear(refined.lit.clamp(0, 1)).numpy(),
        vertex_rgb_coarse=srgb_from_linear(coarse.lit[0].clamp(0, 1)).numpy(),
        vertex_albedo=refined.albedo.clamp(0, 1).numpy(),
        vertex_light=refined.light.numpy(),
        visible=refined.observation.visible[0].numpy(),
        landmarks68=landmarks68,
        landmarks468=landmarks468,
        **coefficients,
        crop_from_photo=view.crop.crop_from_photo,
        texel_source=texture.source,
        texel_photo=texture.photo,
        texel_confidence=np.rint(texture.confidence.clip(0, 1) * 255),
        expression_names=model.expression_names,
        face_model=remember(model),
        timings=dict(seconds),
        figures={
            "detection_score": float(view.crop.score),
            "seen_share": float(refined.observation.confidence.mean()),
        },
        provenance=_provenance(model, view.crop, options),
        quality=view.quality,
        photo=view.photo,
    )


def _landmarks_px(points: Tensor, coarse: CoarseFace, camera: Camera) -> NDArray[np.float32]:
    """Of points (1, N, 3) before the camera (N, 3): x and y in photo px; z too, relative to the model's origin."""
    screen = camera.project(points)[0]
    origin_mm = coarse.coefficients.translation[0, 2]
    scale = camera.px_from_cam[0, :2, :2].det().abs().sqrt() / origin_mm
    z_px = (points[0, :, 2] - origin_mm) * scale
    return torch.cat([screen[:, :2], z_px[:, None]], dim=1).numpy()


def _mesh(
    morphable: MorphableModel,
    model: FaceModel,
    coarse: CoarseFace,
    refined: RefinedFace,
    texture: NDArray[np.float32],
) -> TexturedMesh:
    c = coarse.coefficients
    landmarks468 = morphable.landmarks468(c.identity, c.expression)[0].numpy()
    return TexturedMesh(
        vertices=coarse.verts[0].numpy(),
        faces=model.faces,
        vertex_rgb=srgb_from_linear(refined.albedo.clamp(0, 1)).numpy(),
        uv=model.uv,
        uv_faces=model.uv_faces,
        texture=texture,
        normals=vertex_normals(coarse.verts, morphable.faces)[0].numpy(),
        landmarks68=morphable.landmarks68(c.identity, c.expression)[0].numpy(),
        landmarks468=landmarks468,
    )


def _provenance(model: FaceModel, crop: FaceCrop, options: ReconstructionOptions) -> dict[str, Any]:
    kept = {name: getattr(options, name) for name in ("fit", "adapt", "texture_size")}
    refiner = {} if is_shipped(model) else {"refiner": "none for this face model; hidden parts have the coarse albedo"}
    return {
        "gcnface": __version__,
        "torch": torch.__version__,
        "face_model": model.name,
        **refiner,
        "options": kept,
        "face_box_px": [round(float(x), 1) for x in crop.box],
    }
