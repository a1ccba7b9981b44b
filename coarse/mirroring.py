"""Mirrored photographs have mirrored answers: what that means for raw coefficients, and how networks are made to obey.

A yaw can be traded for an asymmetric shape almost without moving a landmark, so training leaves a network with a small
constant turn to one side. Its mean over photographs and their mirror images is known without any label, and lies in the
biases of the last layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from coarse.face_model import FaceModel, expression_mirror, identity_mirror_sign
from coarse.position_map import mirrored_maps
from coarse.position_network import PositionMapNetwork
from render.shapes import check_shape

_SIGNS = {
    "rotation": (1.0, -1.0, -1.0),
    "translation": (-1.0, 1.0, 1.0),
    "log_scale": (1.0,),
    "lighting": tuple(x for x in (1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, 1.0) for _ in range(3)),
}
"""Of an axis-angle, of a translation in the plane or in space, and of a light's nine bands of three colours: those odd
in x (Y11, Y2-2, Y21) change their sign."""


class RawMirror:
    """Raw vectors of mirrored photographs.

    Args:
        model: the face model.
        sizes: numbers a part has, by name, in order: those of `CoefficientLayout` or of `ThetaLayout`.
    """

    def __init__(self, model: FaceModel, sizes: Mapping[str, int]) -> None:
        index: list[Tensor] = []
        sign: list[Tensor] = []
        ruled: list[Tensor] = []
        for name, size in sizes.items():
            place = torch.arange(size)
            if name == "expression" and size:
                other = torch.from_numpy(expression_mirror(model.expression_names))[:size]
                place = torch.where(other < size, other, place)
            index.append(place + sum(len(part) for part in index))
            sign.append(_sign(model, name, size))
            ruled.append(torch.full((size,), float(name != "albedo")))
        self.index, self.sign, self.ruled = torch.cat(index), torch.cat(sign), torch.cat(ruled)

    def __call__(self, raw: Tensor) -> Tensor:
        """(B, N) of the mirrored photographs; albedo, whose components have no parity, is left as it is."""
        check_shape("raw", raw, "B N", N=len(self.sign))
        return raw[:, self.index.to(raw.device)] * self.sign.to(raw)


def _sign(model: FaceModel, name: str, size: int) -> Tensor:
    if name == "identity":
        return torch.from_numpy(identity_mirror_sign(model)).float()[:size]
    return torch.tensor(_SIGNS.get(name, (1.0,) * size))[:size]


@torch.no_grad()
def mirror_bias(network: Callable[[Tensor], Tensor], crops: Iterable[Tensor], mirror: RawMirror) -> Tensor:
    """(N,) half the mean of raw(x) - mirror(raw(flipped x)), its odd part: what the network answers too much.

    Args:
        network: in evaluation mode; crops to raw vectors (B, N).
        crops: batches (B, 3, 224, 224).
        mirror: of those vectors.

    Raises:
        ValueError: there are no crops.
    """
    total, count = torch.zeros(len(mirror.sign)), 0
    for batch in crops:
        away = network(batch) - mirror(network(batch.flip(3)))
        total, count = total + 0.5 * away.sum(0).cpu(), count + len(batch)
    if not count:
        raise ValueError("crops is empty; the mirror bias needs some photographs")
    mean = total / count * mirror.ruled
    return 0.5 * (mean - mirror(mean[None])[0])


@torch.no_grad()
def remove_mirror_bias(
    network: Callable[[Tensor], Tensor], biases: Sequence[Tensor], crops: Iterable[Tensor], mirror: RawMirror
) -> Tensor:
    """Subtract `mirror_bias` from the biases of the last layers.

    Args:
        network: see `mirror_bias`.
        biases: of the network's last layers, in the order of the vector; they are changed.
        crops: see `mirror_bias`.
        mirror: likewise.

    Returns:
        (N,) what was subtracted.
    """
    bias = mirror_bias(network, crops, mirror)
    for layer, part in zip(biases, bias.split([len(layer) for layer in biases]), strict=True):
        layer -= part.to(layer)
    return bias


@torch.no_grad()
def map_mirror_bias(network: PositionMapNetwork, windows: Iterable[Tensor]) -> Tensor:
    """(3, S, S) px: half the mean of what position maps of photographs have beyond the mirrored maps of mirrored ones.

    Args:
        network: in evaluation mode.
        windows: batches (B, 3, 256, 256).

    Raises:
        ValueError: there are no windows.
    """
    total, count = torch.zeros_like(network.layout.template, device="cpu"), 0
    for batch in windows:
        away = network(batch) - mirrored_maps(network(batch.flip(3)))
        total, count = total + 0.5 * away.sum(0).cpu(), count + len(batch)
    if not count:
        raise ValueError("windows is empty; the mirror bias needs some photographs")
    return total / count


def remove_map_mirror_bias(network: PositionMapNetwork, windows: Iterable[Tensor]) -> Tensor:
    """Subtract what a mean pose expresses of `map_mirror_bias`, which is returned, from all maps.

    Args:
        network: see `map_mirror_bias`; it is changed.
        windows: likewise.
    """
    bias = map_mirror_bias(network, windows)
    network.move(-bias.to(network.template))
    return bias
