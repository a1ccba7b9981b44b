"""Augmented windows with the geometry behind them, for the position map network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from coarse.coefficients import Coefficients
from coarse.face_model import FaceModel
from coarse.fitting import LandmarkFitting, fit_landmarks
from coarse.morphable import MorphableModel
from coarse.position_map import WINDOW_PX, window_camera
from gcnface.data.caches import Cache, fingerprint
from gcnface.data.faces import CANVAS_PX, PreparedFaces
from gcnface.data.heads import KNOWN, HeadRenders
from gcnface.training.augment import (
    WILD_ANY_ROLL,
    WILD_WINDOWS,
    Augmentation,
    augmented_view,
    middle_window,
    sample_rng,
)
from gcnface.training.disturbances import CUT
from gcnface.training.loading import TensorBatch

CODE_VERSION = 1
"""To be raised with every change of the code by which faces are fitted otherwise."""


@dataclass(frozen=True)
class KnownFaces:
    """Canvases with the coefficients and cameras behind them.

    Attributes:
        canvases: (N, 288, 288, 3) uint8, memory-mapped.
        identity: (N, Ni) float32.
        expression: (N, Ne) float32.
        rotation: (N, 3) float32.
        translation: (N, 3) float32.
        px_from_cam: (N, 3, 3) float32 of the canvas.
        landmarks: (N, 468, 2) float32 canvas px, by which things are worn.
        rows: (M,) int64 which of the canvases are used; the other arrays have these rows only.
    """

    canvases: NDArray[np.uint8]
    identity: NDArray[np.float32]
    expression: NDArray[np.float32]
    rotation: NDArray[np.float32]
    translation: NDArray[np.float32]
    px_from_cam: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


def known_heads(heads: HeadRenders, rows: NDArray[np.int64]) -> KnownFaces:
    """Rendered heads, whose coefficients are true."""
    arrays = {name: getattr(heads, name)[rows] for name in KNOWN}
    cameras = heads.cameras(rows).px_from_cam.numpy()
    points = heads.landmarks[rows, :, :2]
    return KnownFaces(canvases=heads.canvases, px_from_cam=cameras, landmarks=points, rows=rows, **arrays)


def fitted_faces(model: FaceModel, faces: PreparedFaces, rows: NDArray[np.int64], folder: Path) -> KnownFaces:
    """Photographs, whose coefficients are fitted to their landmarks once.

    Args:
        model: the face model.
        faces: prepared faces.
        rows: which of them.
        folder: where fits are kept; later calls with the same landmarks and face model find them.
    """
    points, fitting = faces.crop_landmarks()[rows], LandmarkFitting(steps=200)

    def fits() -> dict[str, NDArray]:
        network = MorphableModel(model)
        found = [fit_landmarks(network, part, fitting) for part in points.split(512)]
        return {name: torch.cat([getattr(fit, name) for fit in found]).numpy() for name in KNOWN}

    made_from: dict[str, str | int] = {
        "code": CODE_VERSION,
        "landmarks": fingerprint(points),
        "fitting": fingerprint(fitting),
        "face_model": fingerprint(replace(model, cage=None)),
    }
    arrays = Cache(folder, "fits", made_from).arrays(fits)
    canvas_from_window = torch.from_numpy(middle_window(WINDOW_PX, CANVAS_PX)).float()
    camera = window_camera().transformed(canvas_from_window, (CANVAS_PX, CANVAS_PX)).px_from_cam.numpy()
    cameras = np.repeat(camera, len(rows), axis=0)
    places = np.asarray(faces.landmarks[rows, :, :2])
    return KnownFaces(canvases=faces.canvases, px_from_cam=cameras, landmarks=places, rows=rows, **arrays)


@dataclass(frozen=True)
class WindowBatch(TensorBatch):
    """A batch of windows, or one without B.

    Attributes:
        image: (B, 3, 256, 256) sRGB.
        identity: (B, Ni).
        expression: (B, Ne).
        rotation: (B, 3) rad.
        translation: (B, 3) mm.
        px_from_cam: (B, 3, 3) of the window; of negative determinant where the photograph is mirrored.
        face: (B,) bool, whether it shows one; without it the geometry has no meaning.
    """

    image: Tensor
    identity: Tensor
    expression: Tensor
    rotation: Tensor
    translation: Tensor
    px_from_cam: Tensor
    face: Tensor

    @property
    def mirrored(self) -> Tensor:
        """(B,) bool."""
        return self.px_from_cam[:, :2, :2].det() < 0

    def coefficients(self, model: MorphableModel) -> Coefficients:
        """Shape and pose, with neutral colours."""
        neutral = model.layout.decode(torch.zeros(len(self.image), model.layout.total, device=self.image.device))
        return replace(neutral, **{name: getattr(self, name) for name in KNOWN})


PUBLISHED_AUGMENTATION = Augmentation(shift_px=12.0, scale=0.2, angle_rad=0.8, occluder=0.35, clouds=0.5)
"""Rotation up to 45 degrees, scale 0.8 to 1.2 and occluders, as PRNet."""

EVEN_WINDOWS = replace(PUBLISHED_AUGMENTATION, disturbances=CUT)

AUGMENTATIONS = {
    "published": (PUBLISHED_AUGMENTATION,),
    "wild": (WILD_WINDOWS,),
    "mixed": (EVEN_WINDOWS, WILD_WINDOWS),
    "wild_any_roll": (WILD_ANY_ROLL,),
}
"""Of windows, by name."""


class WindowDataset(Dataset[WindowBatch]):
    """Windows of canvases whose geometry is known.

    Args:
        known: canvases and geometry.
        augment: change them at random.
        kinds: ranges of the changes.
        order: (M,) which of them there are, any of them several times; None is each once.
    """

    def __init__(
        self,
        known: KnownFaces,
        *,
        augment: bool,
        kinds: Sequence[Augmentation] = (PUBLISHED_AUGMENTATION,),
        order: NDArray[np.int64] | None = None,
    ) -> None:
        self.known, self.augment, self.kinds = known, augment, kinds
        self.order = np.arange(len(known)) if order is None else order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, place: int) -> WindowBatch:
        known, rng, index = self.known, sample_rng() if self.augment else None, self.order[place]
        canvas = known.canvases[known.rows[index]]
        occluders = (known.canvases, known.rows)
        view = augmented_view(canvas, WINDOW_PX, self.kinds, rng, occluders, known.landmarks[index])
        camera = (view.matrix @ known.px_from_cam[index]).astype(np.float32)
        arrays = (view.image, *(getattr(known, name)[index] for name in KNOWN), camera)
        tensors = [*map(torch.from_numpy, arrays), torch.tensor(True)]
        return WindowBatch(*tensors)
