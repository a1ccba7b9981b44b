"""The last step of a training: take the constant turn to one side out of a network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from coarse.coefficients import CoefficientLayout
from coarse.face_model import load_face_model
from coarse.mirroring import RawMirror, remove_mirror_bias
from coarse.spatial_transformer.theta import ThetaLayout
from gcnface.data.faces import PreparedFaces
from gcnface.training.crops import CropBatch, CropDataset

_BATCH = 32


def subtract_mirror_bias(network: nn.Module, biases: Sequence[Tensor | nn.Parameter], faces: PreparedFaces) -> Tensor:
    """Subtract from the last layers what training photographs and their mirror images show to be too much.

    Args:
        network: crops to raw vectors, with a `layout`; it is put on the CPU and into evaluation mode.
        biases: of its last layers, in the order of the vector; they are changed.
        faces: prepared faces; of held-out people and drawn faces none is looked at.

    Returns:
        (N,) what was subtracted; zeros when there are no such photographs.
    """
    layout = network.layout
    assert isinstance(layout, CoefficientLayout | ThetaLayout)
    photographs = CropDataset(faces, ~faces.validation & ~faces.drawn, augment=False)
    if not len(photographs):
        return torch.zeros(sum(layout.sizes.values()))
    crops = (batch.image for batch in DataLoader(photographs, _BATCH, collate_fn=CropBatch.stack))
    with torch.no_grad():
        mirror = RawMirror(load_face_model(), layout.sizes)
        return remove_mirror_bias(network.cpu().eval(), [bias.data for bias in biases], crops, mirror)
