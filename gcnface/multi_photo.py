"""Several photos of one person: one identity, one texture.

Every photo goes through the coarse stage by itself. Then the identities become one, each coefficient weighted by the
confidence network (Deng et al. 2019), each photo's face takes that identity and is posed anew, and the colours of all
photos, each without its own light, are blended: the photo that shows a place best gives its detail.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from coarse.coefficients import Coefficients
from coarse.confidence import Confidences, load_confidence
from coarse.decomposition import Decomposition, ToneExpectation, decompose
from coarse.morphable import MorphableModel, crop_camera
from coarse.photo_fitting import DensePoints
from coarse.pose_refit import refit_pose
from coarse.regressor import CoefficientRegressor
from coarse.set_aggregation import aggregate
from gcnface.errors import LowQualityWarning, printable
from gcnface.photo.detection import FaceDetector, no_face
from gcnface.photo.input import NamedPhoto, photo_sizes
from gcnface.pipeline import Reconstructor
from gcnface.result.quality import REMEDY, low_quality
from gcnface.result.reconstruction import Reconstruction
from gcnface.stages.blending import Blend, blend_photos
from gcnface.stages.coarse import OnStage, Stopwatch, tone_under
from gcnface.stages.observation import VertexObservation, observe_vertices, view_cosine
from gcnface.stages.records import FittedFace, RefinedFace, on_cpu
from gcnface.stages.texture import TexturePhoto
from gcnface.system.isolation import plain_torch
from render.visibility import vertex_visibility

STAGES = ("detect", "align", "parse", "dense", "regress", "fit", "fuse", "refine", "bake")
"""Names of the stages, in order; those up to the fit come again for every photo."""

SAME_PERSON_COSINE = 0.3
"""Mean FaceNet cosine of a photo to the others below which it is doubted. Of 6,612 pairs of strangers 94 % lie below,
of 51 pairs of portraits of one person none (the least has 0.70, but most pairs are of one session)."""

LARGEST_COUNT = 255
"""So many photos the texture's provenance can name."""

_EXPRESSION_MM = 2.0
"""Movement by another expression at which a photo's quality falls to 1 / e."""

_FINEST_PX_PER_MM = 4.0
"""Photos finer than the texels of a 1024 px texture show nothing more."""


@dataclass(frozen=True)
class _PersonPhoto:
    """What one photo shows of the fused face.

    Attributes:
        view: the photo, its face posed with the fused identity.
        seen: colours at the vertices.
        light: (1, V, 3) what they are divided by.
        albedo: (1, V, 3) those colours without the photo's light.
        quality: (V,) how well the photo shows each vertex.
    """

    view: FittedFace
    seen: VertexObservation
    light: Tensor
    albedo: Tensor
    quality: Tensor


