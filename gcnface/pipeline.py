"""The stages in order: detect, align, parse, regress, fit, observe, refine, bake."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.face_model import LANDMARKS68_FROM_468, FaceModel, load_face_model
from coarse.fitting import PhotoFitting
from coarse.morphable import MorphableModel, crop_camera, layout_of
from coarse.records import CoarseFace
from coarse.regressor import load_regressor
from gcnface.alignment import CROP_SIDE_PX, FaceCrop, align_face, warp_image
from gcnface.coarse_stage import CoarseStage, OnStage, Stopwatch
from gcnface.detection import Detection, FaceDetector
from gcnface.mesh import TexturedMesh
from gcnface.observation import MINIMUM_SHADING, VertexObservation, face_mask, observe_vertices
from gcnface.parsing import load_parser
from gcnface.reconstruction import Reconstruction
from gcnface.texture import SurfaceColours, bake_texture
from gcnface.version import __version__
from refine.adaptation import AdaptationConfig, AdaptationTarget, RefinerInputs, adapt
from refine.facenet import embed_crop224, load_facenet
from refine.network import load_refiner
from render.camera import Camera
from render.color import srgb_from_linear
from render.normals import vertex_normals

STAGES = ("detect", "align", "parse", "regress", "fit", "refine", "adapt", "bake")
"""Names of the stages, in order; those that are switched off are left out."""


_ADAPTATION = AdaptationConfig(smallest_shading=MINIMUM_SHADING)


@dataclass(frozen=True)
class RefinedFace:
    """A face after refinement.

    Attributes:
        coarse: the posed morphable face.
        observation: what the crop showed at its vertices.
        albedo: (V, 3) refined, linear, not clipped.
        shading: (V, 3) linear.
    """

    coarse: CoarseFace
    observation: VertexObservation
    albedo: Tensor
    shading: Tensor


Record = TypeVar("Record")


def on_cpu(record: Record) -> Record:
    """A copy of a record, and of the records in it, with every tensor on the CPU."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}  # type: ignore[arg-type]
    moved = {
        name: value.cpu() if isinstance(value, Tensor) else on_cpu(value) if is_dataclass(value) else value
        for name, value in values.items()
    }
    return replace(record, **moved)  # type: ignore[type-var]


