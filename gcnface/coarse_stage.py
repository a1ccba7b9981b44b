"""The coarse stage on one aligned crop: regression, the optional fit, light and albedo in closed form."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from coarse.decomposition import decompose
from coarse.face_model import FaceModel
from coarse.fitting import PhotoFitting, fit_photo
from coarse.morphable import MorphableModel, crop_camera
from coarse.records import CoarseFace
from coarse.regressor import CoefficientRegressor
from gcnface.observation import face_mask, observe_vertices

OnStage = Callable[[str], None]


class Stopwatch:
    """Seconds by stage, told to whoever shows progress."""

    def __init__(self, on_stage: OnStage | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._on_stage = on_stage

    def fork(self) -> Stopwatch:
        """Another watch that has the same seconds so far and goes on by itself."""
        twin = Stopwatch(self._on_stage)
        twin.seconds = dict(self.seconds)
        return twin

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; a stage entered again adds up."""
        if self._on_stage is not None:
            self._on_stage(name)
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


class CoarseStage:
    """Aligned crops to posed and coloured morphable faces.

    Args:
        model: the face model.
        regressor: crop to raw coefficients.
        fitting: settings of the fit to each photo; None leaves it out.
        device: where it runs.
    """

    def __init__(
        self,
        model: FaceModel,
        regressor: CoefficientRegressor,
        fitting: PhotoFitting | None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.model, self.fitting = model, fitting
        self.morphable = MorphableModel(model).to(device)
        self.coarser = MorphableModel(model, level=1).to(device)
        self.regressor = regressor.to(device)

    def __call__(self, image: Tensor, classes: Tensor, watch: Stopwatch | None = None) -> CoarseFace:
        """One face.

        Args:
            image: (1, 3, 224, 224) sRGB.
            classes: (1, 10, 224, 224) of the parser.
            watch: times the stages.
        """
        watch = watch or Stopwatch()
        with watch.stage("regress"), torch.no_grad():
            raw = self._decomposed(self.regressor(image), image, classes)
        if self.fitting is not None:
            with watch.stage("fit"):
                raw = fit_photo(self.coarser, raw, image, face_mask(classes), settings=self.fitting)
                with torch.no_grad():
                    raw = self._decomposed(raw, image, classes)
        with torch.no_grad():
            return self.morphable(self.morphable.layout.decode(raw))

    def _decomposed(self, raw: Tensor, image: Tensor, classes: Tensor) -> Tensor:
        """Replace albedo and light by those that explain the crop's colours on the skin."""
        coefficients = self.morphable.layout.decode(raw)
        face = self.morphable(coefficients)
        seen = observe_vertices(self.model, face, image, classes, crop_camera())
        found = decompose(self.coarser, seen.colours(self.coarser.vertex_index))
        return self.morphable.layout.encode(replace(coefficients, albedo=found.albedo, lighting=found.lighting))
