"""What the networks say of one window of a frame: where the points are, the expression, the person's shape."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.confidence import load_confidence
from coarse.face_model import FaceModel
from coarse.morphable import layout_of
from coarse.position_map import WINDOW_MARGIN_PX, WINDOW_PX, PositionMapLayout
from coarse.position_network import load_position_map_network
from coarse.regressor import load_regressor
from gcnface.photo.crop import CROP_SIDE_PX, cut_square, part_around, similarity_scale, warp_points
from refine.facenet import embed_crop224, load_facenet
from render.devices import resolve_device

Floats = NDArray[np.float64]

_CORNERS = np.array([[0.0, 0.0], [WINDOW_PX, 0.0], [0.0, WINDOW_PX], [WINDOW_PX, WINDOW_PX]])
_CROP = slice(WINDOW_MARGIN_PX, WINDOW_MARGIN_PX + CROP_SIDE_PX)


@dataclass(frozen=True)
class Look:
    """What one window shows.

    Attributes:
        points: (P, 3) px of the frame, 468 and 68 (`coarse.held_identity`); z away from the camera, 0 at the origin.
        expression: (Ne,) blendshapes that the regressor sees.
        identity: (Ni,) coefficients that it sees.
        confidence: (Ni,) how far each of them may be believed.
        unit_px: px of the frame that are one px of the crop.
        face_logit: logarithm of the odds that the window shows a face.
        expected_error_percent: of the points, by the network's own account, of the face's size.
    """

    points: Floats
    expression: Floats
    identity: Floats
    confidence: Floats
    unit_px: float
    face_logit: float
    expected_error_percent: float


class FaceReader:
    """Holds the networks that look at every frame; two of them work at once.

    Args:
        model: the shipped face model.
        device: "cpu", "cuda", "mps".
    """

    def __init__(self, model: FaceModel, device: str = "cpu") -> None:
        self.device = resolve_device(device)
        self.layout = PositionMapLayout(model)
        self.network = load_position_map_network(self.layout).to(self.device)
        self.regressor = load_regressor(layout_of(model)).to(self.device)
        self.confidence = load_confidence(self.regressor).to(self.device)
        _lay_out(self.network, self.regressor)
        self._helper = ThreadPoolExecutor(1, "gcnface-track", initializer=torch.set_num_threads, initargs=(1,))
        self._facenet: torch.nn.Module | None = None

    @torch.no_grad()
    def look(self, pixels: NDArray[np.uint8], window_from_frame: Floats) -> Look:
        """Look at a window (256 px) of a frame (H, W, 3) uint8 sRGB."""
        window = cut_window(pixels, window_from_frame, WINDOW_PX).to(self.device)
        seen = self._helper.submit(self._regress, window[:, :, _CROP, _CROP])
        answer = self.network.answer(_last(window))
        points = torch.cat([self.layout.landmarks468(answer.maps), self.layout.landmarks68(answer.maps)], 1)
        frame_from_window = np.asarray(np.linalg.inv(window_from_frame), np.float64)
        return Look(
            points=warp_points(points[0].cpu().numpy(), frame_from_window).astype(np.float64),
            **seen.result(),
            unit_px=similarity_scale(frame_from_window),
            face_logit=float(answer.face_logit[0]),
            expected_error_percent=float(answer.expected_error_percent[0]),
        )

    @torch.no_grad()
    def embed(self, pixels: NDArray[np.uint8], window_from_frame: Floats) -> Floats:
        """(512,) FaceNet's embedding of the crop in a window, unit length."""
        if self._facenet is None:
            self._facenet = load_facenet().to(self.device)
        window = cut_window(pixels, window_from_frame, WINDOW_PX).to(self.device)
        return embed_crop224(self._facenet, window[:, :, _CROP, _CROP])[0].double().cpu().numpy()

    @torch.no_grad()
    def _regress(self, crop: Tensor) -> dict[str, Floats]:
        features = self.regressor.features(_last(crop))
        found = self.regressor.layout.decode(self.regressor.coefficients(features))
        trust = self.confidence(features).identity
        values = {"expression": found.expression, "identity": found.identity, "confidence": trust}
        return {name: value[0].double().cpu().numpy() for name, value in values.items()}


def cut_window(pixels: NDArray[np.uint8], square_from_frame: Floats, side_px: int) -> Tensor:
    """(1, 3, S, S) float32 sRGB in [0, 1] of a frame (H, W, 3) uint8, of which only the part around is touched."""
    corners = _CORNERS * (side_px / WINDOW_PX)
    scale = similarity_scale(square_from_frame)
    frame_from_square = np.asarray(np.linalg.inv(square_from_frame), np.float64)
    part, low = part_around(pixels, warp_points(corners, frame_from_square), 2 + 2 / scale)
    square_from_part = square_from_frame @ np.array([[1, 0, low[0]], [0, 1, low[1]], [0, 0, 1.0]])
    return cut_square(part.astype(np.float32) * np.float32(1 / 255), square_from_part, side_px)


def _lay_out(*networks: torch.nn.Module) -> None:
    """Weights laid out channels last, in which convolutions on the CPU take two thirds of the time."""
    for network in networks:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)
