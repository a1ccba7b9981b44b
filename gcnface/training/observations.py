"""What the refiner learns from, computed once: coarse faces and observed vertex colours of photographs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.face_model import FaceModel
from coarse.morphable import crop_camera, layout_of
from coarse.regressor import load_regressor
from coarse.skin_tone import SkinToneRegressor, load_skin_tone
from gcnface.coarse_stage import CoarseStage
from gcnface.delight import photo_light
from gcnface.observation import face_mask, observe_vertices
from gcnface.parsing import FaceParser, load_parser
from gcnface.training.faces import CANVAS_MARGIN_PX, PreparedFaces
from gcnface.training.heads import HeadRenders
from refine.facenet import FaceNet, embed_crop224, load_facenet
from refine.pyramid import MeshPyramid

_log = logging.getLogger(__name__)

BRIGHTEST = 8.0
"""Largest linear colour that is kept: more comes from light that was divided out where there was hardly any."""

_INSIDE = slice(CANVAS_MARGIN_PX, -CANVAS_MARGIN_PX)


@dataclass(frozen=True)
class Observations:
    """Memory-mapped arrays, a row a picture.

    Attributes:
        raw: (N, R) float32 raw coefficients.
        shading: (N, V, 3) float16 the picture's light at the vertices, linear, cast shadows and highlights in it.
        projected: (N, V, 3) float16 the picture's colours at the vertices, linear, that light divided out.
        confidence: (N, V) uint8, 255 where they may be believed in full.
        embedding: (N, 512) float32 of FaceNet, unit length.
        image: (N, 224, 224, 3) uint8 sRGB crop.
        mask: (N, 224, 224) uint8 probability of face classes.
    """

    raw: NDArray[np.float32]
    shading: NDArray[np.float16]
    projected: NDArray[np.float16]
    confidence: NDArray[np.uint8]
    embedding: NDArray[np.float32]
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.raw)


@dataclass(frozen=True)
class Observer:
    """What looks at a picture: the networks, and the pyramid that light is smoothed on."""

    stage: CoarseStage
    parser: FaceParser
    facenet: FaceNet
    skin_tone: SkinToneRegressor
    pyramid: MeshPyramid


def load_observer(model: FaceModel) -> Observer:
    """An observer with the shipped networks; the coarse stage goes without its fit, which takes most of the time."""
    stage = CoarseStage(model, load_regressor(layout_of(model)), None)
    return Observer(stage, load_parser(), load_facenet(), load_skin_tone(), MeshPyramid(model.levels))


@dataclass(frozen=True)
class Pictures:
    """Aligned pictures to look at.

    Attributes:
        count: how many.
        crop: takes an index to its picture, (1, 3, 224, 224) sRGB.
    """

    count: int
    crop: Callable[[int], Tensor]


def photographs(faces: PreparedFaces, rows: NDArray[np.int64]) -> Pictures:
    """Some prepared faces."""
    return Pictures(len(rows), lambda index: faces.crop(rows[index]))


def turned_copies(heads: HeadRenders, views: NDArray[np.int64]) -> Pictures:
    """Some rendered heads."""

    def crop(index: int) -> Tensor:
        image = heads.canvases[views[index], _INSIDE, _INSIDE].transpose(2, 0, 1)
        return torch.from_numpy(image[None].astype(np.float32) / 255)

    return Pictures(len(views), crop)


def observe(pictures: Pictures, observer: Observer, cache: Path) -> Observations:
    """Look at every picture, once; later calls map the arrays.

    Args:
        pictures: what to look at; the cache does not know which they were.
        observer: how.
        cache: folder of the arrays; a run that was broken off starts them anew.
    """
    names = [field.name for field in fields(Observations)]
    if not (cache / "complete").exists():
        cache.mkdir(parents=True, exist_ok=True)
        stage = observer.stage
        count, vertices = pictures.count, len(stage.model.mean)
        shapes: dict[str, tuple[tuple[int, ...], type]] = {
            "raw": ((count, stage.morphable.layout.total), np.float32),
            "shading": ((count, vertices, 3), np.float16),
            "projected": ((count, vertices, 3), np.float16),
            "confidence": ((count, vertices), np.uint8),
            "embedding": ((count, 512), np.float32),
            "image": ((count, 224, 224, 3), np.uint8),
            "mask": ((count, 224, 224), np.uint8),
        }
        arrays = {n: np.lib.format.open_memmap(cache / f"{n}.npy", "w+", k, s) for n, (s, k) in shapes.items()}
        for index in range(count):
            _observe(index, pictures.crop(index), observer, arrays)
            if index % 200 == 199:
                _log.info("observed %d of %d pictures", index + 1, count)
        for array in arrays.values():
            array.flush()
        (cache / "complete").touch()
    return Observations(**{name: np.load(cache / f"{name}.npy", mmap_mode="r") for name in names})


@torch.no_grad()
def _observe(index: int, image: Tensor, observer: Observer, arrays: Mapping[str, NDArray]) -> None:
    stage = observer.stage
    classes = observer.parser.parse(image)
    embedding = embed_crop224(observer.facenet, image)
    coarse = stage(image, classes, tone=observer.skin_tone(embedding))
    seen = observe_vertices(stage.model, coarse, image, classes, crop_camera())
    light = photo_light(coarse, seen, observer.pyramid, stage.model.mirror)
    arrays["raw"][index] = stage.morphable.layout.encode(coarse.coefficients)[0]
    arrays["shading"][index] = light[0]
    arrays["projected"][index] = (seen.linear / light)[0].clamp(0, BRIGHTEST)
    arrays["confidence"][index] = (seen.confidence[0] * 255).round()
    arrays["embedding"][index] = embedding[0]
    arrays["image"][index] = (image[0].permute(1, 2, 0) * 255).round()
    arrays["mask"][index] = (face_mask(classes)[0] * 255).round().clamp(0, 255)
