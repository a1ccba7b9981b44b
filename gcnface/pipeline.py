"""The stages in order: detect, align, parse, regress, fit, observe, refine, bake."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from coarse.face_model import FaceModel
from gcnface.options import ReconstructionOptions
from gcnface.photo.detection import FaceDetector, make_detector
from gcnface.result.quality import check_believed
from gcnface.result.reconstruction import Reconstruction
from gcnface.stages.coarse import OnStage, Regressor, Stopwatch
from gcnface.stages.face import FaceStages
from gcnface.stages.records import FittedFace
from gcnface.stages.texture import TexturePhoto
from gcnface.system.isolation import plain_torch

STAGES = ("detect", "align", "parse", "dense", "regress", "fit", "refine", "adapt", "bake")
"""Names of the stages, in order; those that are switched off are left out."""


class Reconstructor:
    """Photographs to textured meshes; holds the loaded networks.

    Its interface is the call. `stages` has the single steps of a face, for those who measure or combine them.

    Args:
        options: how photos are reconstructed.
        model: another face model than the shipped one; see `gcnface.stages.face.FaceStages` for what does without.
        detector: finds the faces; None makes the one that the options name.
        regressor: answers for the face model instead of the shipped one: crops (B, 3, 224, 224), sRGB in [0, 1], to raw
            coefficients (B, N) in the layout `coarse.morphable.layout_of(model)`.

    Raises:
        DeviceError: there is no such device.
        ValueError: the face model needs a regressor, or its pyramid more levels, or it cannot be adapted.

    Example:
        >>> import gcnface
        >>> reconstructor = gcnface.Reconstructor(gcnface.ReconstructionOptions(texture_size=512))
        >>> len(reconstructor(gcnface.read_photo("examples/portrait.jpg")))
        1
    """

    @plain_torch()
    def __init__(
        self,
        options: ReconstructionOptions | None = None,
        *,
        model: FaceModel | None = None,
        detector: FaceDetector | None = None,
        regressor: Regressor | None = None,
    ) -> None:
        self.options = options or ReconstructionOptions()
        self.stages = FaceStages(self.options, model, regressor)
        self.model = self.stages.model
        self.detector = detector or make_detector(self.options.detector)

    @plain_torch()
    def __call__(self, photo: NDArray[np.float32], *, on_stage: OnStage | None = None) -> list[Reconstruction]:
        """Reconstruct the faces of one photo, largest first; an empty list when none is found.

        Args:
            photo: (H, W, 3) float32 sRGB in [0, 1].
            on_stage: called with the name of each stage as it begins.

        Raises:
            LowQualityError: none of the faces can be believed, or is shown well enough.

        Warns:
            LowQualityWarning: some of them are left out for that.
        """
        watch = Stopwatch(on_stage)
        with watch.stage("detect"):
            found = self.detector.detect(photo)
        chosen = found if self.options.all_faces else found[:1]
        watches = [watch.fork() for _ in chosen]
        views = [self.stages.fit_face(photo, face, own) for face, own in zip(chosen, watches, strict=True)]
        believed = [view.believed(self.options.least_quality) for view in views]
        check_believed([view.quality for view in views], believed)
        kept = zip(views, watches, believed, strict=True)
        return [self._reconstruct(view, own) for view, own, take in kept if take]

    def _reconstruct(self, view: FittedFace, watch: Stopwatch) -> Reconstruction:
        with watch.stage("refine"), torch.no_grad():
            seen = self.stages.observe(view)
            refined = None if self.options.adapt else self.stages.refine(view, seen)
        if refined is None:
            with watch.stage("adapt"):
                refined = self.stages.adapted(view, seen)
        texture_photo = TexturePhoto(view.photo, view.screen, refined.light, refined.observation.confidence[0])
        return self.stages.assemble(view, refined, [texture_photo], watch)
