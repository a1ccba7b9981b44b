"""The stages that one face of a photo goes through, and the networks that they share.

crop -> classes, embedding -> coefficients -> colours at vertices -> refined albedo -> mesh, texture, record
fit_face                                       observe              refine           assemble
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.decomposition import ToneExpectation
from coarse.face_model import FaceModel
from coarse.morphable import MorphableModel, crop_camera, layout_of
from coarse.photo_fitting import PhotoFitting
from coarse.position_map import WINDOW_PX, PositionMapLayout
from coarse.position_network import load_position_map_network
from coarse.records import CoarseFace
from coarse.regressor import load_regressor
from coarse.skin_tone import load_skin_tone
from gcnface.face_model import is_shipped, shipped_model
from gcnface.options import ReconstructionOptions
from gcnface.photo.crop import CROP_SIDE_PX, WINDOW_FROM_CROP, FaceCrop, align_face, cut_square, warp_inside
from gcnface.photo.detection import Detection
from gcnface.photo.parsing import load_parser
from gcnface.result.reconstruction import Reconstruction
from gcnface.stages.alignment import FaceAligner
from gcnface.stages.assembly import reconstruction_of
from gcnface.stages.coarse import CoarseStage, Regressor, Stopwatch
from gcnface.stages.cut_faces import CropPictures, find_again, shown_share
from gcnface.stages.delight import photo_light
from gcnface.stages.eye_whites import eye_whites
from gcnface.stages.mouth import darkened_mouth, mouth_fade
from gcnface.stages.observation import VertexObservation, class_maps, face_mask, observe_vertices
from gcnface.stages.quality import fitted_quality
from gcnface.stages.records import FittedFace, RefinedFace, on_cpu
from gcnface.stages.texture import TexturePhoto, bake_texture
from gcnface.stages.tone_matching import match_tones
from gcnface.stages.vertex_solve import ImageView, solve_colors
from refine.adaptation import AdaptationTarget, adapt
from refine.facenet import embed_crop224, load_facenet
from refine.pyramid import MeshPyramid
from refine.stored import load_refiner
from render.devices import resolve_device

LEVELS = 5
"""Levels that a face model's pyramid must have: light and tones are smoothed over the coarsest."""


