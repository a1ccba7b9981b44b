"""How light or dark a person's skin is, told by the face embedding, the eyes' whites and the photo's brightness.

A dim light on light skin and a bright one on dark skin give the same skin in a picture, and a prior on the albedo calls
everybody average (Feng et al., "Towards racially unbiased skin tone estimation via scene disambiguation", ECCV 2022).
Three things tell them apart. An identity embedding hardly depends on the light: regressed over many photos from it, the
lights average out and the skin remains. The whites of the eyes are of one albedo in all people, so they show the light
itself. And photographers and cameras expose so that light varies less than skins do. Each has its own error; what is
believed is their mean, weighted by the inverses of the errors' covariances.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from coarse.decomposition import ToneExpectation, WhitesLight
from coarse.weights import load_weights
from render.shapes import check_shape

SKIN_TONE_WEIGHTS = Path(__file__).parent / "assets" / "skin_tone.safetensors"
"""The shipped regression, for FaceNet's embedding (vggface2)."""

EMBEDDING_SIZE = 512


@dataclass(frozen=True)
class EyeWhites:
    """What a photo shows of the whites of the eyes.

    Attributes:
        log_rgb: (B, 3) natural logarithm of their linear colour.
        trust: (B,) in [0, 1], 0 where too little of them is seen.
        places: (B, 2, H, W) in [0, 1] of the photos' crops, about the whites and on the skin beside the eyes; None
            where not known.
    """

    log_rgb: Tensor
    trust: Tensor
    places: Tensor | None = None

    @classmethod
    def unseen(cls, count: int = 1) -> EyeWhites:
        """Of `count` photos that show none."""
        return cls(torch.zeros(count, 3), torch.zeros(count))


class SkinToneRegressor(nn.Module):
    r"""Ridge regression :math:`W (e - \bar e)`, and how far it and other tellers of the light may be believed.

    Args:
        embedding_size: length of the embedding.

    Shapes:
        embedding (B, E) of unit length; output (B, 3): natural logarithm of the skin's linear RGB albedo over that of
        the mean person.
    """

    mean: Tensor
    weight: Tensor
    spread: Tensor
    """(3, 3) covariance of the tone's error, wider than people's tones are lest rare ones be made usual."""
    usual_light: Tensor
    """(3,) logarithm of the usual light over the neutral one, (3, 3) its covariance."""
    light_spread: Tensor
    white: Tensor
    """(3,) logarithm of the colour of eye whites under the neutral light, (3, 3) covariance of what they tell of it."""
    white_spread: Tensor

    def __init__(self, embedding_size: int = EMBEDDING_SIZE) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(embedding_size))
        self.register_buffer("weight", torch.zeros(embedding_size, 3))
        for name in ("usual_light", "white"):
            self.register_buffer(name, torch.zeros(3))
        for name in ("spread", "light_spread", "white_spread"):
            self.register_buffer(name, torch.eye(3))

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, E) to (B, 3)."""
        check_shape("embedding", embedding, "B E", E=len(self.mean))
        return (embedding - self.mean) @ self.weight

    def expectation(self, embedding: Tensor, whites: EyeWhites | None = None) -> ToneExpectation:
        """What to expect of the skin and the light of photos.

        Args:
            embedding: (B, E) of their faces.
            whites: what they show of the eyes; None leaves them out.
        """
        tone = self(embedding)
        usual = torch.linalg.inv(self.light_spread)
        precision, side = usual.expand(len(tone), 3, 3), (usual @ self.usual_light).expand(len(tone), 3)
        told: Tensor | None = None
        if whites is not None:
            check_shape("log_rgb", whites.log_rgb, "B 3", B=len(tone))
            told = whites.trust.to(tone)[:, None, None] * torch.linalg.inv(self.white_spread)
            level = whites.log_rgb.to(tone) - self.white
            precision, side = precision + told, side + (told @ level[..., None])[..., 0]
        light_spread = torch.linalg.inv(precision)
        light = (light_spread @ side[..., None])[..., 0]
        seen = None
        if whites is not None and whites.places is not None and told is not None:
            seen = WhitesLight(whites.places, light_spread @ told)
        return ToneExpectation(tone, light, self.spread @ torch.linalg.inv(self.spread + light_spread), seen)


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
