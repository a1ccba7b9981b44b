"""Augmented crops with landmarks, skin masks and, for rendered heads, depths and identities, for the regressor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

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
    AUGMENTATIONS,
    PUBLISHED,
    Augmentation,
    augmented_view,
    draw_window,
    sample_rng,
    taken,
)
from gcnface.training.configuration import check_least
from gcnface.training.loading import DataSettings, TensorBatch, TrainingData

__all__ = ["Augmentation", "CropBatch", "CropData", "CropDataset", "CropSettings", "mirror468"]

_SKIN = [PARSING_CLASSES.index(name) for name in ("skin", "brows", "eyes", "nose", "lips")]


@cache
def mirror468() -> NDArray[np.int64]:
    """(468,) index of the landmark that each one becomes when the picture is flipped."""
    points = MorphableModel(load_face_model(), level=2).landmark_mean
    return torch.cdist(points * torch.tensor([-1.0, 1, 1]), points).argmin(1).numpy()


@cache
def _identity_sign() -> NDArray[np.float32]:
    return identity_mirror_sign(load_face_model()).astype(np.float32)


@dataclass(frozen=True)
class CropBatch(TensorBatch):
    """A batch of crops, or one without B.

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


class CropDataset(Dataset[CropBatch]):
    """Crops of prepared faces and, after them, of rendered heads.

    Args:
        faces: prepared faces.
        rows: (N,) bool, which of them.
        augment: change them at random.
        heads: rendered heads to add, those of training people; None adds none.
        kinds: ranges of the changes.
        photographs: how often each one that is not drawn is there.
    """

    stack = staticmethod(CropBatch.stack)

    def __init__(
        self,
        faces: PreparedFaces,
        rows: NDArray[np.bool_],
        *,
        augment: bool,
        heads: HeadRenders | None = None,
        kinds: Sequence[Augmentation] = (PUBLISHED,),
        photographs: int = 1,
    ) -> None:
        self.faces, self.augment, self.kinds = faces, augment, kinds
        chosen = np.nonzero(rows)[0]
        self.rows = chosen[taken(~faces.drawn[chosen], photographs)]
        self.heads = heads
        self.head_rows = np.nonzero(~heads.validation)[0] if heads is not None else np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self.rows) + len(self.head_rows)

    def __getitem__(self, index: int) -> CropBatch:
        known = index >= len(self.rows)
        if known:
            assert self.heads is not None
            row = self.head_rows[index - len(self.rows)]
            canvas, points, identity = self.heads.canvases[row], self.heads.landmarks[row], self.heads.identity[row]
            skin = np.zeros((CANVAS_PX, CANVAS_PX), np.uint8)
        else:
            row = self.rows[index]
            canvas, identity = self.faces.canvases[row], np.zeros_like(_identity_sign())
            points = self.faces.landmarks[row] * np.array([1, 1, 0], np.float32)
            skin = np.isin(self.faces.labels[row], _SKIN).astype(np.uint8)
        rng = sample_rng() if self.augment else None
        view = augmented_view(canvas, CROP_SIDE_PX, self.kinds, rng, (self.faces.canvases, self.rows), points)
        mask = np.where(view.covered, 0, draw_window(skin, view.matrix, CROP_SIDE_PX, nearest=True))
        determinant = float(np.linalg.det(view.matrix[:2, :2]))
        moved = np.column_stack([warp_points(points[:, :2], view.matrix), points[:, 2] * abs(determinant) ** 0.5])
        if determinant < 0:
            moved, identity = moved[mirror468()], identity * _identity_sign()
        landmarks = torch.from_numpy(moved.astype(np.float32))
        return CropBatch(
            image=torch.from_numpy(view.image),
            landmarks=landmarks[:, :2],
            skin=torch.from_numpy(mask.astype(np.float32)),
            drawable=torch.tensor(view.natural and bool(mask.any())),
            depth=landmarks[:, 2],
            identity=torch.from_numpy(identity.astype(np.float32)),
            known=torch.tensor(known),
        )


@dataclass(frozen=True, kw_only=True)
class CropSettings(DataSettings):
    """What data modules of crops take."""

    heads: Path | None = None
    """Folder of rendered heads (`python -m gcnface.building.rendered_heads`); None trains on the photographs alone."""
    augmentation: Literal["published", "wild", "mixed"] = "published"
    """Random changes: those of Deng et al., or "wild": any roll, things worn and held, hard light, the dark; "mixed":
    either, with equal odds."""
    photographs: int = 1
    """How often an epoch takes each photograph that is not drawn."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, photographs=1)


class CropData(TrainingData):
    """Augmented crops of all but held-out people, and unchanged ones of held-out people's photographs."""

    settings: CropSettings
    prepared: PreparedFaces

    def datasets(self) -> tuple[Dataset[Any], CropDataset]:
        """Crops to learn from and to check with."""
        self.prepared = faces = load_prepared(self.settings.faces)
        heads = load_heads(self.settings.heads) if self.settings.heads is not None else None
        kinds, often = AUGMENTATIONS[self.settings.augmentation], self.settings.photographs
        learn = CropDataset(faces, ~faces.validation, augment=True, heads=heads, kinds=kinds, photographs=often)
        return learn, CropDataset(faces, faces.validation & ~faces.drawn, augment=False)
