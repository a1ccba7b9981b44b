"""The 224 px face crop: a similarity from five detected points to a fixed template, drawn without aliasing."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.position_map import WINDOW_MARGIN_PX, WINDOW_PX
from gcnface.photo.detection import Detection
from gcnface.photo.similarity import (
    CROP_SIDE_PX,
    TEMPLATE_POINTS5_PX,
    similarity_from_points,
    similarity_scale,
    warp_points,
)

__all__ = [
    "CROP_SIDE_PX",
    "TEMPLATE_POINTS5_PX",
    "WINDOW_FROM_CROP",
    "FaceCrop",
    "align_face",
    "cut_window",
    "similarity_from_points",
    "similarity_scale",
    "warp_image",
    "warp_inside",
    "warp_labels",
    "warp_points",
]


WINDOW_FROM_CROP = np.array([[1, 0, WINDOW_MARGIN_PX], [0, 1, WINDOW_MARGIN_PX], [0, 0, 1.0]])
"""(3, 3) takes homogenous crop px to px of the window in which position maps are found."""


@dataclass(frozen=True)
class FaceCrop:
    """A face cut out of a photo.

    Attributes:
        image: (3, 224, 224) float32 sRGB in [0, 1]; outside the photo its border pixels repeat.
        inside: (224, 224) bool, false where the crop reaches beyond the photo.
        crop_from_photo: (3, 3) float64, takes homogenous photo px to crop px (a similarity).
        box: (4,) float32 x0, y0, x1, y1 in photo px.
        points5: (5, 2) float32 photo px, in the order of `TEMPLATE_POINTS5_PX`.
        score: the detector's confidence in [0, 1].
    """

    image: Tensor
    inside: Tensor
    crop_from_photo: NDArray[np.float64]
    box: NDArray[np.float32]
    points5: NDArray[np.float32]
    score: float

    @property
    def photo_from_crop(self) -> NDArray[np.float64]:
        """(3, 3) float64, takes homogenous crop px to photo px."""
        return _inverse(self.crop_from_photo)


def align_face(
    photo: NDArray[np.float32], detection: Detection, template5: NDArray[np.float64] = TEMPLATE_POINTS5_PX
) -> FaceCrop:
    """Cut the 224 px crop in which the detected points lie on the template as well as a similarity can do it.

    Args:
        photo: (H, W, 3) float32 sRGB in [0, 1].
        detection: a face found in that photo.
        template5: (5, 2) crop px.

    Raises:
        ValueError: the photo has another shape or the five points coincide.
    """
    crop_from_photo = similarity_from_points(detection.points5, template5)
    crop = warp_image(photo, crop_from_photo, (CROP_SIDE_PX, CROP_SIDE_PX))
    inside = warp_inside(photo.shape[:2], crop_from_photo, (CROP_SIDE_PX, CROP_SIDE_PX))
    return FaceCrop(
        image=torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1))),
        inside=torch.from_numpy(inside),
        crop_from_photo=crop_from_photo,
        box=detection.box,
        points5=detection.points5,
        score=detection.score,
    )


def cut_window(photo: NDArray[np.float32], window_from_photo: NDArray[np.float64]) -> Tensor:
    """(1, 3, 256, 256) float32 sRGB: the window in which position maps are found, see `WINDOW_FROM_CROP`."""
    window = warp_image(photo, window_from_photo, (WINDOW_PX, WINDOW_PX))
    return torch.from_numpy(np.ascontiguousarray(window.transpose(2, 0, 1)))[None]


def warp_image(
    image: NDArray[np.float32], dst_from_src: NDArray[np.float64], hw: tuple[int, int]
) -> NDArray[np.float32]:
    """Draw an image through a similarity, antialiased; its border pixels repeat outside it.

    What shrinks is first averaged over areas to at most twice the wanted resolution, then drawn bilinearly at exactly
    twice, then halved; what grows is drawn bicubically.

    Args:
        image: (H, W, 3) float32 in [0, 1].
        dst_from_src: (3, 3) takes homogenous px of the image to px of the result (pixel centres at .5).
        hw: height and width of the result.

    Returns:
        (h, w, 3) float32 in [0, 1].

    Raises:
        ValueError: the image has another shape.
    """
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"an image (H, W, 3) is expected, found shape {image.shape}")
    matrix = np.asarray(dst_from_src, np.float64)
    if similarity_scale(matrix) >= 1:
        return np.clip(_warp(image, matrix, hw, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE), 0, 1)
    part, part_from_image = _region_of_interest(image, matrix, hw)
    double = np.diag([2.0, 2.0, 1.0]) @ matrix @ np.linalg.inv(part_from_image)
    part, small_from_part = _area_reduced(part, similarity_scale(double))
    double_hw = (2 * hw[0], 2 * hw[1])
    drawn = _warp(part, double @ np.linalg.inv(small_from_part), double_hw, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
    return cv2.resize(drawn, (hw[1], hw[0]), interpolation=cv2.INTER_AREA).astype(np.float32, copy=False)


def warp_labels(
    labels: NDArray[np.uint8], dst_from_src: NDArray[np.float64], hw: tuple[int, int], outside: int = 0
) -> NDArray[np.uint8]:
    """Draw a label map (H, W) uint8 through a similarity, nearest pixel; `outside` is the label beyond its border."""
    return _warp(labels, np.asarray(dst_from_src, np.float64), hw, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT, outside)


def warp_inside(
    source_hw: tuple[int, ...], dst_from_src: NDArray[np.float64], hw: tuple[int, int]
) -> NDArray[np.bool_]:
    """(h, w) bool: whether each pixel centre of the result lies within a source image of height and width source_hw."""
    height, width = source_hw[:2]
    source = np.linalg.inv(np.asarray(dst_from_src, np.float64))
    ys, xs = np.mgrid[: hw[0], : hw[1]] + 0.5
    x = source[0, 0] * xs + source[0, 1] * ys + source[0, 2]
    y = source[1, 0] * xs + source[1, 1] * ys + source[1, 2]
    return (x >= 0) & (x < width) & (y >= 0) & (y < height)


def _warp(
    image: NDArray, matrix: NDArray[np.float64], hw: tuple[int, int], method: int, border: int, value: int = 0
) -> NDArray:
    """OpenCV's warp with pixel centres at .5 (OpenCV puts them at whole numbers)."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    centered = np.linalg.inv(half) @ matrix @ half
    return cv2.warpAffine(image, centered[:2], (hw[1], hw[0]), flags=method, borderMode=border, borderValue=value)


def _region_of_interest(
    image: NDArray[np.float32], dst_from_src: NDArray[np.float64], hw: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The part of the image that the result can show, and part_from_image (3, 3)."""
    corners = np.array([[0, 0], [hw[1], 0], [0, hw[0]], [hw[1], hw[0]]], np.float64)
    seen = warp_points(corners, _inverse(dst_from_src))
    margin = 2 + 2 / similarity_scale(dst_from_src)
    limit = np.array(image.shape[1::-1])
    low = np.clip(np.floor(seen.min(0) - margin), 0, limit - 1).astype(int)
    high = np.clip(np.ceil(seen.max(0) + margin), low + 1, limit).astype(int)
    shift = np.eye(3)
    shift[:2, 2] = -low
    return image[low[1] : high[1], low[0] : high[0]], shift


def _area_reduced(image: NDArray[np.float32], scale: float) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The image shrunk by area averaging when the scale is below 1, and small_from_image (3, 3)."""
    if scale >= 1:
        return image, np.eye(3)
    height, width = image.shape[:2]
    small_w, small_h = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image, (small_w, small_h), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32, copy=False), np.diag([small_w / width, small_h / height, 1.0])


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse, float64."""
    return np.asarray(np.linalg.inv(matrix), np.float64)
