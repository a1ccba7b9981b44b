"""The stages in order: detect, align, parse, regress, fit, observe, refine, bake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.face_model import LANDMARKS68_FROM_468, FaceModel
from coarse.morphable import MorphableModel, crop_camera, layout_of
from coarse.photo_fitting import PhotoFitting
from coarse.position_map import PositionMapLayout
from coarse.position_network import load_position_map_network
from coarse.records import CoarseFace
from coarse.regressor import load_regressor
from coarse.skin_tone import load_skin_tone
from gcnface.face_model import shipped_model
from gcnface.options import ReconstructionOptions
from gcnface.photo.crop import CROP_SIDE_PX, WINDOW_FROM_CROP, FaceCrop, align_face, cut_window, warp_image
from gcnface.photo.cut_faces import LEAST_SHOWN, CropPictures, find_again, shown_share, window_inside
from gcnface.photo.detection import Detection, FaceDetector
from gcnface.photo.parsing import load_parser
from gcnface.result.mesh import TexturedMesh
from gcnface.result.reconstruction import Reconstruction
from gcnface.stages.coarse import CoarseStage, OnStage, Stopwatch
from gcnface.stages.delight import photo_light
from gcnface.stages.mouth import darkened_mouth, mouth_fade
from gcnface.stages.observation import MINIMUM_SHADING, VertexObservation, face_mask, observe_vertices
from gcnface.stages.texture import TexturePhoto, bake_texture
from gcnface.stages.tone_matching import match_tones
from gcnface.stages.vertex_solve import ImageView, solve_colors
from gcnface.system.isolation import plain_torch
from gcnface.version import __version__
from refine.adaptation import AdaptationConfig, AdaptationTarget, adapt
from refine.facenet import embed_crop224, load_facenet
from refine.stored import load_refiner
from render.camera import Camera
from render.color import srgb_from_linear
from render.devices import resolve_device
from render.normals import vertex_normals

STAGES = ("detect", "align", "parse", "regress", "dense", "fit", "refine", "adapt", "bake")
"""Names of the stages, in order; those that are switched off are left out."""


_ADAPTATION = AdaptationConfig(smallest_shading=MINIMUM_SHADING)


@dataclass(frozen=True)
class FittedFace:
    """A face in a photo, as the coarse stage leaves it.

    Attributes:
        photo: (H, W, 3) float32 sRGB in [0, 1].
        crop: the face cut out of it.
        image: (1, 3, 224, 224) the crop on the networks' device.
        sharp: (1, 3, 448, 448) the same at twice its resolution, since the features' vertices lie half a pixel apart.
        classes: (1, 10, 224, 224) of the parser, 0 outside the photo.
        embedding: (1, 512) FaceNet's, of the crop, unit length.
        coarse: the posed morphable face.
        shown: share of its landmarks that lie in the photo; below 1 the photo's edge cuts the face.
    """

    photo: NDArray[np.float32]
    crop: FaceCrop
    image: Tensor
    sharp: Tensor
    classes: Tensor
    embedding: Tensor
    coarse: CoarseFace
    shown: float = 1.0

    @property
    def can_be_trusted(self) -> bool:
        """Whether the photo shows enough of the face."""
        return self.shown >= LEAST_SHOWN

    @property
    def camera(self) -> Camera:
        """The photo's camera."""
        photo_from_crop = torch.from_numpy(self.crop.photo_from_crop).float()
        return crop_camera().transformed(photo_from_crop, self.photo.shape[:2])

    @property
    def screen(self) -> Tensor:
        """(V, 3) photo px x, y and depth mm of the vertices, on the CPU."""
        return self.camera.project(self.coarse.verts_cam.cpu())[0]

    @property
    def shading(self) -> Tensor:
        """(1, V, 3) what the photo's colours are divided by."""
        return self.coarse.shading.clamp(min=MINIMUM_SHADING)


