"""How well a drawing fits its photo: L1, PSNR, SSIM, LPIPS, over the masked frame and inside the mask.

All pictures are sRGB in [0, 1] and the data range is 1. The two readings of one figure differ by many decibels, since
the black frame that both pictures share counts as perfect in the first; both are given so that rows can be compared
with tables that use either.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from gcnface.errors import GcnfaceError
from render.shapes import check_shape

SSIM_WINDOW_PX = 11
SSIM_SIGMA_PX = 1.5
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2
"""Wang et al. 2004: K1 = 0.01 and K2 = 0.03 of a data range of 1."""

_SMALLEST_ERROR = 1e-12


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


class Lpips:
    """Learned perceptual distance (Zhang et al. 2018) by the package `lpips`, on AlexNet.

    Raises:
        GcnfaceError: the package is not installed or has no weights.
    """

    def __init__(self) -> None:
        if find_spec("lpips") is None:
            raise GcnfaceError("LPIPS needs the package lpips; pip install lpips")
        import lpips

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._network = lpips.LPIPS(net="alex", spatial=True, verbose=False).eval()
        except Exception as error:
            raise GcnfaceError(f"LPIPS has no weights ({error}); AlexNet's must lie in torch's cache") from error

    @torch.no_grad()
    def __call__(self, a: NDArray, b: NDArray) -> NDArray[np.float32]:
        """(H, W) distance of two pictures (H, W, 3) in [0, 1] at every pixel."""
        x, y = (torch.from_numpy(np.ascontiguousarray(i.transpose(2, 0, 1), np.float32))[None] for i in (a, b))
        return self._network(x, y, normalize=True)[0, 0].numpy()


def compare(
    picture: NDArray[np.float32], photo: NDArray[np.float32], mask: NDArray[np.bool_], lpips: Lpips | None = None
) -> dict[str, float]:
    """All figures of a drawing against its photo.

    Both are blackened outside the mask first. "frame" figures are means over the whole frame, "face" figures over the
    mask's pixels alone.

    Args:
        picture: (H, W, 3) sRGB in [0, 1].
        photo: (H, W, 3).
        mask: (H, W) of what is drawn and is face.
        lpips: the network, or None.
    """
    size = check_shape("picture", picture, "H W C", C=3)
    check_shape("photo", photo, "H W C", **size)
    check_shape("mask", mask, "H W", H=size["H"], W=size["W"])
    drawn, true = picture * mask[..., None], photo * mask[..., None]
    everywhere = np.ones_like(mask)
    likeness = ssim_map(drawn, true)
    found = {
        "l1": l1(drawn, true, mask),
        "psnr_frame": psnr_db(drawn, true, everywhere),
        "psnr_face": psnr_db(drawn, true, mask),
        "ssim_frame": float(likeness.mean()),
        "ssim_face": _inside(likeness, mask),
    }
    if lpips is not None:
        distance = lpips(drawn, true)
        found |= {"lpips_frame": float(distance.mean()), "lpips_face": _inside(distance, mask)}
    return found


def _inside(values: NDArray, mask: NDArray[np.bool_]) -> float:
    return float(values[mask].mean()) if mask.any() else float("nan")
