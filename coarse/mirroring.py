"""Mirrored photographs have mirrored answers: what that means for raw coefficients, and how heads are made to obey.

A yaw can be traded for an asymmetric shape almost without moving a landmark, so training leaves a regressor with a
small constant turn to one side. Its mean over photographs and their mirror images is known without any label, and lies
in the biases of the heads.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from coarse.coefficients import CoefficientLayout
from coarse.face_model import FaceModel, expression_mirror, identity_mirror_sign
from coarse.regressor import CoefficientRegressor
from render.shapes import check_shape

_ROTATION_SIGN = (1.0, -1.0, -1.0)
_TRANSLATION_SIGN = (-1.0, 1.0, 1.0)
_LIGHT_SIGN = (1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, 1.0)
"""Of the nine bands, those odd in x (Y11, Y2-2, Y21) change their sign."""


class RawMirror:
    """Raw coefficient vectors of mirrored photographs.

    Args:
        model: the face model.
        layout: of the vectors.
    """

    def __init__(self, model: FaceModel, layout: CoefficientLayout) -> None:
        index = torch.arange(layout.total)
        parts = dict(zip(layout.sizes, index.split(list(layout.sizes.values())), strict=True))
        sign = torch.ones(layout.total)
        self.index = index.clone()
        other_side = torch.from_numpy(expression_mirror(model.expression_names))
        self.index[parts["expression"]] = parts["expression"][other_side]
        sign[parts["identity"]] = torch.from_numpy(identity_mirror_sign(model)).float()
        sign[parts["rotation"]] = torch.tensor(_ROTATION_SIGN)
        sign[parts["translation"]] = torch.tensor(_TRANSLATION_SIGN)
        sign[parts["lighting"]] = torch.tensor(_LIGHT_SIGN).repeat_interleave(3)
        self.sign = sign
        self.ruled = torch.ones(layout.total)
        self.ruled[parts["albedo"]] = 0.0

    def __call__(self, raw: Tensor) -> Tensor:
        """(B, layout.total) of the mirrored photographs; albedo, whose components have no parity, is left as it is."""
        check_shape("raw", raw, "B N", N=len(self.sign))
        return raw[:, self.index.to(raw.device)] * self.sign.to(raw)


@torch.no_grad()
def mirror_bias(network: CoefficientRegressor, crops: Iterable[Tensor], mirror: RawMirror) -> Tensor:
    """(layout.total,) half the mean of raw(x) - mirror(raw(flipped x)): what the heads answer too much.

    Args:
        network: in evaluation mode.
        crops: batches (B, 3, 224, 224).
        mirror: for the network's layout.

    Raises:
        ValueError: there are no crops.
    """
    total, count = torch.zeros(network.layout.total), 0
    for batch in crops:
        away = network(batch) - mirror(network(batch.flip(3)))
        total, count = total + 0.5 * away.sum(0).cpu(), count + len(batch)
    if not count:
        raise ValueError("crops is empty; the mirror bias needs some photographs")
    return total / count * mirror.ruled


@torch.no_grad()
def remove_mirror_bias(network: CoefficientRegressor, crops: Iterable[Tensor], mirror: RawMirror) -> Tensor:
    """Subtract `mirror_bias` from the biases of the network's heads, in place; returns what was subtracted."""
    bias = mirror_bias(network, crops, mirror)
    for name, part in network.layout.split(bias[None]).items():
        head_bias = network.heads[name].bias
        assert isinstance(head_bias, Tensor)
        head_bias -= part[0].to(head_bias)
    return bias