class FaceStages:
    """What is done to one face; `gcnface.Reconstructor` runs it over the faces of a photo.

    With another face model than the shipped one, what was trained on that does not answer: the regressor is handed in,
    the crop is that of the detector's five points, the fit goes without dense points, the skin's tone is not expected,
    and hidden parts keep the coarse albedo, to which seen ones are added, instead of the refiner's answer.

    Args:
        options: how photos are reconstructed.
        model: the face model; None takes the shipped one.
        regressor: crops to raw coefficients of that model; None takes the shipped one.

    Raises:
        DeviceError: there is no such device.
        ValueError: the face model needs a regressor, or more levels, or cannot be adapted.
    """

    def __init__(
        self, options: ReconstructionOptions, model: FaceModel | None = None, regressor: Regressor | None = None
    ) -> None:
        self.options, self.device = options, resolve_device(options.device)
        self.model = model or shipped_model()
        ours = is_shipped(self.model)
        if not ours:
            _check_model(self.model, options, regressor)
        self.parser = load_parser().to(self.device)
        network = load_position_map_network(PositionMapLayout(self.model)).to(self.device) if ours else None
        self.aligner = FaceAligner.of(self.model, network, self.device) if network else None
        regressor = regressor or load_regressor(layout_of(self.model))
        fitting = PhotoFitting() if options.fit else None
        self.coarse = CoarseStage(self.model, regressor, fitting, self.device, position_map=network)
        self.facenet = load_facenet().to(self.device)
        self.skin_tone = load_skin_tone().to(self.device) if ours else None
        self.refiner = load_refiner(self.model).to(self.device) if ours else None
        self.pyramid = self.refiner.pyramid if self.refiner else MeshPyramid(self.model.levels).to(self.device)
        self._mouth = mouth_fade(self.model)
        self._model_on_cpu = self.coarse.morphable if self.device.type == "cpu" else MorphableModel(self.model)

    def fit_face(
        self, photo: NDArray[np.float32], face: Detection, watch: Stopwatch, rivals: Sequence[Detection] = ()
    ) -> FittedFace:
        """Align, parse, regress and fit one face of a photo (H, W, 3); `rivals` are other detections of the same."""
        with watch.stage("align"):
            aligned = self.aligner(photo, face, rivals) if self.aligner else None
            crop = aligned.crop if aligned else align_face(photo, face)
            double = np.diag([2.0, 2.0, 1.0]) @ crop.crop_from_photo
            sharp = cut_square(photo, double, 2 * CROP_SIDE_PX).to(self.device)
        image = crop.image[None].to(self.device)
        with watch.stage("parse"), torch.no_grad():
            classes = self.parser.parse(image)
            classes = classes * crop.inside.to(classes)
            maps = class_maps(classes)
            embedding = embed_crop224(self.facenet, image)
            tone = self._tone(embedding, image, classes, whole=bool(crop.inside.all()))
        window, found = (aligned.window.to(self.device), aligned.position_map) if aligned else (None, None)
        coarse = first = self.coarse(image, classes, watch, window=window, position_map=found, tone=tone, maps=maps)
        shown = self._shown(coarse, crop, photo)
        if shown < 1:
            pictures = CropPictures(image, window, classes, maps)
            inside = warp_inside(photo.shape[:2], WINDOW_FROM_CROP @ crop.crop_from_photo, (WINDOW_PX, WINDOW_PX))
            there = torch.from_numpy(inside).to(self.device)
            tone_of = partial(self._tone_of_crop, classes=classes)
            coarse, completed = find_again(self.coarse, pictures, coarse, there, tone_of, watch)
            embedding, shown = embed_crop224(self.facenet, completed), self._shown(coarse, crop, photo)
            tone = self._tone(embedding, image, classes, whole=True)
        about = (classes, maps, embedding, tone, first.features, coarse, shown, aligned)
        view = FittedFace(photo, crop, image, sharp, *about)
        return replace(view, quality=fitted_quality(view, self.coarse))

    def observe(self, view: FittedFace) -> VertexObservation:
        """What the photo shows at the vertices of the posed face."""
        return observe_vertices(self.model, view.coarse, view.sharp, view.maps, crop_camera(1, view.sharp.shape[-1]))

    def light(self, view: FittedFace, seen: VertexObservation) -> Tensor:
        """(1, V, 3) what the photo's colours are divided by: the estimated light, cast shadows and highlights in it."""
        return photo_light(view.coarse, seen, self.pyramid, self.model.mirror)

    @torch.no_grad()
    def refine(self, view: FittedFace, seen: VertexObservation) -> RefinedFace:
        """The refiner's answer for one photo, finished, on the CPU."""
        light = self.light(view, seen)
        albedo = self.answer(view.coarse.albedo, seen.linear / light, seen.confidence, view.embedding)
        return self._finished(view, seen, light, albedo)

    def answer(self, coarse: Tensor, colors: Tensor, confidence: Tensor, embedding: Tensor) -> Tensor:
        """The albedo (1, V, 3) of the refiner; without one the colours seen, on the coarse albedo.

        Args:
            coarse: (1, V, 3) linear albedo of the coarse face.
            colors: (1, V, 3) linear colours seen, without their light.
            confidence: (1, V) in [0, 1], how far they count.
            embedding: (1, 512) FaceNet's.
        """
        if self.refiner is None:
            return torch.lerp(coarse, colors, confidence[..., None])
        return self.refiner(coarse, colors, confidence[..., None], embedding)

    def adapted(self, view: FittedFace, seen: VertexObservation) -> RefinedFace:
        """The answer of a copy of the refiner that was trained on the photo, finished, on the CPU."""
        assert self.refiner is not None
        with torch.no_grad():
            light = self.light(view, seen)
        inputs = (view.coarse.albedo, seen.linear / light, seen.confidence[..., None], view.embedding)
        target = AdaptationTarget(view.image, face_mask(view.classes), crop_camera())
        face, steps = replace(view.coarse, shading=light), self.options.adapt
        albedo = adapt(self.refiner, inputs, face, target, self.facenet, steps=steps)
        with torch.no_grad():
            return self._finished(view, seen, light, albedo)

    def completed(self, albedo: Tensor, confidence: Tensor) -> Tensor:
        """The refiner's answer (1, V, 3) with the seen parts' tones on those hidden, and a dark inside of the mouth."""
        albedo = match_tones(self.model, self.pyramid, albedo, confidence)
        return darkened_mouth(albedo[0], confidence[0], self._mouth.to(albedo))[None]

    def assemble(
        self, view: FittedFace, refined: RefinedFace, texture_photos: Sequence[TexturePhoto], watch: Stopwatch
    ) -> Reconstruction:
        """The record of a face, posed and lit as in `view`, its texture baked from all `texture_photos`."""
        with watch.stage("bake"), torch.no_grad():
            texture = bake_texture(self.model, refined.albedo, texture_photos, self.options.texture_size)
        with torch.no_grad():
            about = (self._model_on_cpu, self.model, self.options)
            return reconstruction_of(view, refined, texture, *about, watch.seconds)

    def _finished(self, view: FittedFace, seen: VertexObservation, light: Tensor, albedo: Tensor) -> RefinedFace:
        albedo = self.completed(albedo, seen.confidence)
        shown = [ImageView(view.sharp, crop_camera(1, view.sharp.shape[-1])), ImageView(view.image, crop_camera())]
        coarse, faces = view.coarse, self.coarse.morphable.faces
        done = solve_colors(coarse.verts_cam, faces, albedo[0], light[0], seen, shown)
        return on_cpu(RefinedFace(coarse, seen, done.albedo, done.shading, done.lit, light[0]))

    def _shown(self, coarse: CoarseFace, crop: FaceCrop, photo: NDArray[np.float32]) -> float:
        return shown_share(coarse, self.coarse.morphable, crop, photo.shape[:2])

    def _tone(self, embedding: Tensor, image: Tensor, classes: Tensor, *, whole: bool) -> ToneExpectation | None:
        """What to expect of the skin and the light of a face (1, 512) in its crop.

        Unless the photo fills the `whole` crop, the eyes' whites are compared with skin as they are: the light on what
        the border repeats, or on what is only drawn, says nothing.
        """
        if self.skin_tone is None:
            return None
        tone = self.skin_tone.expectation(embedding, eye_whites(image, classes))
        return tone if whole else replace(tone, whites=None)

    def _tone_of_crop(self, image: Tensor, classes: Tensor) -> ToneExpectation | None:
        """The same of a crop (1, 3, 224, 224) that drawing completes, and its classes."""
        return self._tone(embed_crop224(self.facenet, image), image, classes, whole=False)


def _check_model(model: FaceModel, options: ReconstructionOptions, regressor: Regressor | None) -> None:
    """Raise ValueError unless a face can be found with a model that is not the shipped one."""
    what = f"the face model {model.name!r} is not the shipped one"
    if regressor is None:
        count = layout_of(model).total
        raise ValueError(f"{what}: hand in regressor=, crops (B, 3, 224, 224) to raw coefficients (B, {count})")
    if options.adapt:
        raise ValueError(f"{what}, so there is no refiner to adapt: leave adapt out")
    if len(model.levels) < LEVELS:
        raise ValueError(f"{what} and its pyramid has {len(model.levels)} levels; give it {LEVELS} or more")
