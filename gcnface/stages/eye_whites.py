"""The whites of the eyes: the one thing in a face whose albedo is known, so they show the light.

What the parser calls eye is white, iris, lashes and the shadow of the lid. The white is the brightest of it, below the
few pixels that may be a lamp's reflection. Narrowed eyes show none, which is told by how few pixels there are and by
their being as red as skin. Eyes lie in sockets, where light is another than on cheeks and forehead: what is compared
with the white is the skin of the lids and right below the eye, which lie in the same shadow. Of a face lit from one
side the eye on that side tells: of the other, the white beside the nose looks towards the lamp, and the skin does not.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from coarse.skin_tone import EyeWhites
from gcnface.photo.parsing import PARSING_CLASSES
from gcnface.stages.outliers import step_up
from render.color import linear_from_srgb
from render.shapes import check_shape

BAND = (0.86, 0.95)
"""Share of an eye's pixels, by luminance, between which they are white."""
LEAST_PX = (100, 160)
"""Pixels of an eye, in the 224 px crop, from which its white begins to be believed, and at which it is in full."""
BESIDE_PX = (2, 8)
"""Distance to the eye, in the crop, between which skin is in its light."""
WHITER = (0.08, 0.25)
"""By how much less red than skin it must be, as a natural logarithm of red over green."""
CLIPPED, BEYOND = 0.97, 0.3
"""Linear colour from which a white is taken for clipped, and by how much it is then taken to have been brighter."""
_EYE, _SKIN = "eyes", ("skin", "nose")
_SURE, _DARKEST = 0.6, 3e-3
_LUMINANCE = (0.2126, 0.7152, 0.0722)


@torch.no_grad()
def eye_whites(image: Tensor, classes: Tensor) -> EyeWhites:
    """The whites of the eyes in crops, as bright as they would be in the light that the whole skin is in.

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
    middle = eye.shape[1] // 2
    columns = torch.arange(eye.shape[1], device=eye.device)
    sides = [eye & (columns < middle), eye & (columns >= middle)]
    seen = [(side, beside) for side in sides if side.sum() >= LEAST_PX[0] and (beside := _beside(side) & skin).any()]
    if not seen:
        return linear.new_zeros(3), linear.new_zeros(())
    log_skin = linear.clamp(min=_DARKEST).log()
    usual = log_skin[skin].mean(0)
    about = [(log_skin[beside].median(0).values, side) for side, beside in seen]
    near, side = max(about, key=lambda one: float(one[0].mean()))
    log = _white(linear[side])
    redness = (usual[0] - usual[1]) - (log[0] - log[1])
    trust = step_up(side.sum().to(linear), LEAST_PX) * step_up(redness, WHITER)
    return log + usual - near, trust


def _beside(eye: Tensor) -> Tensor:
    """(H, W) bool: what lies about an eye (H, W)."""
    inner, outer = (max_pool2d(eye[None, None].float(), 2 * px + 1, 1, px)[0, 0] > 0 for px in BESIDE_PX)
    return outer & ~inner


def _white(pixels: Tensor) -> Tensor:
    """(3,) logarithm of the white among an eye's pixels (N, 3)."""
    order = (pixels @ pixels.new_tensor(_LUMINANCE)).argsort()
    first, last = (round(share * len(order)) for share in BAND)
    color = pixels[order[first : max(last, first + 1)]].mean(0).clamp(min=_DARKEST)
    return color.log() + BEYOND * float(color.amax() > CLIPPED)
