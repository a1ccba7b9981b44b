"""The coarse stage on one aligned crop: regression, the optional fit, light and albedo in closed form."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from coarse.decomposition import ToneExpectation, decompose
from coarse.face_model import FaceModel
from coarse.mirroring import RawMirror
from coarse.morphable import VIEW_FROM_CAM, MorphableModel, crop_camera, layout_of
from coarse.photo_fitting import DensePoints, PhotoFitter, PhotoFitting
from coarse.position_map import WINDOW_MARGIN_PX, WINDOW_PX
from coarse.position_network import PositionMapNetwork
from coarse.records import CoarseFace
from coarse.regressor import CoefficientRegressor
from coarse.similarity import similarity_between
from gcnface.stages.eye_whites import brighter_beside
from gcnface.stages.observation import Surface, VertexObservation, class_maps, face_mask, observe_vertices, vertices_in
from gcnface.stages.outliers import step_up
from render.camera import pixel_camera
from render.lighting import shade
from render.rotation import euler_from_rotation
from render.visibility import vertex_visibility

_DENSE_STRIDE = 4
"""Every so many vertices of the chart pull; the others would say the same."""
_LED_YAW_DEG = (25.0, 50.0)
"""Of heads turned as far as this the dense points begin to lead the fit, and lead it in full."""
_HIDDEN_WEIGHT = 0.3
"""Weight of hidden dense points where they lead."""
_EYES, _ABOUT_EYES = ("eyeballs",), ("face", "eyes_nose_mouth")
_AWAY_PX = 1000.0
"""Depths of position maps are relative; the depth buffer wants them in front of the camera."""

OnStage = Callable[[str], None]

Regressor = Callable[[Tensor], Tensor]
"""Crops (B, 3, 224, 224) sRGB in [0, 1] to raw coefficients (B, N) in the layout of the face model
(`coarse.morphable.layout_of`)."""


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


class DenseStage:
    """Windows to the dense points that the fit pulls a face towards.

    Args:
        fitted: the level of the face model that is fitted; points are those of its vertices that lie in the face chart.
        network: answers position maps, on the device of `fitted`.
    """

    def __init__(self, fitted: MorphableModel, network: PositionMapNetwork) -> None:
        self.layout, self.network = network.layout, network
        in_chart = torch.isin(fitted.vertex_index, self.layout.vertex_index)
        self.vertex = in_chart.nonzero()[::_DENSE_STRIDE, 0]
        self.row = torch.searchsorted(self.layout.vertex_index, fitted.vertex_index[self.vertex])
        self.landmarks = fitted.landmark_mean

    @torch.no_grad()
    def __call__(self, window: Tensor, position_map: Tensor | None = None) -> DensePoints:
        """Points of windows (B, 3, 256, 256), in px of the 224 px crop; of their maps where these are there already."""
        maps = (self.network(window) if position_map is None else position_map).float()
        points = self.layout.vertices(maps)
        away = points + points.new_tensor([0.0, 0.0, _AWAY_PX])
        seen = vertex_visibility(away, self.layout.faces, pixel_camera((WINDOW_PX, WINDOW_PX)))
        xy = points[:, self.row, :2] - WINDOW_MARGIN_PX
        lead = self._lead(maps)
        weight = torch.maximum(seen[:, self.row].to(xy), _HIDDEN_WEIGHT * lead[:, None])
        return DensePoints(self.vertex, xy, weight, lead)

    def _lead(self, maps: Tensor) -> Tensor:
        """(B,) how far the heads are turned to where their dense points lead: the regressor's crops seldom show it."""
        landmarks = self.layout.landmarks468(maps) * maps.new_tensor(VIEW_FROM_CAM)
        yaw_rad = euler_from_rotation(similarity_between(self.landmarks, landmarks).rotation)[:, 0]
        return step_up(torch.rad2deg(yaw_rad.abs()), _LED_YAW_DEG)


