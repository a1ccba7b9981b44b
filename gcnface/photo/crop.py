"""The 224 px face crop: a similarity from five detected points to a fixed template, drawn without aliasing.

Geometry of Deng et al. 2019 (Accurate 3D Face Reconstruction with Weakly-Supervised Learning): a camera of focal length
1015 px about 1 m from the face looks at a 224 px crop, so that one millimetre is about one pixel.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.position_map import WINDOW_MARGIN_PX
from gcnface.photo.detection import Detection

CROP_SIDE_PX = 224

TEMPLATE_POINTS5_PX: NDArray[np.float64] = np.array(
    [[80.0, 90.0], [144.0, 90.0], [112.0, 128.2], [82.0, 153.4], [142.0, 153.4]]
)
"""(5, 2) crop px: image-left eye, image-right eye, nose tip, image-left mouth corner, image-right mouth corner.

The eyes: 63 mm between the pupils (the mean of adults), seen by a 1015 px camera from 1 m, are 1015 * 0.063 = 64 px,
set symmetrically about the middle column. The rest is what MTCNN finds on faces that look into the camera, as the
median over about 2,400 of them, in units of the eye distance: nose tip 0.597 below the eye line, mouth corners 0.99
below it and 0.47 to either side (59 mm: half of the people smile). The eye line is at 90 px because a face of that
scale reaches from 0.84 eye distances above it (top of a 468-point face mesh, 36 px) to 1.8 below it (chin, 205 px), the
hairline being some 15 px higher than the mesh: about 20 px of margin are left above and below.
"""

WINDOW_FROM_CROP = np.array([[1, 0, WINDOW_MARGIN_PX], [0, 1, WINDOW_MARGIN_PX], [0, 0, 1.0]])
"""(3, 3) takes homogenous crop px to px of the window in which position maps are found."""


@dataclass(frozen=True)
class FaceCrop:
    """A face cut out of a photo.

    Attributes:
        image: (3, 224, 224) float32 sRGB in [0, 1]; outside the photo its border pixels repeat.
        inside: (224, 224) bool, false where the crop reaches beyond the photo.
        crop_from_photo: (3, 3) float64, takes homogenous photo px to crop px (a similarity).
        box: (4,) float32 x0, y0, x1, y1 in photo px, as the detector found it.
        points5: (5, 2) float32 photo px, in the order of `TEMPLATE_POINTS5_PX`, as the detector found them; a crop that
            was aligned by dense points does not put them on the template.
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


def align_face(photo: NDArray[np.float32], detection: Detection) -> FaceCrop:
    """Cut the 224 px crop in which the detected points lie on the template as well as a similarity can do it.

    Args:
        photo: (H, W, 3) float32 sRGB in [0, 1].
        detection: a face found in that photo.

    Raises:
        ValueError: the photo has another shape or the five points coincide.
    """
    return crop_at(photo, detection, similarity_from_points(detection.points5, TEMPLATE_POINTS5_PX))


def crop_at(photo: NDArray[np.float32], detection: Detection, crop_from_photo: NDArray[np.float64]) -> FaceCrop:
    """Cut the crop of a detected face where a similarity (3, 3) puts it; arguments else as for `align_face`."""
    return FaceCrop(
        image=cut_square(photo, crop_from_photo, CROP_SIDE_PX)[0],
        inside=torch.from_numpy(warp_inside(photo.shape[:2], crop_from_photo, (CROP_SIDE_PX, CROP_SIDE_PX))),
        crop_from_photo=crop_from_photo,
        box=detection.box,
        points5=detection.points5,
        score=detection.score,
    )


def cut_square(photo: NDArray[np.float32], square_from_photo: NDArray[np.float64], side_px: int) -> Tensor:
    """(1, 3, S, S) float32 sRGB: `warp_image` into a square, as networks take it."""
    square = warp_image(photo, square_from_photo, (side_px, side_px))
    return torch.from_numpy(np.ascontiguousarray(square.transpose(2, 0, 1)))[None]


