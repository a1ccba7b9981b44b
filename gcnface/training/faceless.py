"""Windows that show no face: pieces of other pictures, of what lies beside faces, and faces cut up and mixed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from coarse.morphable import MorphableModel
from coarse.position_map import WINDOW_PX, window_camera
from gcnface.errors import FileError
from gcnface.io.images import read_photo
from gcnface.training.augment import Augmentation, noise_texture, recolored, sample_rng
from gcnface.training.windows import KnownFaces, WindowBatch

_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
_LARGEST_PX = 640
_TILES = 4
_SMALLEST_PIECE = 0.3


class FacelessWindows(Dataset[WindowBatch]):
    """Windows without a face, made anew each time.

    Args:
        folder: pictures without faces, with its subfolders.
        count: how many windows there are.
        model: gives the neutral pose that stands for none.
        known: faces, whose surroundings and pieces are used as well.
        settings: changes of color.

    Raises:
        FileError: the folder holds no pictures.
    """

    def __init__(
        self, folder: Path, count: int, model: MorphableModel, known: KnownFaces, settings: Augmentation
    ) -> None:
        self.files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _ENDINGS)
        if not self.files:
            raise FileError(folder, "holds no pictures", "name a folder of pictures that show no face")
        self.count, self.known, self.settings = count, known, settings
        neutral = model.layout.decode(torch.zeros(1, model.layout.total))
        self.nowhere = (neutral.identity[0], neutral.expression[0], neutral.rotation[0], neutral.translation[0])
        self.camera = window_camera().px_from_cam[0]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> WindowBatch:
        rng = sample_rng()
        kind = rng.random()
        if kind < 0.7:
            picture = self._piece(self.files[rng.integers(len(self.files))], rng)
        elif kind < 0.8:
            picture = self._beside(rng)
        elif kind < 0.95:
            picture = self._mixed(rng)
        else:
            picture = noise_texture(rng, WINDOW_PX)
        if rng.random() < 0.5:
            picture = picture[:, ::-1]
        colors = recolored(np.ascontiguousarray(picture), rng, self.settings)[0]
        image = torch.from_numpy(np.ascontiguousarray(colors.transpose(2, 0, 1)))
        return WindowBatch(image, *self.nowhere, self.camera, face=torch.tensor(False))

    def _piece(self, file: Path, rng: np.random.Generator) -> NDArray[np.uint8]:
        picture = (read_photo(file) * 255).astype(np.uint8)
        height, width = picture.shape[:2]
        side = max(8, int(min(height, width) * rng.uniform(_SMALLEST_PIECE, 1.0)))
        top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
        piece = picture[top : top + side, left : left + side]
        piece = np.rot90(piece, int(rng.integers(4))) if rng.random() < 0.3 else piece
        return np.asarray(cv2.resize(np.ascontiguousarray(piece), (WINDOW_PX, WINDOW_PX), interpolation=cv2.INTER_AREA))

    def _canvas(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        return np.asarray(self.known.canvases[self.known.rows[rng.integers(len(self.known))]])

    def _beside(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """An upper corner of a canvas, enlarged."""
        side = int(rng.integers(50, 90))
        canvas = self._canvas(rng)
        corner = canvas[:side, :side] if rng.random() < 0.5 else canvas[:side, -side:]
        return np.asarray(cv2.resize(corner, (WINDOW_PX, WINDOW_PX), interpolation=cv2.INTER_LINEAR))

    def _mixed(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """A face in sixteen pieces, in another order."""
        side = WINDOW_PX // _TILES
        margin = (self.known.canvases.shape[1] - WINDOW_PX) // 2
        middle = self._canvas(rng)[margin : margin + WINDOW_PX, margin : margin + WINDOW_PX]
        tiles = middle.reshape(_TILES, side, _TILES, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
        mixed = tiles[rng.permutation(len(tiles))]
        return mixed.reshape(_TILES, _TILES, side, side, 3).swapaxes(1, 2).reshape(WINDOW_PX, WINDOW_PX, 3)
