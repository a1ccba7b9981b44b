"""The methods of the coarse stage side by side: one face in, everyone's points out, all in px of its canvas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.timing import milliseconds
from coarse.face_model import FaceModel, load_face_model
from coarse.fitting import render_crop
from coarse.morphable import FOCAL_PX, MorphableModel, crop_camera, layout_of
from coarse.photo_fitting import PhotoFitting
from coarse.position_map import WINDOW_PX, PositionMapLayout
from coarse.position_network import load_position_map_network
from coarse.records import CoarseFace
from coarse.regressor import load_regressor
from coarse.spatial_transformer.localizer import load_localizer
from coarse.spatial_transformer.theta import theta_layout_of
from coarse.spatial_transformer.transformer import SpatialTransformer
from gcnface.data.faces import CANVAS_MARGIN_PX, CANVAS_PX
from gcnface.evaluation.metrics import psnr_db
from gcnface.photo.parsing import load_parser
from gcnface.stages.coarse import CoarseStage
from gcnface.stages.observation import face_mask

METHODS = ("regressor", "position map", "fit without dense points", "fit with dense points", "spatial transformer")
FITS = METHODS[2:4]
_WINDOW = slice((CANVAS_PX - WINDOW_PX) // 2, (CANVAS_PX + WINDOW_PX) // 2)
_CROP = slice(CANVAS_MARGIN_PX, CANVAS_PX - CANVAS_MARGIN_PX)


@dataclass(frozen=True)
class Answer:
    """What one method says of a face.

    Attributes:
        landmarks: (468, 2) canvas px.
        dense: (Nc, 3) places of the chart's vertices, canvas px, z of the same scale; None where it has none.
        psnr_db: of its rendering inside the face; NaN where it renders none.
    """

    landmarks: NDArray[np.float32]
    dense: NDArray[np.float32] | None = None
    psnr_db: float = float("nan")


class Methods:
    """All networks, loaded once."""

    def __init__(self) -> None:
        self.model: FaceModel = load_face_model()
        self.parser = load_parser()
        self.network = load_position_map_network(PositionMapLayout(self.model))
        self.layout = self.network.layout
        regressor = load_regressor(layout_of(self.model))
        self.stages = {
            "regressor": CoarseStage(self.model, regressor, None),
            FITS[0]: CoarseStage(self.model, regressor, PhotoFitting()),
            FITS[1]: CoarseStage(self.model, regressor, PhotoFitting(), position_map=self.network),
        }
        self.regressor = regressor
        self.morphable: MorphableModel = self.stages["regressor"].morphable
        self.theta_layout = theta_layout_of(self.model)
        self.localizer = load_localizer(self.theta_layout)
        self.transformer = SpatialTransformer(self.model)

    def __call__(self, canvas: NDArray[np.uint8], methods: tuple[str, ...] = METHODS) -> dict[str, Answer]:
        """Every method's answer for a canvas (288, 288, 3) uint8."""
        crop, window = _cut(canvas)
        with torch.no_grad():
            classes = self.parser.parse(crop)
        found: dict[str, Answer] = {}
        for name in methods:
            if name == "position map":
                found[name] = self._position_map(window)
            elif name == "spatial transformer":
                found[name] = self._transformer(crop)
            else:
                face = self.stages[name](crop, classes, window=window if name == FITS[1] else None)
                found[name] = self._answer(face, crop, classes)
        return found

    @torch.no_grad()
    def _position_map(self, window: Tensor) -> Answer:
        maps = self.network(window)
        shift = maps.new_tensor([_WINDOW.start, _WINDOW.start, 0.0])
        landmarks = self.layout.landmarks468(maps)[0] + shift
        return Answer(landmarks[:, :2].numpy(), (self.layout.vertices(maps)[0] + shift).numpy())

    @torch.no_grad()
    def _transformer(self, crop: Tensor) -> Answer:
        theta = self.theta_layout.decode(self.localizer(crop))
        return Answer((self.transformer.landmarks(theta)[0, :, :2] + CANVAS_MARGIN_PX).numpy())

    @torch.no_grad()
    def _answer(self, face: CoarseFace, crop: Tensor, classes: Tensor) -> Answer:
        landmarks = crop_camera().project(self.morphable.landmarks_cam(face.coefficients))[0, :, :2]
        picture, drawn = render_crop(self.morphable, face, crop.permute(0, 2, 3, 1))
        inside = drawn[0] & (face_mask(classes)[0] > 0.5)
        psnr = psnr_db(picture[0].numpy(), crop[0].permute(1, 2, 0).numpy(), inside.numpy())
        return Answer((landmarks + CANVAS_MARGIN_PX).numpy(), self._dense(face).numpy(), psnr)

    def _dense(self, face: CoarseFace) -> Tensor:
        """(Nc, 3) the chart's vertices, canvas px; z as position maps have it."""
        screen = crop_camera().project(face.verts_cam)[0, self.layout.vertex_index]
        origin_mm = face.coefficients.translation[0, 2]
        depth = (screen[:, 2] - origin_mm) * FOCAL_PX / origin_mm
        return torch.cat([screen[:, :2] + CANVAS_MARGIN_PX, depth[:, None]], dim=1)

    def seconds(self, canvas: NDArray[np.uint8], repeats: int = 15) -> dict[str, float]:
        """Median seconds of the bare networks on one face, warm."""
        crop, window = _cut(canvas)
        calls = {
            "regressor": lambda: self.regressor(crop),
            "position map": lambda: self.network(window),
            "spatial transformer": lambda: self.localizer(crop),
        }
        with torch.no_grad():
            times = milliseconds(list(calls.values()), repeats)
        return {name: median / 1e3 for name, (median, _) in zip(calls, times, strict=True)}


def _cut(canvas: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """(1, 3, 224, 224) crop and (1, 3, 256, 256) window of position maps, sRGB, of a canvas."""
    image = torch.from_numpy(canvas.astype(np.float32) / 255).permute(2, 0, 1)[None]
    return image[:, :, _CROP, _CROP].contiguous(), image[:, :, _WINDOW, _WINDOW].contiguous()


def dense_percent(found: NDArray[np.float32], true: NDArray[np.float32]) -> tuple[float, float]:
    """Mean distance in 2D and in 3D over the root of the area of the true points' box (x, y), percent.

    In 3D the mean depths are made equal first: a weak-perspective answer has none of its own.
    """
    side = np.sqrt(np.prod(np.ptp(true[:, :2], axis=0)))
    away = found - true
    flat = np.linalg.norm(away[:, :2], axis=1).mean()
    away = away - [0, 0, away[:, 2].mean()]
    return float(100 * flat / side), float(100 * np.linalg.norm(away, axis=1).mean() / side)
