"""Further steps of refinement on the photo itself: a copy of the network is trained on its one picture."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from coarse.records import CoarseFace
from refine.facenet import embed_crop224
from refine.losses import identity_loss, pixel_loss, vertex_loss
from refine.network import TextureRefiner
from render.camera import Camera
from render.color import srgb_from_linear
from render.fragments import Fragments
from render.interpolate import interpolate
from render.lighting import MINIMUM_SHADING
from render.rasterize import rasterize

RefinerInputs = tuple[Tensor, Tensor, Tensor, Tensor]
"""The four arguments of `TextureRefiner`: coarse albedo, projected albedo, seen, embedding."""


@dataclass(frozen=True)
class AdaptationTarget:
    """What the drawn face is held against.

    Attributes:
        image: (B, 3, 224, 224) sRGB crop.
        mask: (B, 224, 224) in [0, 1], pixels of the face.
        camera: the crop's camera.
    """

    image: Tensor
    mask: Tensor
    camera: Camera


@dataclass(frozen=True)
class AdaptationConfig:
    """Optimiser and weights of the adaptation."""

    learning_rate: float = 3e-4
    """Adam's step size."""
    identity: float = 0.2
    """1 - cosine of FaceNet embeddings, beside 1 for the pixels."""
    anchor: float = 1.0
    """Distance of unseen vertices from the one-pass answer: nothing in the photo speaks of them."""

    def __post_init__(self) -> None:
        if self.learning_rate <= 0 or min(self.identity, self.anchor) < 0:
            raise ValueError(f"learning_rate must be positive, the other numbers 0 or more: {self}")


def adapt(
    refiner: TextureRefiner,
    inputs: RefinerInputs,
    coarse: CoarseFace,
    target: AdaptationTarget,
    facenet: nn.Module,
    *,
    steps: int,
    config: AdaptationConfig | None = None,
) -> Tensor:
    """Train a copy of the refiner on one photo and return the best of its answers, the one-pass answer included.

    Args:
        refiner: the trained network; left as it is.
        inputs: what it is called with.
        coarse: the posed face; its geometry and light stay fixed.
        target: the photo.
        facenet: frozen identity network.
        steps: of Adam; 0 gives the one-pass answer.
        config: optimiser and weights.

    Returns:
        (B, V, 3) linear albedo.

    Raises:
        ValueError: steps is negative.
    """
    if steps < 0:
        raise ValueError(f"steps is {steps}; it must be 0 or more")
    config = config or AdaptationConfig()
    network = copy.deepcopy(refiner).requires_grad_(True)
    scene = _Scene(network.pyramid.faces, coarse, target, facenet, config)
    with torch.no_grad():
        first = network(*inputs)
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate)
    unseen = 1.0 - inputs[2]
    best, least = first, torch.inf
    with torch.enable_grad():
        for step in range(steps + 1):
            albedo = network(*inputs)
            loss = scene.loss(albedo) + config.anchor * vertex_loss(albedo, first, unseen)
            found = float(loss.detach())
            if found < least:
                best, least = albedo.detach(), found
            if step < steps:
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
    return best


class _Scene:
    """One photo's fixed geometry and light, drawn again with each albedo."""

    def __init__(
        self, faces: Tensor, coarse: CoarseFace, target: AdaptationTarget, facenet: nn.Module, config: AdaptationConfig
    ) -> None:
        self.faces, self.target, self.facenet, self.config = faces, target, facenet, config
        with torch.no_grad():
            self.fragments: Fragments = rasterize(coarse.verts_cam, faces, target.camera)
            self.shading = coarse.shading.clamp(min=MINIMUM_SHADING)
            self.embedding = embed_crop224(facenet, target.image)

    def loss(self, albedo: Tensor) -> Tensor:
        """Pixel and identity loss of the face drawn with `albedo` (B, V, 3)."""
        lit = srgb_from_linear((albedo * self.shading).clamp(0.0, 1.0))
        drawn = interpolate(lit, self.faces, self.fragments).permute(0, 3, 1, 2)
        covered = self.fragments.mask
        pixels = pixel_loss(drawn, self.target.image, covered * self.target.mask)
        if not self.config.identity:
            return pixels
        pasted = torch.where(covered[:, None], drawn, self.target.image)
        return pixels + self.config.identity * identity_loss(embed_crop224(self.facenet, pasted), self.embedding)