class PersonReconstructor:
    """Photos of one person to one textured mesh.

    Args:
        reconstructor: the pipeline whose networks and options are used; its ``adapt`` and ``all_faces`` are not.
        detector: finds the faces, where it is not to be the pipeline's.
    """

    @plain_torch()
    def __init__(self, reconstructor: Reconstructor, *, detector: FaceDetector | None = None) -> None:
        self.detector, self.stages = detector or reconstructor.detector, reconstructor.stages
        regressor, device = self.stages.coarse.regressor, self.stages.device
        ours = isinstance(regressor, CoefficientRegressor)
        self.confidence = load_confidence(regressor).to(device) if ours else None  # type: ignore[arg-type]
        self.posed = MorphableModel(reconstructor.model, level=2).to(device)

    @plain_torch()
    def __call__(
        self,
        photos: Sequence[NamedPhoto],
        *,
        on_stage: OnStage | None = None,
        on_photo: Callable[[Path], None] | None = None,
        on_doubt: Callable[[str], None] | None = None,
    ) -> Reconstruction:
        """Fuse the largest faces of the photos.

        Args:
            photos: of one person; the result has pose, expression and light of the first.
            on_stage: called with the name of each stage as it begins.
            on_photo: called with the name of each photo as it begins.
            on_doubt: called with a sentence when a photo seems to show someone else.

        Raises:
            NoFaceError: a photo shows no face; it is named.
            LowQualityError: no photo shows a face that can be believed.
            ValueError: there is no photo, or more than `LARGEST_COUNT`.
        """
        if not 1 <= len(photos) <= LARGEST_COUNT:
            raise ValueError(f"{len(photos)} photos given; expected 1 to {LARGEST_COUNT}")
        watch = Stopwatch(on_stage)
        looked = [self._look(photo, watch, on_photo) for photo in photos]
        photos, views = self._believed(photos, looked)
        with watch.stage("fuse"), torch.no_grad():
            embeddings = torch.cat([view.embedding for view in views])
            cosine = mean_cosines(embeddings)
            doubt = doubted([photo.name for photo in photos], cosine)
            if on_doubt is not None and doubt is not None:
                on_doubt(doubt)
            posed = self.of_one_identity(views)
            person_photos = [self._person_photo(view, posed[0]) for view in posed]
            blend = self._blend(person_photos)
        refined = self._refined(person_photos, blend, embeddings, watch)
        texture_photos = [_texture_photo(person_photo, blend, k) for k, person_photo in enumerate(person_photos)]
        result = self.stages.assemble(person_photos[0].view, refined, texture_photos, watch)
        names = tuple(photo.name.name for photo in photos)
        return replace(result, photo_names=names, provenance={**_provenance(photos, cosine), **result.provenance})

    def _look(self, photo: NamedPhoto, watch: Stopwatch, on_photo: Callable[[Path], None] | None) -> FittedFace:
        if on_photo is not None:
            on_photo(photo.name)
        with watch.stage("detect"):
            found = self.detector.detect(photo.pixels)
        view = self.stages.fit_face(photo.pixels, found[0], watch) if found else None
        if view is None:
            raise no_face(photo.name, photo.pixels, "leave it out or take a larger picture with the whole face in it")
        return view

    def _believed(
        self, photos: Sequence[NamedPhoto], views: Sequence[FittedFace]
    ) -> tuple[list[NamedPhoto], list[FittedFace]]:
        """The photos whose face can be believed, and what was found in them.

        Raises:
            LowQualityError: there is none.

        Warns:
            LowQualityWarning: a photo is left out, with its name.
        """
        kept, least = [], self.stages.options.least_quality
        for photo, view in zip(photos, views, strict=True):
            if view.believed(least):
                kept.append((photo, view))
            elif len(photos) > 1:
                told = f"{printable(photo.name)}: left out, its face cannot be believed ({view.quality}); {REMEDY}"
                warnings.warn(told, LowQualityWarning, stacklevel=4)
        if not kept:
            raise low_quality(photos[0].name, [view.quality for view in views])
        return [photo for photo, _ in kept], [view for _, view in kept]

    def confidences(self, views: Sequence[FittedFace]) -> Confidences:
        """Of each photo's coefficients: (P, Ni) and (P, Na); all alike where the regressor tells no features."""
        features = [view.features for view in views if view.features is not None]
        if self.confidence is None or len(features) < len(views):
            own = [view.coarse.coefficients for view in views]
            identity, albedo = (torch.cat([getattr(c, name) for c in own]) for name in ("identity", "albedo"))
            return Confidences(torch.ones_like(identity), torch.ones_like(albedo))
        return self.confidence(torch.cat(features))

    def of_one_identity(self, views: Sequence[FittedFace]) -> list[FittedFace]:
        """The same photos, their faces posed with one identity and coloured with one albedo, each in its own light."""
        stage, trust = self.stages.coarse, self.confidences(views)
        own = [view.coarse.coefficients for view in views]
        identity = aggregate(torch.cat([c.identity for c in own]), trust.identity)[None]
        posed = [self._reposed(view, identity) for view in views]
        seen = [self._colors(view, c) for view, c in zip(views, posed, strict=True)]
        colors = [s.colors(stage.coarser.vertex_index) for s in seen]
        shown = torch.stack([c.face.mean() for c in colors]).clamp(min=1e-3)[:, None]
        tones = [view.tone for view in views if view.tone is not None]
        expected = [*ToneExpectation.of_one_person(tones)] if tones else [None] * len(colors)
        where = (self.stages.model.region, stage.coarser.vertex_index)
        told = [partial(tone_under, one, s, *where) if one else None for one, s in zip(expected, seen, strict=True)]
        found = [decompose(stage.coarser, c, tone=tone) for c, tone in zip(colors, told, strict=True)]
        albedo = aggregate(torch.cat([one.albedo for one in found]), trust.albedo * shown)[None]
        factor = aggregate(torch.cat([one.skin_tone for one in found]).log(), shown)[None].exp()
        lights = [decompose(stage.coarser, c, albedo=albedo).lighting / factor[:, None] for c in colors]
        return [
            replace(view, coarse=stage.morphable(Decomposition(albedo, light, factor).of(c)))
            for view, c, light in zip(views, posed, lights, strict=True)
        ]

    def _reposed(self, view: FittedFace, identity: Tensor) -> Coefficients:
        """The face's own coefficients with another identity, moved to where its vertices lie in the crop."""
        camera, c = crop_camera(), view.coarse.coefficients
        verts = view.coarse.verts_cam[:, self.posed.vertex_index]
        screen = camera.project(verts)
        facing = view_cosine(verts, view.coarse.normals_view[:, self.posed.vertex_index]).clamp(min=0)
        weight = facing * vertex_visibility(verts, self.posed.faces, camera) * self._face_at_level()
        chosen = (weight[0] > 0.05).nonzero()[:, 0]
        points = DensePoints(chosen, screen[:, chosen, :2], weight[:, chosen])
        with torch.enable_grad():
            return refit_pose(self.posed, c, identity, points)

    def _face_at_level(self) -> Tensor:
        """(V',) bool, face and features among the vertices that are posed."""
        region = torch.from_numpy(self.stages.model.region_mask("face", "eyes_nose_mouth"))
        return region.to(self.posed.vertex_index.device)[self.posed.vertex_index]

    def _colors(self, view: FittedFace, coefficients: Coefficients) -> VertexObservation:
        face = self.stages.coarse.morphable(coefficients)
        return observe_vertices(self.stages.model, face, view.image, view.maps, crop_camera())

    def _person_photo(self, view: FittedFace, first: FittedFace) -> _PersonPhoto:
        """What a photo shows; of places that its expression moves, the less the further they are from the first's."""
        seen = self.stages.observe(view)
        cosine = view_cosine(view.coarse.verts_cam, view.coarse.normals_view)[0].clamp(min=0)
        scale = view.camera.px_from_cam[0, :2, :2].det().abs().sqrt().to(cosine)
        px_per_mm = scale / view.coarse.verts_cam[0, :, 2].clamp(min=1)
        alike = same_expression(view.coarse.verts[0], first.coarse.verts[0])
        quality = seen.confidence[0] * cosine * alike * (px_per_mm / _FINEST_PX_PER_MM).clamp(max=1)
        light = self.stages.light(view, seen)
        return _PersonPhoto(view, seen, light, seen.linear / light, quality)

    def _blend(self, person_photos: Sequence[_PersonPhoto]) -> Blend:
        albedo = torch.cat([s.albedo for s in person_photos]).cpu()
        confidence = torch.cat([s.seen.confidence for s in person_photos]).cpu()
        quality = torch.stack([s.quality for s in person_photos]).cpu()
        return blend_photos(self.stages.model.faces, albedo, confidence, quality)

    def _refined(
        self, person_photos: Sequence[_PersonPhoto], blend: Blend, embeddings: Tensor, watch: Stopwatch
    ) -> RefinedFace:
        """The refiner told of all photos at once; pose and light of the first."""
        view, device = person_photos[0].view, self.stages.device
        with watch.stage("refine"), torch.no_grad():
            colors = blend.colors(torch.cat([s.albedo for s in person_photos]).cpu())[None].to(device)
            confidence = blend.weight.sum(0).clamp(max=1)[None].to(device)
            embedding = torch.nn.functional.normalize(embeddings.mean(0, keepdim=True))
            albedo = self.stages.answer(view.coarse.albedo, colors, confidence, embedding)
            albedo = self.stages.completed(albedo, confidence)
        seen = replace(person_photos[0].seen, confidence=confidence)
        light = person_photos[0].light[0]
        return on_cpu(RefinedFace(view.coarse, seen, albedo[0], light, albedo[0] * light, light))


