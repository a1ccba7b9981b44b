"""The whites of the eyes: the one thing in a face whose albedo is known, so they show the light.

What the parser calls eye is white, iris, lashes and the shadow of the lid. The white is the brightest of it, below the
few pixels that may be a lamp's reflection. Narrowed eyes show none, which is told by how few pixels there are and by
their being as red as skin. Eyes lie in sockets, where light is another than on cheeks and forehead: what is compared
with the white is the skin of the lids and right below the eye, which lie in the same shadow. Of a face lit from one
side the eye on that side tells: of the other, the white beside the nose looks towards the lamp, and the skin does not.
Where that skin and the eye look different ways, the light that is found on both says what it makes (`brighter_beside`).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from coarse.skin_tone import EyeWhites
from gcnface.photo.parsing import PARSING_CLASSES
from gcnface.stages.outliers import step_up
from render.color import linear_from_srgb
from render.sampling import sample_image
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
_REACH_PX, _LEAST_SEEN, _MOST_BESIDE = 9, 0.2, 0.6
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
    return EyeWhites(*(torch.stack(parts) for parts in zip(*found, strict=True)))


def brighter_beside(places: Tensor, shading: Tensor, xy_px: Tensor, weight: Tensor) -> Tensor:
    """(B, 3) logarithm of the light beside the eyes over that on them, 0 where no vertex lies in one of these places.

    Args:
        places: (B, 2, H, W) of `EyeWhites`.
        shading: (B, V, 3) of vertices, above 0.
        xy_px: (B, V, 2) where they lie in the crop.
        weight: (B, V, 2) of the vertices, of eyes and of skin.
    """
    there = sample_image(places.to(shading), xy_px) * weight
    count = there.sum(1)
    eye, beside = (torch.einsum("bvk,bvc->bkc", there, shading.log()) / count.clamp(min=1e-6)[..., None]).unbind(1)
    known = (count > _LEAST_SEEN).all(1, keepdim=True)
    return torch.where(known, (beside - eye).clamp(-_MOST_BESIDE, _MOST_BESIDE), 0.0)


def _of_one(linear: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(3,) logarithm, trust and (2, H, W) places of one crop (H, W, 3) and its classes (10, H, W)."""
    eye = classes[PARSING_CLASSES.index(_EYE)] > _SURE
    skin = classes[[PARSING_CLASSES.index(name) for name in _SKIN]].sum(0) > _SURE
    middle = eye.shape[1] // 2
    columns = torch.arange(eye.shape[1], device=eye.device)
    sides = [eye & (columns < middle), eye & (columns >= middle)]
    seen = [(side, beside) for side in sides if side.sum() >= LEAST_PX[0] and (beside := _beside(side) & skin).any()]
    if not seen:
        return linear.new_zeros(3), linear.new_zeros(()), linear.new_zeros(2, *eye.shape)
    log_skin = linear.clamp(min=_DARKEST).log()
    usual = log_skin[skin].mean(0)
    about = [(log_skin[beside].median(0).values, side, beside) for side, beside in seen]
    near, side, beside = max(about, key=lambda one: float(one[0].mean()))
    log, white = _white(linear, side)
    redness = (usual[0] - usual[1]) - (log[0] - log[1])
    trust = step_up(side.sum().to(linear), LEAST_PX) * step_up(redness, WHITER)
    about_white = avg_pool2d(white[None].to(linear), _REACH_PX, 1, _REACH_PX // 2)[0]
    return log + usual - near, trust, torch.stack([about_white, beside.to(linear)])


def _beside(eye: Tensor) -> Tensor:
    """(H, W) bool: what lies about an eye (H, W)."""
    inner, outer = (max_pool2d(eye[None, None].float(), 2 * px + 1, 1, px)[0, 0] > 0 for px in BESIDE_PX)
    return outer & ~inner


def _white(linear: Tensor, eye: Tensor) -> tuple[Tensor, Tensor]:
    """(3,) logarithm of the white among an eye's pixels, and (H, W) bool where it is, of (H, W, 3) and (H, W)."""
    pixels, place = linear[eye], torch.zeros_like(eye)
    order = (pixels @ pixels.new_tensor(_LUMINANCE)).argsort()
    first, last = (round(share * len(order)) for share in BAND)
    chosen = order[first : max(last, first + 1)]
    color = pixels[chosen].mean(0).clamp(min=_DARKEST)
    place[tuple(eye.nonzero()[chosen].T)] = True
    return color.log() + BEYOND * float(color.amax() > CLIPPED), place