@dataclass(frozen=True)
class RefinedFace:
    """A face after refinement.

    Attributes:
        coarse: the posed morphable face.
        observation: what the crop showed at its vertices.
        albedo: (V, 3) refined, linear, not clipped.
        shading: (V, 3) linear; albedo times shading is the lit colour, and that is the photo's where it was seen.
        lit: (V, 3) linear: what is drawn over the photo; the product of the two, but for limits of the shading.
        light: (V, 3) linear: what the photo's colours are divided by, the estimated light with cast shadows and
            highlights.
    """

    coarse: CoarseFace
    observation: VertexObservation
    albedo: Tensor
    shading: Tensor
    lit: Tensor
    light: Tensor


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
        options: how photos are reconstructed.
    """

    @plain_torch()
    def __init__(self, options: ReconstructionOptions | None = None) -> None:
        self.options = options = options or ReconstructionOptions()
        self.device = resolve_device(options.device)
        self.fit, self.adapt, self.texture_size, self.all_faces = (
            options.fit,
            options.adapt,
            options.texture_size,
            options.all_faces,
        )
        self.model: FaceModel = shipped_model()
        self._mouth = mouth_fade(self.model)
        self.detector = FaceDetector()
        self.parser = load_parser().to(self.device)
        fitting = PhotoFitting() if self.fit else None
        position_map = load_position_map_network(PositionMapLayout(self.model)) if self.fit else None
        regressor = load_regressor(layout_of(self.model))
        self.coarse = CoarseStage(self.model, regressor, fitting, self.device, position_map=position_map)
        self._model_on_cpu = self.coarse.morphable if self.device.type == "cpu" else MorphableModel(self.model)
        self.facenet = load_facenet().to(self.device)
        self.skin_tone = load_skin_tone().to(self.device)
        self.refiner = load_refiner(self.model).to(self.device)

    @plain_torch()
    def __call__(self, photo: NDArray[np.float32], *, on_stage: OnStage | None = None) -> list[Reconstruction]:
        """Reconstruct the faces of one photo, largest first; an empty list when none is found, or shown well enough.

        Args:
            photo: (H, W, 3) float32 sRGB in [0, 1].
            on_stage: called with the name of each stage as it begins.
        """
        watch = Stopwatch(on_stage)
        with watch.stage("detect"):
            found = self.detector.detect(photo)
        chosen = found if self.all_faces else found[:1]
        watches = [watch.fork() for _ in chosen]
        views = [self.fit_face(photo, face, own) for face, own in zip(chosen, watches, strict=True)]
        pairs = zip(views, watches, strict=True)
        return [self._reconstruct(view, own) for view, own in pairs if view.can_be_trusted]

    def _reconstruct(self, view: FittedFace, watch: Stopwatch) -> Reconstruction:
        with watch.stage("refine"), torch.no_grad():
            seen = self.observe(view)
            refined = None if self.adapt else self.refine(view, seen)
        if refined is None:
            with watch.stage("adapt"):
                refined = self._adapted(view, seen)
        texture_photo = TexturePhoto(view.photo, view.screen, refined.light, refined.observation.confidence[0])
        return self.assemble(view, refined, [texture_photo], watch)

    def light(self, view: FittedFace, seen: VertexObservation) -> Tensor:
        """(1, V, 3) what the photo's colours are divided by: the estimated light, cast shadows and highlights in it."""
        return photo_light(view.coarse, seen, self.refiner.pyramid, self.model.mirror)

    @torch.no_grad()
    def refine(self, view: FittedFace, seen: VertexObservation) -> RefinedFace:
        """The refiner's answer for one photo, finished, on the CPU."""
        light = self.light(view, seen)
        inputs = (view.coarse.albedo, seen.linear / light, seen.confidence[..., None], view.embedding)
        return self._finished(view, seen, light, self.refiner(*inputs))

    def completed(self, albedo: Tensor, confidence: Tensor) -> Tensor:
        """The refiner's answer (1, V, 3) with the seen parts' tones on those hidden, and a dark inside of the mouth."""
        albedo = match_tones(self.model, self.refiner.pyramid, albedo, confidence)
        return darkened_mouth(albedo[0], confidence[0], self._mouth.to(albedo))[None]

    def _finished(self, view: FittedFace, seen: VertexObservation, light: Tensor, albedo: Tensor) -> RefinedFace:
        albedo = self.completed(albedo, seen.confidence)
        shown = [ImageView(view.sharp, crop_camera(1, view.sharp.shape[-1])), ImageView(view.image, crop_camera())]
        coarse, faces = view.coarse, self.coarse.morphable.faces
        done = solve_colors(coarse.verts_cam, faces, albedo[0], light[0], seen, shown)
        return on_cpu(RefinedFace(coarse, seen, done.albedo, done.shading, done.lit, light[0]))

    def fit_face(self, photo: NDArray[np.float32], face: Detection, watch: Stopwatch) -> FittedFace:
        """Align, parse, regress and fit one face of a photo."""
        with watch.stage("align"):
            crop = align_face(photo, face)
            sharp = self._sharp(photo, crop)
        image = crop.image[None].to(self.device)
        with watch.stage("parse"), torch.no_grad():
            classes = self.parser.parse(image)
            classes = classes * crop.inside.to(classes)
            window_from_photo = WINDOW_FROM_CROP @ crop.crop_from_photo
            window = cut_window(photo, window_from_photo).to(self.device) if self.fit else None
            embedding = embed_crop224(self.facenet, image)
            tone = self.skin_tone(embedding)
        coarse = self.coarse(image, classes, watch, window=window, tone=tone)
        shown = self._shown(coarse, crop, photo)
        if shown < 1:
            pictures = CropPictures(image, window, classes)
            inside = torch.from_numpy(window_inside(crop, photo.shape[:2])).to(self.device)
            coarse, completed = find_again(self.coarse, pictures, coarse, inside, self._tone, watch)
            embedding, shown = embed_crop224(self.facenet, completed), self._shown(coarse, crop, photo)
        return FittedFace(photo, crop, image, sharp, classes, embedding, coarse, shown)

    def _shown(self, coarse: CoarseFace, crop: FaceCrop, photo: NDArray[np.float32]) -> float:
        return shown_share(coarse, self.coarse.morphable, crop, photo.shape[:2])

    def _tone(self, image: Tensor) -> Tensor:
        """(1, 3) expected tone of the skin in a crop (1, 3, 224, 224)."""
        return self.skin_tone(embed_crop224(self.facenet, image))

    def observe(self, view: FittedFace) -> VertexObservation:
        """What the photo shows at the vertices of the posed face."""
        return observe_vertices(self.model, view.coarse, view.sharp, view.classes, crop_camera(1, view.sharp.shape[-1]))

    def _adapted(self, view: FittedFace, seen: VertexObservation) -> RefinedFace:
        """The answer of a copy of the refiner that was trained on the photo."""
        with torch.no_grad():
            light = self.light(view, seen)
        inputs = (view.coarse.albedo, seen.linear / light, seen.confidence[..., None], view.embedding)
        target = AdaptationTarget(view.image, face_mask(view.classes), crop_camera())
        face = replace(view.coarse, shading=light)
        albedo = adapt(self.refiner, inputs, face, target, self.facenet, steps=self.adapt, config=_ADAPTATION)
        with torch.no_grad():
            return self._finished(view, seen, light, albedo)

    def _sharp(self, photo: NDArray[np.float32], crop: FaceCrop) -> Tensor:
        """(1, 3, 448, 448): the crop at twice its resolution."""
        double = np.diag([2.0, 2.0, 1.0]) @ crop.crop_from_photo
        sharp = warp_image(photo, double, (2 * CROP_SIDE_PX, 2 * CROP_SIDE_PX))
        return torch.from_numpy(np.ascontiguousarray(sharp.transpose(2, 0, 1)))[None].to(self.device)

    def assemble(
        self, view: FittedFace, refined: RefinedFace, texture_photos: Sequence[TexturePhoto], watch: Stopwatch
    ) -> Reconstruction:
        """The record of a face, posed and lit as in `view`, its texture baked from all `texture_photos`."""
        coarse, model, camera = refined.coarse, self.model, view.camera
        with watch.stage("bake"), torch.no_grad():
            texture = bake_texture(model, refined.albedo, texture_photos, self.texture_size)
            landmarks468 = self._landmarks_px(coarse, camera)
            mesh = self._mesh(coarse, refined, texture.rgb)
        coefficients: dict[str, Any] = {n: value[0].numpy() for n, value in coarse.coefficients.named().items()}
        return Reconstruction(
            mesh=mesh,
            vertices_cam=coarse.verts_cam[0].numpy(),
            px_from_cam=camera.px_from_cam[0].numpy(),
            vertex_rgb=srgb_from_linear(refined.lit.clamp(0, 1)).numpy(),
            vertex_rgb_coarse=srgb_from_linear(coarse.lit[0].clamp(0, 1)).numpy(),
            vertex_albedo=refined.albedo.clamp(0, 1).numpy(),
            vertex_light=refined.light.numpy(),
            visible=refined.observation.visible[0].numpy(),
            landmarks68=landmarks468[list(LANDMARKS68_FROM_468)],
            landmarks468=landmarks468,
            **coefficients,
            crop_from_photo=view.crop.crop_from_photo,
            texel_source=texture.source,
            texel_photo=texture.photo,
            texel_confidence=np.rint(texture.confidence.clip(0, 1) * 255),
            expression_names=model.expression_names,
            face_model=model.name,
            timings=dict(watch.seconds),
            figures=self._figures(view.crop, refined),
            provenance=self._provenance(view.crop),
            photo=view.photo,
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
