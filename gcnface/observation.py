"""What a photograph shows at each vertex: its colour, and how far that colour may be believed.

The parser's classes decide what a region of the model may take from the photo: skin takes skin, brows, lips and eyes
but neither hair nor glasses; the scalp takes hair as well, since that is where hair grows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from coarse.decomposition import ObservedColours
from coarse.face_model import REGIONS, FaceModel
from coarse.morphable import VIEW_FROM_CAM
from coarse.records import CoarseFace
from gcnface.parsing import PARSING_CLASSES
from render.camera import Camera
from render.color import linear_from_srgb
from render.sampling import sample_image
from render.visibility import vertex_visibility

_SKIN = ("skin", "brows", "nose", "lips")
ALLOWED_CLASSES: dict[str, tuple[str, ...]] = {
    "face": _SKIN,
    "eyes_nose_mouth": (*_SKIN, "eyes", "mouth_interior"),
    "ears": ("skin", "ears"),
    "neck": ("skin",),
    "scalp": ("skin", "hair", "ears"),
    "eyeballs": ("eyes", "skin", "glasses"),
    "mouth_interior": ("mouth_interior", "lips", "skin"),
}
"""Parsing classes a region of the model may take its colour from; lids, lenses and lips lie over what is behind."""

_ANY_ANGLE = ("eyes_nose_mouth", "eyeballs", "mouth_interior")
"""Regions whose colours count at any angle: their relief is small, or they are seen through an opening."""

FACE_CLASSES = ("skin", "brows", "eyes", "nose", "lips", "mouth_interior")
"""Classes inside which photometric losses and figures count: the face without glasses, hair and ears."""

_LIT_CLASSES = ("skin", "nose")

SURENESS = (0.35, 0.65)
"""Probability of the allowed classes from which a colour begins to count, and at which it counts in full."""

_BLEEDING = ("hair", "glasses", "ears")
_BLEEDING_EDGE_PX = 1
"""Classes that reach further into the skin beside them, by shadow and by single hairs, and how far."""

MINIMUM_SHADING = 0.08
"""Light below this is not divided out: noise would be multiplied."""

GRAZING_COSINE = (0.06, 0.28)
"""Cosine between normal and line of sight from which a colour begins to count, and at which it counts in full."""


@dataclass(frozen=True)
class VertexObservation:
    """Colours of a photo at the vertices of a face.

    Attributes:
        linear: (B, V, 3) linear RGB under the photo's light.
        visible: (B, V) bool: inside the frame and not hidden by the mesh itself.
        confidence: (B, V) in [0, 1]: visible, facing the camera, of a class the region may show.
        skin: (B, V) in [0, 1]: confidence on skin of the face alone, what lights are estimated from.
        face: (B, V) in [0, 1]: confidence on the face and its eyes, what the coarse albedo is estimated from.
        normals_view: (B, V, 3) unit, viewing axes.
    """

    linear: Tensor
    visible: Tensor
    confidence: Tensor
    skin: Tensor
    face: Tensor
    normals_view: Tensor

    def colours(self, vertices: Tensor | slice = slice(None)) -> ObservedColours:
        """What `coarse.decomposition` takes, at a selection of the vertices."""
        return ObservedColours(
            self.linear[:, vertices], self.skin[:, vertices], self.face[:, vertices], self.normals_view[:, vertices]
        )


@lru_cache(maxsize=2)
def _allowed_table() -> Tensor:
    """(R + 1, 10): classes each region may show, and last those the light is estimated from."""
    rows = [ALLOWED_CLASSES[region] for region in REGIONS] + [_LIT_CLASSES]
    return torch.tensor([[float(name in row) for name in PARSING_CLASSES] for row in rows])


def allowed_maps(classes: Tensor) -> Tensor:
    """Where each region may take its colour from: (B, R + 1, H, W) in [0, 1], the last for the light.

    Args:
        classes: (B, 10, H, W) class probabilities of a crop.
    """
    table = _allowed_table().to(classes)
    bleeding = [PARSING_CLASSES.index(name) for name in _BLEEDING]
    allowed = torch.einsum("rc,bchw->brhw", table, classes)
    forbidden = torch.einsum("rc,bchw->brhw", 1 - table[:, bleeding], classes[:, bleeding])
    spread = torch.nn.functional.max_pool2d(forbidden, 2 * _BLEEDING_EDGE_PX + 1, stride=1, padding=_BLEEDING_EDGE_PX)
    return torch.minimum(allowed, 1 - spread)


def face_mask(classes: Tensor) -> Tensor:
    """(B, H, W) probability of `FACE_CLASSES` in class maps (B, 10, H, W)."""
    return classes[:, [PARSING_CLASSES.index(name) for name in FACE_CLASSES]].sum(1)


def grazing_weight(cosine: Tensor) -> Tensor:
    """Smooth step of the cosine between normal and line of sight, see `GRAZING_COSINE`."""
    low, high = GRAZING_COSINE
    t = ((cosine - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def view_cosine(verts_cam: Tensor, normals_view: Tensor) -> Tensor:
    """(B, V) cosine between the normals (viewing axes) and the direction to the camera."""
    towards = -verts_cam / verts_cam.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    return (towards * towards.new_tensor(VIEW_FROM_CAM) * normals_view).sum(-1)


def observe_vertices(
    model: FaceModel, face: CoarseFace, image: Tensor, classes: Tensor, camera: Camera
) -> VertexObservation:
    """Sample a crop at the vertices of a posed face.

    Args:
        model: the face model at the finest level (its regions decide what may be taken).
        face: the posed face, (B, V, 3) vertices of the finest level.
        image: (B, 3, H, W) sRGB crop seen by `camera`.
        classes: (B, 10, H', W') class probabilities of the same crop, at any resolution.
        camera: the crop's camera.
    """
    screen = camera.project(face.verts_cam)
    faces = torch.from_numpy(model.faces.astype(np.int64)).to(screen.device)
    region = torch.from_numpy(model.region.astype(np.int64)).to(screen.device)
    visible = vertex_visibility(screen, faces, camera.hw)
    linear = linear_from_srgb(sample_image(image, screen[..., :2]))
    scale = screen.new_tensor([classes.shape[3] / camera.hw[1], classes.shape[2] / camera.hw[0]])
    allowed = sample_image(allowed_maps(classes), screen[..., :2] * scale)
    low, high = SURENESS
    sure = ((allowed - low) / (high - low)).clamp(0, 1)
    cosine = view_cosine(face.verts_cam, face.normals_view)
    any_angle = torch.isin(region, region.new_tensor([REGIONS.index(name) for name in _ANY_ANGLE]))
    facing = visible * torch.where(any_angle, torch.ones_like(cosine), grazing_weight(cosine))
    confidence = facing * sure.gather(2, region.expand(len(sure), -1)[..., None])[..., 0]
    on_face = (region == REGIONS.index("face")) | (region == REGIONS.index("eyes_nose_mouth"))
    skin = facing * on_face * sure[..., -1]
    on_face = on_face | (region == REGIONS.index("eyeballs"))
    return VertexObservation(linear, visible, confidence, skin, confidence * on_face, face.normals_view)