def same_expression(verts: Tensor, first: Tensor) -> Tensor:
    """(V,) in [0, 1]: how far vertices (V, 3) mm of one identity lie where the first photo's expression puts them.

    A smile that is painted onto closed lips shows teeth on them.
    """
    return (-(verts - first).norm(dim=1) / _EXPRESSION_MM).exp()


def mean_cosines(embeddings: Tensor) -> Tensor:
    """(P,) of unit embeddings (P, D): the mean cosine of each to the others; 1 for a single one."""
    count = len(embeddings)
    if count == 1:
        return torch.ones(1)
    return ((embeddings @ embeddings.T).sum(1) - 1).cpu() / (count - 1)


def doubted(names: Sequence[Path], cosine: Tensor) -> str | None:
    """What to say of the photo least like the others, when it is less so than `SAME_PERSON_COSINE`; else None.

    Of two photos that do not agree the second is named.
    """
    rounded = (cosine * 1000).round()  # what is equal but for the last bits is equal
    least = len(cosine) - 1 - int(rounded.flip(0).argmin())
    if float(cosine[least]) >= SAME_PERSON_COSINE:
        return None
    figure = f"FaceNet cosine {float(cosine[least]):.2f}, below {SAME_PERSON_COSINE}"
    what = "does not look like the person of the other photos"
    return f"{names[least]}: {what} ({figure}); leave it out if it shows someone else"


def _texture_photo(person_photo: _PersonPhoto, blend: Blend, index: int) -> TexturePhoto:
    """One photo's part of the texture: its light divided by the factor that its tones are multiplied by."""
    view, shading = person_photo.view, person_photo.light[0].cpu() / blend.factor[index]
    return TexturePhoto(view.photo, view.screen, shading, blend.weight[index])


def _provenance(photos: Sequence[NamedPhoto], cosine: Tensor) -> dict[str, object]:
    return {
        "photo": photos[0].name.name,
        **photo_sizes(photos[0].pixels, photos[0].name),
        "photos": [photo.name.name for photo in photos],
        "same_person_cosine": [round(float(value), 3) for value in cosine],
    }
