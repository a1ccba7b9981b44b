"""What the refiner learns from, computed once: coarse faces and observed vertex colours of photographs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.face_model import FaceModel
from coarse.morphable import crop_camera, layout_of
from coarse.regressor import load_regressor
from coarse.skin_tone import SkinToneRegressor, load_skin_tone
from gcnface.data.caches import Cache, fingerprint, fingerprint_of_rows
from gcnface.data.faces import INSIDE, crop_of
from gcnface.photo.parsing import FaceParser, load_parser
from gcnface.stages.coarse import CoarseStage
from gcnface.stages.delight import photo_light
from gcnface.stages.eye_whites import eye_whites
from gcnface.stages.observation import class_maps, face_mask, observe_vertices
from refine.facenet import FaceNet, embed_crop224, load_facenet
from refine.pyramid import MeshPyramid

_log = logging.getLogger(__name__)

BRIGHTEST = 8.0
"""Largest linear colour that is kept: more comes from light that was divided out where there was hardly any."""

CODE_VERSION = 3
"""To be raised with every change of the code by which other numbers are observed."""

_BLOCK = 100
"""Pictures that an interruption costs at most."""


@dataclass(frozen=True)
class Observations:
    """Memory-mapped arrays, a row a picture.

    Attributes:
        raw: (N, R) float32 raw coefficients.
        skin_tone: (N, 3) float32 factor of the albedo.
        shading: (N, V, 3) float16 the picture's light at the vertices, linear, cast shadows and highlights in it.
        projected: (N, V, 3) float16 the picture's colours at the vertices, linear, that light divided out.
        confidence: (N, V) uint8, 255 where they may be believed in full.
        embedding: (N, 512) float32 of FaceNet, unit length.
        image: (N, 224, 224, 3) uint8 sRGB crop.
        mask: (N, 224, 224) uint8 probability of face classes.
    """

    raw: NDArray[np.float32]
    skin_tone: NDArray[np.float32]
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
        canvases: (M, 288, 288, 3) uint8 sRGB, mapped.
        rows: (N,) which of them.
    """

    canvases: NDArray[np.uint8]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def crop(self, index: int) -> Tensor:
        """(1, 3, 224, 224) sRGB: a picture's middle."""
        return crop_of(self.canvases[self.rows[index]])


def observe(pictures: Pictures, observer: Observer, folder: Path) -> Observations:
    """Look at every picture, once; later calls with the same pictures, networks and face model map the arrays.

    Args:
        pictures: what to look at.
        observer: how.
        folder: where to keep the arrays, in a folder of their own for each set of pictures and each observer; a run
            that was broken off goes on where it was.
    """
    cache = Cache(folder, "observations", _made_from(pictures, observer))
    layout = _layout(len(pictures), observer)
    arrays = _opened(cache.path, layout, "r") if cache.complete else None
    if arrays is None:
        _look(pictures, observer, cache.path, layout)
        cache.finish()
        arrays = _opened(cache.path, layout, "r")
    assert arrays is not None
    return Observations(**{field.name: arrays[field.name] for field in fields(Observations)})


def _made_from(pictures: Pictures, observer: Observer) -> dict[str, str | int]:
    """What decides what is observed."""
    stage = observer.stage
    return {
        "code": CODE_VERSION,
        "count": len(pictures),
        "pictures": fingerprint_of_rows(pictures.canvases[:, INSIDE, INSIDE], pictures.rows),
        "face_model": fingerprint(replace(stage.model, cage=None)),
        "regressor": fingerprint(stage.regressor),
        "fit": fingerprint(None if stage.fitter is None else stage.fitter.settings),
        "parser": fingerprint(observer.parser),
        "facenet": fingerprint(observer.facenet),
        "skin_tone": fingerprint(observer.skin_tone),
    }


_Layout = Mapping[str, tuple[tuple[int, ...], type]]
"""Shapes and kinds of number of the arrays by name."""


def _layout(count: int, observer: Observer) -> _Layout:
    """Of the arrays of `Observations`, and of `done`, which of the pictures have been observed."""
    vertices = len(observer.stage.model.mean)
    return {
        "raw": ((count, observer.stage.morphable.layout.total), np.float32),
        "skin_tone": ((count, 3), np.float32),
        "shading": ((count, vertices, 3), np.float16),
        "projected": ((count, vertices, 3), np.float16),
        "confidence": ((count, vertices), np.uint8),
        "embedding": ((count, 512), np.float32),
        "image": ((count, 224, 224, 3), np.uint8),
        "mask": ((count, 224, 224), np.uint8),
        "done": ((count,), np.bool_),
    }


def _opened(folder: Path, layout: _Layout, mode: Literal["r", "r+"]) -> dict[str, np.memmap] | None:
    """The arrays, mapped; None unless all are there as they should be."""
    try:  # for reading first: to be written, numpy would lengthen a file that is too short
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in layout}
    except (OSError, ValueError):
        return None
    if any((arrays[name].shape, arrays[name].dtype) != (shape, kind) for name, (shape, kind) in layout.items()):
        return None
    return arrays if mode == "r" else {name: np.load(folder / f"{name}.npy", mmap_mode=mode) for name in layout}


def _look(pictures: Pictures, observer: Observer, folder: Path, layout: _Layout) -> None:
    """Observe what is not done; what is marked as done has reached the disk before."""
    folder.mkdir(parents=True, exist_ok=True)
    others = sum(path != folder for path in folder.parent.glob("observations-*"))
    _log.info("observations of %d pictures are kept in %s, beside %d others", len(pictures), folder, others)
    arrays = _opened(folder, layout, "r+") or {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, shape)
        for name, (shape, kind) in layout.items()
    }
    for rows in np.array_split(np.arange(len(pictures)), range(_BLOCK, len(pictures), _BLOCK)):
        if arrays["done"][rows].all():
            continue
        for index in rows:
            _observe(index, pictures.crop(index), observer, arrays)
        for array in arrays.values():
            array.flush()
        arrays["done"][rows] = True
        _log.info("observed %d of %d pictures", rows[-1] + 1, len(pictures))


@torch.no_grad()
def _observe(index: int, image: Tensor, observer: Observer, arrays: Mapping[str, NDArray]) -> None:
    stage = observer.stage
    classes = observer.parser.parse(image)
    embedding = embed_crop224(observer.facenet, image)
    maps = class_maps(classes)
    tone = observer.skin_tone.expectation(embedding, eye_whites(image, classes))
    coarse = stage(image, classes, tone=tone, maps=maps)
    seen = observe_vertices(stage.model, coarse, image, maps, crop_camera())
    light = photo_light(coarse, seen, observer.pyramid, stage.model.mirror)
    arrays["raw"][index] = stage.morphable.layout.encode(coarse.coefficients)[0]
    arrays["skin_tone"][index] = coarse.coefficients.skin_tone[0]
    arrays["shading"][index] = light[0]
    arrays["projected"][index] = (seen.linear / light)[0].clamp(0, BRIGHTEST)
    arrays["confidence"][index] = (seen.confidence[0] * 255).round()
    arrays["embedding"][index] = embedding[0]
    arrays["image"][index] = (image[0].permute(1, 2, 0) * 255).round()
    arrays["mask"][index] = (face_mask(classes)[0] * 255).round().clamp(0, 255)
