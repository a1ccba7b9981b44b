"""Augmented crops with landmarks, skin masks and, for rendered heads, depths and identities, for the regressor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from coarse.face_model import identity_mirror_sign, load_face_model
from coarse.morphable import MorphableModel
from gcnface.data.faces import CANVAS_PX, PreparedFaces, load_prepared
from gcnface.data.heads import HeadRenders, load_heads
from gcnface.photo.crop import CROP_SIDE_PX, warp_points
from gcnface.photo.parsing import PARSING_CLASSES
from gcnface.training.augment import (
    Augmentation,
    draw_window,
    middle_window,
    noise_texture,
    occluded,
    random_window,
    recolored,
    sample_rng,
)
from gcnface.training.loading import DataSettings, TensorBatch, TrainingData

__all__ = ["Augmentation", "Crop", "CropBatch", "CropData", "CropDataset", "CropSettings", "mirror468"]

_SKIN = [PARSING_CLASSES.index(name) for name in ("skin", "brows", "eyes", "nose", "lips")]


_PUBLISHED = Augmentation()


@cache
def mirror468() -> NDArray[np.int64]:
    """(468,) index of the landmark that each one becomes when the picture is flipped."""
    points = MorphableModel(load_face_model(), level=2).landmark_mean
    return torch.cdist(points * torch.tensor([-1.0, 1, 1]), points).argmin(1).numpy()


@cache
def _identity_sign() -> NDArray[np.float32]:
    return identity_mirror_sign(load_face_model()).astype(np.float32)


@dataclass(frozen=True)
class Crop:
    """One sample; fields as in `CropBatch`."""

    image: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    skin: NDArray[np.float32]
    drawable: bool
    depth: NDArray[np.float32]
    identity: NDArray[np.float32]
    known: bool


@dataclass(frozen=True)
class CropBatch(TensorBatch):
    """A batch of `Crop`.

    Attributes:
        image: (B, 3, 224, 224) sRGB.
        landmarks: (B, 468, 2) crop px.
        skin: (B, 224, 224) in [0, 1].
        drawable: (B,) bool, colours are those of the photo, so that a render may be compared with them.
        depth: (B, 468) z of the landmarks, crop px, away from the camera, 0 at the model's origin; 0 where not known.
        identity: (B, Ni) true coefficients; 0 where not known.
        known: (B,) bool, a rendered head whose geometry is true.
    """

    image: Tensor
    landmarks: Tensor
    skin: Tensor
    drawable: Tensor
    depth: Tensor
    identity: Tensor
    known: Tensor


class CropDataset(Dataset[Crop]):
    """Crops of prepared faces and, after them, of rendered heads.

    Args:
        faces: prepared faces.
        rows: (N,) bool, which of them.
        augment: change them at random.
        heads: rendered heads to add, those of training people; None adds none.
        settings: ranges of the changes.
    """

    stack = staticmethod(CropBatch.stack)

    def __init__(
        self,
        faces: PreparedFaces,
        rows: NDArray[np.bool_],
        *,
        augment: bool,
        heads: HeadRenders | None = None,
        settings: Augmentation = _PUBLISHED,
    ) -> None:
        self.faces, self.rows, self.augment, self.settings = faces, np.nonzero(rows)[0], augment, settings
        self.heads = heads
        self.head_rows = np.nonzero(~heads.validation)[0] if heads is not None else np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self.rows) + len(self.head_rows)

    def __getitem__(self, index: int) -> Crop:
        if index < len(self.rows):
            row = self.rows[index]
            skin = np.isin(self.faces.labels[row], _SKIN).astype(np.uint8)
            points = self.faces.landmarks[row] * np.array([1, 1, 0], np.float32)
            return self._crop(self.faces.canvases[row], points, skin, None)
        assert self.heads is not None
        row = self.head_rows[index - len(self.rows)]
        skin = np.zeros((CANVAS_PX, CANVAS_PX), np.uint8)
        return self._crop(self.heads.canvases[row], self.heads.landmarks[row], skin, self.heads.identity[row])

    def _crop(
        self, canvas: NDArray[np.uint8], points: NDArray, skin: NDArray[np.uint8], identity: NDArray[Any] | None
    ) -> Crop:
        known, natural = identity is not None, True
        of_whom = identity if identity is not None else np.zeros_like(_identity_sign())
        rng = sample_rng() if self.augment else None
        window = random_window(rng, self.settings, CANVAS_PX, CROP_SIDE_PX) if rng else _MIDDLE
        image, mask = draw_window(canvas, window, CROP_SIDE_PX), draw_window(skin, window, CROP_SIDE_PX, nearest=True)
        determinant = float(np.linalg.det(window[:2, :2]))
        moved = np.column_stack([warp_points(points[:, :2], window), points[:, 2] * abs(determinant) ** 0.5])
        if determinant < 0:
            moved, of_whom = moved[mirror468()], of_whom * _identity_sign()
        if rng and rng.random() < self.settings.occluder:
            image, covered = occluded(image, self._texture(rng), rng)
            mask = np.where(covered, 0, mask)
        if rng:
            colors, natural = recolored(image, rng, self.settings)
        else:
            colors = np.asarray(image / 255, np.float32)
        landmarks = moved.astype(np.float32)
        return Crop(
            image=np.ascontiguousarray(colors.transpose(2, 0, 1), np.float32),
            landmarks=landmarks[:, :2],
            skin=mask.astype(np.float32),
            drawable=natural and bool(mask.any()),
            depth=landmarks[:, 2],
            identity=of_whom.astype(np.float32),
            known=known,
        )

    def _texture(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        if rng.random() < 0.3:
            return noise_texture(rng, CROP_SIDE_PX)
        return self.faces.canvases[self.rows[rng.integers(len(self.rows))]][:CROP_SIDE_PX, :CROP_SIDE_PX]


_MIDDLE = middle_window(CANVAS_PX, CROP_SIDE_PX)


@dataclass(frozen=True, kw_only=True)
class CropSettings(DataSettings):
    """What data modules of crops take."""

    heads: Path | None = None
    """Folder of rendered heads (`python -m gcnface.building.rendered_heads`); None trains on the photographs alone."""


class CropData(TrainingData):
    """Augmented crops of all but held-out people, and unchanged ones of held-out people's photographs."""

    settings: CropSettings
    prepared: PreparedFaces

    def datasets(self) -> tuple[Dataset[Any], CropDataset]:
        """Crops to learn from and to check with."""
        self.prepared = faces = load_prepared(self.settings.faces)
        heads = load_heads(self.settings.heads) if self.settings.heads is not None else None
        learn = CropDataset(faces, ~faces.validation, augment=True, heads=heads)
        return learn, CropDataset(faces, faces.validation & ~faces.drawn, augment=False)