def similarity_from_points(source: NDArray, target: NDArray) -> NDArray[np.float64]:
    """The similarity (rotation, one scale, translation; no mirror) with the least squared error from source to target.

    Umeyama 1991, "Least-squares estimation of transformation parameters between two point patterns", in 2D.

    Args:
        source: (N, 2) points, N >= 2.
        target: (N, 2) points.

    Returns:
        (3, 3) float64 target_from_source.

    Raises:
        ValueError: shapes differ or all source points coincide.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2:
        raise ValueError(f"two sets of points (N, 2) are expected, found {source.shape} and {target.shape}")
    source_mean, target_mean = source.mean(0), target.mean(0)
    z, w = (source - source_mean) @ (1, 1j), (target - target_mean) @ (1, 1j)
    spread = float(np.sum(np.abs(z) ** 2))
    if spread < 1e-12:
        raise ValueError("all points of the face coincide; a face with distinct points is needed")
    a = np.sum(z.conj() * w) / spread
    matrix = np.eye(3)
    matrix[:2, :2] = [[a.real, -a.imag], [a.imag, a.real]]
    matrix[:2, 2] = target_mean - matrix[:2, :2] @ source_mean
    return matrix


def head_similarity(points5: NDArray, rotation: NDArray) -> NDArray[np.float64]:
    """The similarity that sets a head of known pose upright on the template: its crown up, its features at their size.

    The features are turned in depth until they look into the camera, and those lie on the template as well as a
    similarity can do it. For a face that looks into the camera this is `similarity_from_points`; where it does not,
    points that fall together in the picture neither shrink nor turn the crop.

    Args:
        points5: (5, 3) of a photo: x right, y down, z away from the camera in the same px.
        rotation: (3, 3) proper, from model axes (x to the viewer's right, y up, z out of the face) to these.

    Returns:
        (3, 3) float64 crop_from_photo.

    Raises:
        ValueError: shapes differ from these or all points coincide.
    """
    points, turn = np.asarray(points5, np.float64), np.asarray(rotation, np.float64)
    if points.shape != (5, 3) or turn.shape != (3, 3):
        raise ValueError(f"points (5, 3) and a rotation (3, 3) are expected, found {points.shape} and {turn.shape}")
    middle = points.mean(0)
    right, up, _ = ((points - middle) @ turn).T
    crown = turn[:2, 1] / max(float(np.hypot(*turn[:2, 1])), 1e-9)
    across = np.array([-crown[1], crown[0]])
    frontal = right[:, None] * across + up[:, None] * crown
    return similarity_from_points(middle[:2] + frontal, TEMPLATE_POINTS5_PX)


def similarity_scale(dst_from_src: NDArray) -> float:
    """Destination px for one source px."""
    return float(np.sqrt(abs(np.linalg.det(np.asarray(dst_from_src, np.float64)[:2, :2]))))


def warp_points(points: NDArray, dst_from_src: NDArray[np.float64]) -> NDArray[np.float32]:
    """Take points (N, 2) or (N, 3) through a similarity; a third coordinate, in px as well, is scaled with it."""
    matrix = np.asarray(dst_from_src, np.float64)
    xy = points[..., :2] @ matrix[:2, :2].T + matrix[:2, 2]
    rest = points[..., 2:] * similarity_scale(matrix)
    return np.concatenate([xy, rest], -1).astype(np.float32)


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
    corners = np.array([[0, 0], [hw[1], 0], [0, hw[0]], [hw[1], hw[0]]], np.float64)
    part, low = part_around(image, warp_points(corners, _inverse(matrix)), 2 + 2 / similarity_scale(matrix))
    double = np.diag([2.0, 2.0, 1.0]) @ matrix @ np.array([[1, 0, low[0]], [0, 1, low[1]], [0, 0, 1.0]])
    small = shrunk(part, similarity_scale(double))
    small_from_part = np.diag([small.shape[1] / part.shape[1], small.shape[0] / part.shape[0], 1.0])
    double_hw = (2 * hw[0], 2 * hw[1])
    drawn = _warp(small, double @ np.linalg.inv(small_from_part), double_hw, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
    return cv2.resize(drawn, (hw[1], hw[0]), interpolation=cv2.INTER_AREA).astype(np.float32, copy=False)


def part_around(image: NDArray, points: NDArray, margin_px: float) -> tuple[NDArray, NDArray[np.int64]]:
    """The part of an image (H, W, C) that shows points (..., 2) and what lies around them, and its corner (x, y)."""
    xy, limit = points.reshape(-1, 2), np.array(image.shape[1::-1])
    low = np.clip(np.floor(xy.min(0) - margin_px), 0, limit - 1).astype(int)
    high = np.clip(np.ceil(xy.max(0) + margin_px), low + 1, limit).astype(int)
    return image[low[1] : high[1], low[0] : high[0]], low


def shrunk(image: NDArray, scale: float) -> NDArray:
    """The image averaged over areas to a scale below 1; as it is otherwise."""
    if scale >= 1:
        return image
    height, width = image.shape[:2]
    wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, wh, interpolation=cv2.INTER_AREA).astype(image.dtype, copy=False)


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


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse, float64."""
    return np.asarray(np.linalg.inv(matrix), np.float64)