class CoarseStage:
    """Aligned crops to posed and coloured morphable faces.

    Args:
        model: the face model.
        regressor: crop to raw coefficients.
        fitting: settings of the fit to each photo; None leaves it out.
        device: where it runs.
        position_map: network whose dense points the fit uses; None fits without.
    """

    def __init__(
        self,
        model: FaceModel,
        regressor: Regressor,
        fitting: PhotoFitting | None,
        device: torch.device | str = "cpu",
        *,
        position_map: PositionMapNetwork | None = None,
    ) -> None:
        self.model = model
        self.morphable = MorphableModel(model).to(device)
        self.coarser = MorphableModel(model, level=1).to(device)
        at_level = model.region[self.coarser.vertex_index.cpu().numpy()]
        self.surface = Surface(model.levels[1].faces, at_level)
        self.fitter = PhotoFitter(self.coarser, fitting) if fitting is not None else None
        self.regressor = regressor.to(device) if isinstance(regressor, nn.Module) else regressor
        self.dense = DenseStage(self.coarser, position_map.to(device)) if position_map is not None else None

    def __call__(
        self,
        image: Tensor,
        classes: Tensor,
        watch: Stopwatch | None = None,
        *,
        window: Tensor | None = None,
        position_map: Tensor | None = None,
        tone: ToneExpectation | None = None,
        maps: Tensor | None = None,
    ) -> CoarseFace:
        """One face.

        Args:
            image: (1, 3, 224, 224) sRGB.
            classes: (1, 10, 224, 224) of the parser.
            watch: times the stages.
            window: (1, 3, 256, 256) sRGB, the crop with 16 px more on every side; None fits without dense points.
            position_map: (1, 3, S, S) of that window, where it has been found already.
            tone: what is expected of skin and light (`coarse.skin_tone`); None expects the mean person's.
            maps: `class_maps(classes)`, where they are there already.
        """
        watch, picture = watch or Stopwatch(), _Picture(image, class_maps(classes) if maps is None else maps, tone)
        dense = None
        if self.dense is not None and window is not None:
            with watch.stage("dense"):
                dense = self.dense(window, position_map)
        with watch.stage("regress"), torch.no_grad():
            turned = dense is not None and dense.leads
            regressed = self._regressed(picture, finest=self.fitter is None, turned=turned)
            if self.fitter is None:
                return regressed
            raw = self.coarser.layout.encode(regressed.coefficients)
        with watch.stage("fit"), torch.no_grad():
            raw = self.fitter(raw, image, face_mask(classes), dense=dense)
            return replace(self._colored(self.morphable, raw, picture), features=regressed.features)

    @cached_property
    def mirror(self) -> RawMirror:
        """Of the regressor's raw vectors."""
        return RawMirror(self.model, layout_of(self.model).sizes)

    @torch.no_grad()
    def regressed(self, image: Tensor, maps: Tensor, tone: ToneExpectation | None = None) -> CoarseFace:
        """What the regressor alone says, at the level that is fitted; arguments as for a call."""
        return self._regressed(_Picture(image, maps, tone), finest=False)

    def _regressed(self, picture: _Picture, *, finest: bool, turned: bool = False) -> CoarseFace:
        """What the regressor says; of a `turned` head the mean with what it says of its mirror image."""
        if isinstance(self.regressor, CoefficientRegressor):
            features = self.regressor.features(picture.image)
            raw = self.regressor.coefficients(features)
        else:
            features, raw = None, self.regressor(picture.image)
        if turned:
            raw = 0.5 * (raw + self.mirror(self.regressor(picture.image.flip(3))))
        level = self.morphable if finest else self.coarser
        return replace(self._colored(level, raw, picture), features=features)

    def _colored(self, posed: MorphableModel, raw: Tensor, picture: _Picture) -> CoarseFace:
        """The face of raw coefficients, its albedo and light replaced by those that explain the crop's colours.

        Args:
            posed: the level of the face that is asked for.
            raw: (1, layout.total).
            picture: what the colours are of.
        """
        face = posed(posed.layout.decode(raw))
        finest = posed is self.morphable
        surface, rows = (self.model, self.coarser.vertex_index) if finest else (self.surface, slice(None))
        seen = observe_vertices(surface, face, picture.image, picture.maps, crop_camera())
        tone = None if picture.tone is None else partial(tone_under, picture.tone, seen, surface.region, rows)
        found = decompose(self.coarser, seen.colors(rows), tone=tone)
        return replace(
            face,
            coefficients=found.of(face.coefficients),
            albedo=posed.albedo(found.albedo, found.skin_tone),
            shading=shade(face.normals_view, found.lighting),
        )


def tone_under(
    tone: ToneExpectation,
    seen: VertexObservation,
    region: NDArray[np.uint8],
    rows: Tensor | slice,
    shading: Tensor,
) -> ToneExpectation:
    """What is expected of a skin when the light on the face is known, but for its level.

    Args:
        tone: what is expected before.
        seen: at all vertices of the face, in its 224 px crop.
        region: (V,) of all of them.
        rows: which of them `shading` is of.
        shading: (B, V, 3).
    """
    if tone.whites is None:
        return tone
    area = seen.visible * seen.normals_view[..., 2].clamp(min=0)  # vertices lie close on the rims of the lids
    kinds = torch.stack([vertices_in(torch.from_numpy(region), *names) for names in (_EYES, _ABOUT_EYES)], 1)
    weight = area[..., None] * kinds.to(area)
    return tone.under(brighter_beside(tone.whites.places, shading, seen.xy_px[:, rows], weight[:, rows]))


@dataclass(frozen=True)
class _Picture:
    """A crop (1, 3, 224, 224), its `class_maps` and what is expected of its skin and light, if anything."""

    image: Tensor
    maps: Tensor
    tone: ToneExpectation | None
