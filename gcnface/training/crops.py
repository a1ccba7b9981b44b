"""Augmented crops with landmarks and skin masks, for the regressor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from coarse.face_model import load_face_model
from coarse.morphable import MorphableModel
from gcnface.alignment import CROP_SIDE_PX, warp_labels, warp_points
from gcnface.parsing import PARSING_CLASSES
from gcnface.training.faces import CANVAS_MARGIN_PX, PreparedFaces

_SKIN = [PARSING_CLASSES.index(name) for name in ("skin", "brows", "eyes", "nose", "lips")]


@cache
def mirror468() -> NDArray[np.int64]:
    """(468,) index of the landmark that each one becomes when the picture is flipped."""
    points = MorphableModel(load_face_model(), level=2).landmark_mean
    return torch.cdist(points * torch.tensor([-1.0, 1, 1]), points).argmin(1).numpy()


@dataclass(frozen=True)
class Crop:
    """One sample: image (3, 224, 224), landmarks (468, 2) px, skin (224, 224), whether it may be drawn over."""

    image: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    skin: NDArray[np.float32]
    drawable: bool


@dataclass(frozen=True)
class CropBatch:
    """A batch of `Crop`.

    Attributes:
        image: (B, 3, 224, 224) sRGB.
        landmarks: (B, 468, 2) crop px.
        skin: (B, 224, 224) in [0, 1].
        drawable: (B,) bool, colours are those of the photo, so that a render may be compared with them.
    """

    image: Tensor
    landmarks: Tensor
    skin: Tensor
    drawable: Tensor

    def to(self, *args: Any, **kwargs: Any) -> CropBatch:
        """The batch on another device, as `Tensor.to`; Lightning moves what has this method."""
        return CropBatch(*(getattr(self, name).to(*args, **kwargs) for name in CropBatch.__dataclass_fields__))

    @staticmethod
    def stack(crops: list[Crop]) -> CropBatch:
        """Collate samples."""
        image, landmarks, skin = (
            torch.from_numpy(np.stack([getattr(crop, name) for crop in crops]))
            for name in ("image", "landmarks", "skin")
        )
        return CropBatch(image, landmarks, skin, torch.tensor([crop.drawable for crop in crops]))


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes."""

    shift_px: float = 10.0
    scale: float = 0.1
    angle_rad: float = 0.2
    flip: float = 0.5
    colour: float = 0.25
    grey: float = 0.1
    blur: float = 0.2
    jpeg: float = 0.3
    occluder: float = 0.25


class CropDataset(Dataset[Crop]):
    """Crops of prepared faces.

    Args:
        faces: prepared faces.
        rows: (N,) bool, which of them.
        augment: change them at random.
        turned: folder of turned copies to add (see `gcnface.building.turned`).
        settings: ranges of the changes.
    """

    def __init__(
        self,
        faces: PreparedFaces,
        rows: NDArray[np.bool_],
        *,
        augment: bool,
        turned: Path | None = None,
        settings: Augmentation = Augmentation(),
    ) -> None:
        self.faces, self.rows, self.augment, self.settings = faces, np.nonzero(rows)[0], augment, settings
        self.turned: list[NDArray] = []
        if turned is not None:
            self.turned = [np.load(turned / f"{name}.npy", mmap_mode="r") for name in ("canvases", "landmarks")]

    def __len__(self) -> int:
        return len(self.rows) + (len(self.turned[0]) if self.turned else 0)

    def __getitem__(self, index: int) -> Crop:
        if index < len(self.rows):
            row = self.rows[index]
            canvas, points = self.faces.canvases[row], self.faces.landmarks[row, :, :2]
            skin = np.isin(self.faces.labels[row], _SKIN).astype(np.uint8)
        else:
            canvas, landmarks = (array[index - len(self.rows)] for array in self.turned)
            points = landmarks[:, :2]
            skin = np.zeros(canvas.shape[:2], np.uint8)
        if not self.augment:
            cut = slice(CANVAS_MARGIN_PX, -CANVAS_MARGIN_PX)
            image = canvas[cut, cut].astype(np.float32) / 255
            return self._crop(image, points - CANVAS_MARGIN_PX, skin[cut, cut], True)
        return self._augmented(canvas, points, skin)

    def _crop(self, image: NDArray, points: NDArray, skin: NDArray, drawable: bool) -> Crop:
        planes = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)
        return Crop(planes, points.astype(np.float32), skin.astype(np.float32), drawable and bool(skin.any()))

    def _augmented(self, canvas: NDArray[np.uint8], points: NDArray, skin: NDArray[np.uint8]) -> Crop:
        s, rng = self.settings, np.random.default_rng(int(torch.randint(1 << 31, ()).item()))
        matrix = _random_similarity(rng, s, canvas.shape[0])
        side = (CROP_SIDE_PX, CROP_SIDE_PX)
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        warp = (np.linalg.inv(half) @ matrix @ half)[:2]
        image = cv2.warpAffine(canvas, warp, side, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mask = warp_labels(skin, matrix, side)
        moved = warp_points(points, matrix)
        if rng.random() < s.flip:
            image, mask = image[:, ::-1], mask[:, ::-1]
            moved = (np.array([CROP_SIDE_PX, 0]) + np.array([-1, 1]) * moved)[mirror468()]
        if rng.random() < s.occluder:
            image, mask = self._occluded(image, mask, rng)
        colours, natural = _recoloured(np.ascontiguousarray(image), rng, s)
        return self._crop(colours, moved, mask, natural)

    def _occluded(self, image: NDArray, mask: NDArray, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
        """An ellipse of another photo over this one."""
        other = self.faces.canvases[self.rows[rng.integers(len(self.rows))]][:CROP_SIDE_PX, :CROP_SIDE_PX]
        shape = np.zeros(image.shape[:2], np.uint8)
        centre = rng.integers(20, CROP_SIDE_PX - 20, 2)
        axes = rng.integers(12, 50, 2)
        cv2.ellipse(shape, centre.tolist(), axes.tolist(), float(rng.uniform(0, 180)), 0, 360, 1, -1)
        covered = shape.astype(bool)
        return np.where(covered[..., None], other, image), np.where(covered, 0, mask)


def _random_similarity(rng: np.random.Generator, s: Augmentation, canvas_px: int) -> NDArray[np.float64]:
    angle, scale = rng.normal(0, s.angle_rad / 2), np.exp(rng.uniform(-s.scale, s.scale))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    centre = np.full(2, canvas_px / 2)
    matrix[:2, 2] = CROP_SIDE_PX / 2 + rng.uniform(-s.shift_px, s.shift_px, 2) - turn @ centre
    return matrix


def _recoloured(image: NDArray, rng: np.random.Generator, s: Augmentation) -> tuple[NDArray, bool]:
    """Colour, blur and compression changes; whether colours are still those of a photograph."""
    natural = True
    if rng.random() < s.blur:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 3.0)))
        natural = False
    if rng.random() < s.jpeg:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 80))]
        decoded = cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR)
        image = np.asarray(decoded)
    colours = image.astype(np.float32) / 255
    if rng.random() < s.grey:
        colours = np.repeat(colours.mean(2, keepdims=True), 3, axis=2)
        natural = False
    gain = np.exp(rng.normal(0, s.colour / 2) + rng.normal(0, s.colour / 5, 3)).astype(np.float32)
    gamma = float(np.exp(rng.normal(0, s.colour / 2)))
    return np.clip(colours**gamma * gain, 0, 1), natural