class Reconstructor:
    """Photographs to textured meshes; holds the loaded networks.

    Args:
        device: "cpu", "cuda", "mps": where the networks run.
        fit: adjust the coefficients to each photo by rendering, after the regression.
        adapt: steps of refinement on the photo itself, 0 for the one forward pass.
        texture_size: side of the texture in px.
        all_faces: reconstruct every face of a photo, not the largest alone.
    """

    def __init__(
        self,
        device: str = "cpu",
        *,
        fit: bool = True,
        adapt: int = 0,
        texture_size: int = 1024,
        all_faces: bool = False,
    ) -> None:
        self.device = torch.device(device)
        self.fit, self.adapt, self.texture_size, self.all_faces = fit, adapt, texture_size, all_faces
        self.model: FaceModel = load_face_model()
        self.detector = FaceDetector()
        self.parser = load_parser().to(self.device)
        fitting = PhotoFitting() if fit else None
        self.coarse = CoarseStage(self.model, load_regressor(layout_of(self.model)), fitting, self.device)
        self._model_on_cpu = self.coarse.morphable if self.device.type == "cpu" else MorphableModel(self.model)
        self.facenet = load_facenet().to(self.device)
        self.refiner = load_refiner(self.model).to(self.device)

    def __call__(self, photo: NDArray[np.float32], *, on_stage: OnStage | None = None) -> list[Reconstruction]:
        """Reconstruct the faces of one photo, largest first; an empty list when none is found.

        Args:
            photo: (H, W, 3) float32 sRGB in [0, 1].
            on_stage: called with the name of each stage as it begins.
        """
        watch = Stopwatch(on_stage)
        with watch.stage("detect"):
            found = self.detector.detect(photo)
        chosen = found if self.all_faces else found[:1]
        return [self._reconstruct(photo, face, watch.fork()) for face in chosen]

    def _reconstruct(self, photo: NDArray[np.float32], face: Detection, watch: Stopwatch) -> Reconstruction:
        with watch.stage("align"):
            crop = align_face(photo, face)
        image = crop.image[None].to(self.device)
        with watch.stage("parse"), torch.no_grad():
            classes = self.parser.parse(image)
            classes = classes * crop.inside.to(classes)
        coarse = self.coarse(image, classes, watch)
        with watch.stage("refine"), torch.no_grad():
            inputs, seen = self._evidence(coarse, self._sharp(photo, crop), image, classes)
            albedo = self.refiner(*inputs)
        if self.adapt:
            with watch.stage("adapt"):
                target = AdaptationTarget(image, face_mask(classes), crop_camera())
                albedo = adapt(self.refiner, inputs, coarse, target, self.facenet, steps=self.adapt, config=_ADAPTATION)
        shading = coarse.shading.clamp(min=MINIMUM_SHADING)
        return self._assemble(photo, crop, on_cpu(RefinedFace(coarse, seen, albedo[0], shading[0])), watch)

    def _sharp(self, photo: NDArray[np.float32], crop: FaceCrop) -> Tensor:
        """(1, 3, 448, 448): the crop at twice its resolution, since the features' vertices lie half a pixel apart."""
        double = np.diag([2.0, 2.0, 1.0]) @ crop.crop_from_photo
        sharp = warp_image(photo, double, (2 * CROP_SIDE_PX, 2 * CROP_SIDE_PX))
        return torch.from_numpy(np.ascontiguousarray(sharp.transpose(2, 0, 1)))[None].to(self.device)

    def _evidence(
        self, coarse: CoarseFace, sharp: Tensor, image: Tensor, classes: Tensor
    ) -> tuple[RefinerInputs, VertexObservation]:
        """What the refiner is told, and what the photo showed at the vertices."""
        seen = observe_vertices(self.model, coarse, sharp, classes, crop_camera(1, sharp.shape[-1]))
        delit = seen.linear / coarse.shading.clamp(min=MINIMUM_SHADING)
        return (coarse.albedo, delit, seen.confidence[..., None], embed_crop224(self.facenet, image)), seen

    def _assemble(
        self, photo: NDArray[np.float32], crop: FaceCrop, refined: RefinedFace, watch: Stopwatch
    ) -> Reconstruction:
        coarse, model = refined.coarse, self.model
        photo_from_crop = torch.from_numpy(crop.photo_from_crop).float()
        camera = crop_camera().transformed(photo_from_crop, photo.shape[:2])
        screen = camera.project(coarse.verts_cam)[0]
        with watch.stage("bake"), torch.no_grad():
            confidence = refined.observation.confidence[0]
            surface = SurfaceColours(screen, refined.albedo, refined.shading, confidence)
            texture = bake_texture(model, surface, photo, self.texture_size)
            landmarks468 = self._landmarks_px(coarse, camera)
            mesh = self._mesh(coarse, refined, texture.rgb)
        c = coarse.coefficients
        return Reconstruction(
            mesh=mesh,
            vertices_cam=coarse.verts_cam[0].numpy(),
            px_from_cam=camera.px_from_cam[0].numpy(),
            vertex_rgb=srgb_from_linear((refined.albedo * refined.shading).clamp(0, 1)).numpy(),
            vertex_rgb_coarse=srgb_from_linear(coarse.lit[0].clamp(0, 1)).numpy(),
            vertex_albedo=refined.albedo.clamp(0, 1).numpy(),
            visible=refined.observation.visible[0].numpy(),
            landmarks68=landmarks468[list(LANDMARKS68_FROM_468)],
            landmarks468=landmarks468,
            **{name: value[0].numpy() for name, value in c.named().items()},
            crop_from_photo=crop.crop_from_photo,
            texel_source=texture.source,
            expression_names=model.expression_names,
            timings=dict(watch.seconds),
            figures=self._figures(crop, refined),
            provenance=self._provenance(crop),
            photo=photo,
        )

    def _landmarks_px(self, coarse: CoarseFace, camera: Camera) -> NDArray[np.float32]:
        """(468, 3): x and y in photo px; z in photo px too, relative to the model's origin."""
        points = self._model_on_cpu.landmarks_cam(coarse.coefficients)
        screen = camera.project(points)[0]
        origin_mm = coarse.coefficients.translation[0, 2]
        scale = camera.px_from_cam[0, :2, :2].det().abs().sqrt() / origin_mm
        z_px = (points[0, :, 2] - origin_mm) * scale
        return torch.cat([screen[:, :2], z_px[:, None]], dim=1).numpy()

    def _mesh(self, coarse: CoarseFace, refined: RefinedFace, texture: NDArray[np.float32]) -> TexturedMesh:
        c = coarse.coefficients
        landmarks468 = self._model_on_cpu.landmarks468(c.identity, c.expression)[0].numpy()
        return TexturedMesh(
            vertices=coarse.verts[0].numpy(),
            faces=self.model.faces,
            vertex_rgb=srgb_from_linear(refined.albedo.clamp(0, 1)).numpy(),
            uv=self.model.uv,
            uv_faces=self.model.uv_faces,
            texture=texture,
            normals=vertex_normals(coarse.verts, self._model_on_cpu.faces)[0].numpy(),
            landmarks68=landmarks468[list(LANDMARKS68_FROM_468)],
            landmarks468=landmarks468,
        )

    def _figures(self, crop: FaceCrop, refined: RefinedFace) -> dict[str, float]:
        return {"detection_score": float(crop.score), "seen_share": float(refined.observation.confidence.mean())}

    def _provenance(self, crop: FaceCrop) -> dict[str, Any]:
        return {
            "gcnface": __version__,
            "torch": torch.__version__,
            "face_model": self.model.name,
            "options": {"fit": self.fit, "adapt": self.adapt, "texture_size": self.texture_size},
            "face_box_px": [round(float(x), 1) for x in crop.box],
        }
