"""Prepared faces with landmarks, for coarse stage and refinement: the parser's cache and what it ignores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gcnface.alignment import CROP_SIDE_PX, TEMPLATE_POINTS5_PX, similarity_from_points, warp_points
from gcnface.parsing import PARSING_CLASSES
from gcnface.training.parser_data import STORED_SIDE_PX, prepare_samples

CANVAS_PX = STORED_SIDE_PX
CANVAS_MARGIN_PX = (STORED_SIDE_PX - CROP_SIDE_PX) // 2
_INSIDE = slice(CANVAS_MARGIN_PX, CANVAS_MARGIN_PX + CROP_SIDE_PX)


@dataclass(frozen=True)
class PreparedFaces:
    """Aligned faces in memory-mapped arrays.

    Attributes:
        canvases: (N, 288, 288, 3) uint8 sRGB: the 224 px crop with 32 px more on every side.
        labels: (N, 288, 288) uint8 index of `PARSING_CLASSES`, or `gcnface.training.parser_data.UNKNOWN`.
        landmarks: (N, 468, 3) float32, canvas px.
        names: (N,) file names.
        drawn: (N,) bool, whether the face is a drawn one.
        validation: (N,) bool, whether its person is held out.
    """

    canvases: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    names: NDArray[np.str_]
    drawn: NDArray[np.bool_]
    validation: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.names)

    def crop(self, row: int) -> Tensor:
        """(1, 3, 224, 224) float32 sRGB: the aligned crop."""
        image = self.canvases[row, _INSIDE, _INSIDE].transpose(2, 0, 1)
        return torch.from_numpy(image[None].astype(np.float32) / 255)

    def parsing(self, row: int) -> Tensor:
        """(1, 10, 224, 224) float32: the label map as certain probabilities; all zero where unknown."""
        labels = self.labels[row, _INSIDE, _INSIDE]
        one_hot = labels[..., None] == np.arange(len(PARSING_CLASSES))
        return torch.from_numpy(one_hot.astype(np.float32)).permute(2, 0, 1)[None]

    def crop_landmarks(self) -> Tensor:
        """(N, 468, 2) float32 in crop px."""
        return torch.from_numpy(self.landmarks[..., :2] - np.float32(CANVAS_MARGIN_PX))


def prepare_faces(folder: Path, cache: Path) -> PreparedFaces:
    """Cut the faces of an annotated folder once, see `prepare_samples`; their landmarks are read anew, which is quick.

    Args:
        folder: the annotated folder.
        cache: folder for the arrays, about 1.3 GB for 4,000 faces.

    Raises:
        FileNotFoundError: the folder is not laid out as `gcnface.training.parser_data` says.
    """
    samples = prepare_samples(folder, cache)
    found: dict[tuple[bool, str], NDArray[np.float32]] = {}
    for drawn, table in ((False, "photos"), (True, "synthetic")):
        data = np.load(folder / f"{table}_landmarks.npz")
        for name, points5, points in zip(data["name"], data["points5"], data["landmarks468"], strict=True):
            canvas_from_photo = similarity_from_points(points5, TEMPLATE_POINTS5_PX + CANVAS_MARGIN_PX)
            found[drawn, str(name)] = warp_points(points, canvas_from_photo)
    keys = zip(samples.drawn.tolist(), samples.names.tolist(), strict=True)
    landmarks = np.stack([found[key] for key in keys])
    return PreparedFaces(samples.images, samples.labels, landmarks, samples.names, samples.drawn, samples.validation)
