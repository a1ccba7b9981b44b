"""The whites of the eyes: the one thing in a face whose albedo is known, so they show the light.

What the parser calls eye is white, iris, lashes and the shadow of the lid. The white is the brightest of it, below the
few pixels that may be a lamp's reflection. Narrowed eyes show none, which is told by how few pixels there are and by
their being as red as skin.
"""

from __future__ import annotations

import torch
from torch import Tensor

from coarse.skin_tone import EyeWhites
from gcnface.photo.parsing import PARSING_CLASSES
from gcnface.stages.outliers import step_up
from render.color import linear_from_srgb
from render.shapes import check_shape

BAND = (0.86, 0.95)
"""Share of an eye's pixels, by luminance, between which they are white."""
LEAST_PX = (100, 160)
"""Pixels of an eye, in the 224 px crop, from which its white begins to be believed, and at which it is in full."""
WHITER = (0.08, 0.25)
"""By how much less red than skin it must be, as a natural logarithm of red over green."""
CLIPPED, BEYOND = 0.97, 0.3
"""Linear colour from which a white is taken for clipped, and by how much it is then taken to have been brighter."""
_EYE, _SKIN = "eyes", ("skin", "nose")
_SURE, _DARKEST = 0.6, 3e-3
_LUMINANCE = (0.2126, 0.7152, 0.0722)


@torch.no_grad()
def eye_whites(image: Tensor, classes: Tensor) -> EyeWhites:
    """The whites of the eyes in crops.

    Args:
        image: (B, 3, 224, 224) sRGB in [0, 1].
        classes: (B, 10, 224, 224) of the parser.
    """
    batch = check_shape("image", image, "B 3 H W")
    check_shape("classes", classes, "B 10 H W", B=batch["B"], H=batch["H"], W=batch["W"])
    linear = linear_from_srgb(image).permute(0, 2, 3, 1)
    found = [_of_one(colors, labels) for colors, labels in zip(linear, classes, strict=True)]
    return EyeWhites(torch.stack([log for log, _ in found]), torch.stack([trust for _, trust in found]))


def _of_one(linear: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """(3,) logarithm and trust of one crop (H, W, 3) and its classes (10, H, W)."""
    eye = classes[PARSING_CLASSES.index(_EYE)] > _SURE
    skin = classes[[PARSING_CLASSES.index(name) for name in _SKIN]].sum(0) > _SURE
    middle = linear.shape[1] // 2
    sides = [colors[inside] for colors, inside in zip(linear.split(middle, 1), eye.split(middle, 1), strict=True)]
    seen = [pixels for pixels in sides if len(pixels) >= LEAST_PX[0]]
    if not seen or not skin.any():
        return linear.new_zeros(3), linear.new_zeros(())
    log = torch.stack([_white(pixels) for pixels in seen]).mean(0)
    usual = linear[skin].median(0).values.clamp(min=_DARKEST).log()
    count = linear.new_tensor(sum(len(pixels) for pixels in seen) / len(seen))
    redness = (usual[0] - usual[1]) - (log[0] - log[1])
    return log, step_up(count, LEAST_PX) * step_up(redness, WHITER)


def _white(pixels: Tensor) -> Tensor:
    """(3,) logarithm of the white among an eye's pixels (N, 3)."""
    order = (pixels @ pixels.new_tensor(_LUMINANCE)).argsort()
    first, last = (round(share * len(order)) for share in BAND)
    color = pixels[order[first : max(last, first + 1)]].mean(0).clamp(min=_DARKEST)
    return color.log() + BEYOND * float(color.amax() > CLIPPED)
