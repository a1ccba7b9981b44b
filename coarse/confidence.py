"""C-Net: how far each coefficient of each photograph may be believed, so that several photographs give one identity.

Deng et al., "Accurate 3D face reconstruction with weakly-supervised learning: from single image to image set", CVPR
workshops 2019, section 4: a light network on the regressor's pooled features gives a positive confidence for every
identity coefficient, and identity = sum_j c_j a_j / sum_j c_j over the photographs j of a person. Theirs was never
released. Here the albedo coefficients have confidences as well.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from coarse.regressor import CoefficientRegressor, zeroed
from coarse.weights import load_weights
from render.errors import WeightsError
from render.shapes import check_shape

SHIPPED_WEIGHTS = Path(__file__).parent / "assets" / "confidence.safetensors"

LARGEST_LOG = 4.0
"""Confidences lie between exp(-4) and exp(4): none is 0, so that every set of photographs has an answer."""


@dataclass(frozen=True)
class Confidences:
    """Positive confidences of a batch of photographs.

    Attributes:
        identity: (B, Ni).
        albedo: (B, Na).
    """

    identity: Tensor
    albedo: Tensor


class ConfidenceNetwork(nn.Module):
    """c = exp(4 tanh(f(x) / 4)) with f a perceptron of one hidden layer; its last layer starts at 0, the plain mean.

    The weights belong to the backbone whose features they have seen: `backbone` keeps its checksum.

    Shapes:
        features (B, F) of `CoefficientRegressor.features` -> `Confidences` (B, Ni), (B, Na).

    Args:
        features: F.
        identity: Ni.
        albedo: Na.
        hidden: width of the hidden layer.
    """

    backbone: Tensor

    def __init__(self, features: int, identity: int, albedo: int, hidden: int = 128) -> None:
        super().__init__()
        self.sizes = [identity, albedo]
        self.body = nn.Sequential(nn.BatchNorm1d(features, affine=False), nn.Linear(features, hidden), nn.ELU())
        self.head = zeroed(nn.Linear(hidden, identity + albedo))
        self.register_buffer("backbone", torch.zeros((), dtype=torch.int64))

    @classmethod
    def beside(cls, regressor: CoefficientRegressor) -> ConfidenceNetwork:
        """An untrained network for the features and coefficients of `regressor`."""
        layout = regressor.layout
        head = regressor.heads["identity"]
        assert isinstance(head, nn.Linear)
        network = cls(head.in_features, layout.identity, layout.albedo)
        network.backbone.fill_(backbone_checksum(regressor))
        return network

    def forward(self, features: Tensor) -> Confidences:
        """Confidences of each photograph by itself."""
        check_shape("features", features, "B F")
        raw = self.head(self.body(features))
        identity, albedo = (LARGEST_LOG * (raw / LARGEST_LOG).tanh()).exp().split(self.sizes, dim=1)
        return Confidences(identity, albedo)


def backbone_checksum(regressor: CoefficientRegressor) -> int:
    """CRC-32 of all weights below the heads, as float16: how they are stored."""
    checksum = 0
    for name, value in sorted(regressor.state_dict().items()):
        if not name.startswith("heads."):
            stored = value.half() if value.is_floating_point() else value
            checksum = zlib.crc32(stored.cpu().contiguous().numpy().tobytes(), checksum)
    return checksum


def load_confidence(regressor: CoefficientRegressor, path: Path | None = None) -> ConfidenceNetwork:
    """The shipped network (or the one at `path`), in evaluation mode, on the CPU.

    Raises:
        WeightsError: the file is missing or damaged, or was trained on another regressor's features.
    """
    path = path or SHIPPED_WEIGHTS
    network = ConfidenceNetwork.beside(regressor)
    expected = int(network.backbone)
    load_weights(network, path, "confidence weights")
    if int(network.backbone) != expected:
        raise WeightsError(path, "was trained beside another regressor", "run `gcnface train confidence` again")
    return network.eval()
