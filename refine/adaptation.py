"""Further steps of refinement on the photo itself: a copy of the network is trained on its one picture."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from coarse.records import CoarseFace
from refine.facenet import embed_crop224
from refine.losses import identity_loss, pixel_loss, vertex_loss
from refine.network import TextureRefiner
from render.camera import Camera
from render.color import srgb_from_linear
from render.interpolate import interpolate
from render.lighting import MINIMUM_SHADING
from render.rasterize import rasterize

RefinerInputs = tuple[Tensor, Tensor, Tensor, Tensor]
"""The four arguments of `TextureRefiner`: coarse albedo, projected albedo, seen, embedding."""

LEARNING_RATE = 3e-4
"""Adam's step size."""
IDENTITY_WEIGHT = 0.2
"""Of 1 - cosine of FaceNet embeddings, beside 1 for the pixels."""
ANCHOR_WEIGHT = 1.0
"""Of the distance of unseen vertices from the one-pass answer: nothing in the photo speaks of them."""


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


def adapt(
    refiner: TextureRefiner,
    inputs: RefinerInputs,
    coarse: CoarseFace,
    target: AdaptationTarget,
    facenet: nn.Module,
    *,
    steps: int,
) -> Tensor:
    """Train a copy of the refiner on one photo and return the best of its answers, the one-pass answer included.

    Args:
        refiner: the trained network; left as it is.
        inputs: what it is called with.
        coarse: the posed face; its geometry and light stay fixed.
        target: the photo.
        facenet: frozen identity network.
        steps: of Adam; 0 gives the one-pass answer.

    Returns:
        (B, V, 3) linear albedo.

    Raises:
        ValueError: steps is negative.
    """
    if steps < 0:
        raise ValueError(f"steps is {steps}; it must be 0 or more")
    network = copy.deepcopy(refiner).requires_grad_(True)
    drawn_loss = _drawn_loss(network.pyramid.faces, coarse, target, facenet)
    with torch.no_grad():
        first = network(*inputs)
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    unseen = 1.0 - inputs[2]
    best, least = first, torch.inf
    with torch.enable_grad():
        for step in range(steps + 1):
            albedo = network(*inputs)
            loss = drawn_loss(albedo) + ANCHOR_WEIGHT * vertex_loss(albedo, first, unseen)
            found = float(loss.detach())
            if found < least:
                best, least = albedo.detach(), found
            if step < steps:
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
    return best


@torch.no_grad()
def _drawn_loss(
    faces: Tensor, coarse: CoarseFace, target: AdaptationTarget, facenet: nn.Module
) -> Callable[[Tensor], Tensor]:
    """Pixel and identity loss of one photo's fixed geometry and light, drawn again with each albedo (B, V, 3)."""
    fragments = rasterize(coarse.verts_cam, faces, target.camera)
    shading = coarse.shading.clamp(min=MINIMUM_SHADING)
    embedding = embed_crop224(facenet, target.image)

    def loss(albedo: Tensor) -> Tensor:
        lit = srgb_from_linear((albedo * shading).clamp(0.0, 1.0))
        drawn = interpolate(lit, faces, fragments).permute(0, 3, 1, 2)
        pixels = pixel_loss(drawn, target.image, fragments.mask * target.mask)
        pasted = torch.where(fragments.mask[:, None], drawn, target.image)
        return pixels + IDENTITY_WEIGHT * identity_loss(embed_crop224(facenet, pasted), embedding)

    return loss
