"""How light or dark a person's skin is, told by the face embedding rather than by the brightness of the photo.

A dim light on light skin and a bright one on dark skin give the same picture; a photo alone cannot tell them apart, and
a prior on the albedo calls everybody average (Feng et al., "Towards racially unbiased skin tone estimation via scene
disambiguation", ECCV 2022). An identity embedding hardly depends on the light: regressed over many photos from it, the
lights average out and the skin remains.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from coarse.weights import load_weights
from render.shapes import check_shape

SKIN_TONE_WEIGHTS = Path(__file__).parent / "assets" / "skin_tone.safetensors"
"""The shipped regression, for FaceNet's embedding (vggface2)."""

EMBEDDING_SIZE = 512


class SkinToneRegressor(nn.Module):
    r"""Ridge regression :math:`W (e - \bar e)`.

    Args:
        embedding_size: length of the embedding.

    Shapes:
        embedding (B, E) of unit length; output (B, 3): natural logarithm of the skin's linear RGB albedo over that of
        the mean person.
    """

    mean: Tensor
    weight: Tensor

    def __init__(self, embedding_size: int = EMBEDDING_SIZE) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(embedding_size))
        self.register_buffer("weight", torch.zeros(embedding_size, 3))

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, E) to (B, 3)."""
        check_shape("embedding", embedding, "B E", E=len(self.mean))
        return (embedding - self.mean) @ self.weight


def fit_skin_tone(embeddings: Tensor, tones: Tensor, weight: Tensor, ridge: float = 1.0) -> SkinToneRegressor:
    """The regression in closed form.

    Args:
        embeddings: (N, E) unit length.
        tones: (N, 3) logarithms of the skin's colour in photos, the exposure of each source of photos taken out.
        weight: (N,) of each photo.
        ridge: strength of the pull to the mean person, in photos.

    Raises:
        ShapeError: sizes disagree.
    """
    bound = check_shape("embeddings", embeddings, "N E")
    check_shape("tones", tones, "N 3", N=bound["N"])
    check_shape("weight", weight, "N", N=bound["N"])
    e, t, w = embeddings.double(), tones.double(), weight.double()[:, None]
    mean = (e * w).sum(0) / w.sum()
    centered = e - mean
    gram = centered.T @ (centered * w) + ridge * torch.eye(bound["E"], dtype=torch.float64)
    found = SkinToneRegressor(bound["E"])
    found.mean.copy_(mean)
    found.weight.copy_(torch.linalg.solve(gram, centered.T @ ((t - (t * w).sum(0) / w.sum()) * w)))
    return found


def load_skin_tone(path: Path = SKIN_TONE_WEIGHTS) -> SkinToneRegressor:
    """The shipped regression in evaluation mode.

    Raises:
        WeightsError: the file is missing or damaged, or holds something else.
    """
    return load_weights(SkinToneRegressor(), path, "skin tone weights")
