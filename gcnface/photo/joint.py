"""YuNet finds and rights the faces, MTCNN's last network says where their points lie."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gcnface.photo.closer_look import cut_window, upright_window
from gcnface.photo.crop import warp_points
from gcnface.photo.detection import Detection
from gcnface.photo.mtcnn import MtcnnDetector, load_mtcnn
from gcnface.photo.yunet import YunetDetector
from render.devices import check_device

OUTPUT_PX = 48
"""Side of the square that MTCNN's output network sees."""
SQUARE_SHARE = 1.08
"""Side of that square by the root of the area of YuNet's box: with .95 of the box's height the network's points are as
good as behind MTCNN's own first networks."""
LEAST_SCORE, MOST_APART = 0.9, 0.07
"""Its points are taken where it sees a face, too, and they lie within this mean distance of YuNet's, by the root of
the area of the box: further off are profiles, of whose points YuNet knows more."""


class JointDetector:
    """YuNet's faces with the points of MTCNN's output network where both agree.

    YuNet finds faces of any roll in a fraction of MTCNN's time, but its points on upright faces are twice as far off.
    Of faces at the edge of the photo MTCNN is asked with a border around it.
    """

    def __init__(self, device: str = "cpu") -> None:
        check_device(device)
        self.device = device
        self._yunet, self._mtcnn = YunetDetector(), MtcnnDetector(device)

    def detect(self, photo: NDArray[np.float32], *, thorough: bool = False) -> list[Detection]:
        """As `gcnface.photo.yunet.YunetDetector.detect`."""
        faces = self._yunet.detect(photo, thorough=thorough)
        pointed = self._with_output_points(photo, faces) if faces else []
        return [self._mtcnn.with_border(photo, face) for face in pointed]

    def _with_output_points(self, photo: NDArray[np.float32], faces: list[Detection]) -> list[Detection]:
        windows = [_window_from_photo(face) for face in faces]
        squares = np.stack([cut_window(photo, window, OUTPUT_PX) for window in windows])
        batch = (torch.from_numpy(squares).permute(0, 3, 1, 2).to(self.device) - 127.5) / 128
        with torch.no_grad():
            _, points, scores = self._output_network(batch)
        xy = points.reshape(-1, 2, 5).permute(0, 2, 1).double().cpu().numpy() * OUTPUT_PX
        seen = scores[:, 1].cpu().numpy() >= LEAST_SCORE
        return [
            _agreed(face, warp_points(each, np.asarray(np.linalg.inv(window), np.float64))) if sure else face
            for face, each, window, sure in zip(faces, xy, windows, seen, strict=True)
        ]

    @cached_property
    def _output_network(self) -> nn.Module:
        return load_mtcnn(self.device).onet


def _window_from_photo(face: Detection) -> NDArray[np.float64]:
    center = ((face.box[:2] + face.box[2:]) / 2).astype(np.float64)
    return upright_window(center, face.roll_rad, OUTPUT_PX / (SQUARE_SHARE * face.area**0.5), OUTPUT_PX)


def _agreed(face: Detection, points5: NDArray[np.float32]) -> Detection:
    """The face with other points unless they lie far from its own."""
    apart = np.linalg.norm(points5 - face.points5, axis=1).mean()
    return replace(face, points5=points5) if apart <= MOST_APART * face.area**0.5 else face
