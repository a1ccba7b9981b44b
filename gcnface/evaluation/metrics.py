"""How well a drawing fits its photo: L1, PSNR, SSIM, LPIPS, over the masked frame and inside the mask.

All pictures are sRGB in [0, 1] and the data range is 1. The two readings of one metric differ by many decibels, since
the black frame that both pictures share counts as perfect in the first; both are given so that rows can be compared
with tables that use either.

A metric of pictures is a function from a drawing, its photo and a mask to values by view: "face" inside the mask,
"frame" over all pixels. The registry's row names the function that makes it (`PictureMetric`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from gcnface.errors import MissingPackageError
from gcnface.evaluation.records import Metric
from render.shapes import check_shape

SSIM_WINDOW_PX = 11
SSIM_SIGMA_PX = 1.5
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2
"""Wang et al. 2004: K1 = 0.01 and K2 = 0.03 of a data range of 1."""

_SMALLEST_ERROR = 1e-12

PictureMetric = Callable[[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]], Mapping[str, float]]
"""Drawing (H, W, 3), photo (H, W, 3), both black outside the mask (H, W): values by view."""


def l1(picture: NDArray, photo: NDArray, mask: NDArray[np.bool_]) -> float:
    """Sum |d| / (3 sum mask): the mean difference of a channel inside the mask; NaN without a mask."""
    return float(np.abs(picture - photo)[mask].mean()) if mask.any() else float("nan")


def psnr_db(picture: NDArray, photo: NDArray, mask: NDArray[np.bool_]) -> float:
    """Peak signal-to-noise ratio inside a mask, data range 1; NaN without a mask."""
    if not mask.any():
        return float("nan")
    squared = ((picture - photo)[mask].astype(np.float64) ** 2).mean()
    return float(-10 * np.log10(squared + _SMALLEST_ERROR))


def ssim_map(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """Structural similarity (Wang et al. 2004) at every pixel, mean of the channels.

    Args:
        a: (H, W, C) in [0, 1].
        b: (H, W, C).

    Returns:
        (H, W); a Gaussian window of 11 px and sigma 1.5 px, reflected at the border.
    """
    check_shape("b", b, "H W C", **check_shape("a", a, "H W C"))
    x, y = a.astype(np.float64), b.astype(np.float64)

    def smooth(image: NDArray) -> NDArray:
        size = (SSIM_WINDOW_PX, SSIM_WINDOW_PX)
        return cv2.GaussianBlur(image, size, SSIM_SIGMA_PX, borderType=cv2.BORDER_REFLECT)

    mean_x, mean_y = smooth(x), smooth(y)
    var_x, var_y = smooth(x * x) - mean_x**2, smooth(y * y) - mean_y**2
    both = smooth(x * y) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + _SSIM_C1) * (2 * both + _SSIM_C2)
    return (likeness / ((mean_x**2 + mean_y**2 + _SSIM_C1) * (var_x + var_y + _SSIM_C2))).mean(2)


def l1_metric() -> PictureMetric:
    """L1 inside the mask: over the frame it would be the same, scaled."""
    return lambda drawn, true, mask: {"face": l1(drawn, true, mask)}


def psnr_metric() -> PictureMetric:
    """PSNR inside the mask and over the frame."""
    return lambda drawn, true, mask: {
        "face": psnr_db(drawn, true, mask),
        "frame": psnr_db(drawn, true, np.ones_like(mask)),
    }


def ssim_metric() -> PictureMetric:
    """SSIM inside the mask and over the frame."""
    return lambda drawn, true, mask: _both_views(ssim_map(drawn, true), mask)


def lpips_metric() -> PictureMetric:
    """Learned perceptual distance (Zhang et al. 2018) by the package `lpips`, on AlexNet.

    Raises:
        MissingPackageError: the package is not installed or has no weights.
    """
    if find_spec("lpips") is None:
        raise MissingPackageError("LPIPS needs the package lpips; pip install lpips")
    import lpips

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = lpips.LPIPS(net="alex", spatial=True, verbose=False).eval()
    except Exception as error:
        raise MissingPackageError(f"LPIPS has no weights ({error}); AlexNet's must lie in torch's cache") from error

    @torch.no_grad()
    def distance(drawn: NDArray[np.float32], true: NDArray[np.float32], mask: NDArray[np.bool_]) -> dict[str, float]:
        pictures = (np.ascontiguousarray(i.transpose(2, 0, 1), np.float32) for i in (drawn, true))
        x, y = (torch.from_numpy(picture)[None] for picture in pictures)
        return _both_views(network(x, y, normalize=True)[0, 0].numpy(), mask)

    return distance


def compare(
    picture: NDArray[np.float32],
    photo: NDArray[np.float32],
    mask: NDArray[np.bool_],
    metrics: Mapping[str, PictureMetric],
) -> dict[Metric, float]:
    """All metrics of a drawing against its photo; both are blackened outside the mask first.

    Args:
        picture: (H, W, 3) sRGB in [0, 1].
        photo: (H, W, 3).
        mask: (H, W) of what is drawn and is face.
        metrics: by name.
    """
    size = check_shape("picture", picture, "H W C", C=3)
    check_shape("photo", photo, "H W C", **size)
    check_shape("mask", mask, "H W", H=size["H"], W=size["W"])
    drawn, true = picture * mask[..., None], photo * mask[..., None]
    return {
        Metric(name, view): value
        for name, metric in metrics.items()
        for view, value in metric(drawn, true, mask).items()
    }


def _both_views(values: NDArray, mask: NDArray[np.bool_]) -> dict[str, float]:
    """Means of a map (H, W) inside the mask and over the frame; NaN inside an empty mask."""
    inside = float(values[mask].mean()) if mask.any() else float("nan")
    return {"face": inside, "frame": float(values.mean())}
