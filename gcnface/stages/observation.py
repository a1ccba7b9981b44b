"""What a photograph shows at each vertex: its colour, and how far that colour may be believed.

The parser's classes decide what a region of the model may take from the photo: skin takes skin, brows, lips and eyes
but neither hair nor glasses; the scalp takes hair as well, since that is where hair grows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import max_pool2d

from coarse.decomposition import ObservedColors
from coarse.face_model import REGIONS, FaceModel
from coarse.morphable import VIEW_FROM_CAM
from coarse.records import CoarseFace
from gcnface.photo.parsing import PARSING_CLASSES
from gcnface.stages.outliers import deviation, inlier_weight, step_down, step_up
from render.camera import Camera
from render.color import linear_from_srgb
from render.lighting import MINIMUM_SHADING
from render.sampling import sample_image
from render.shapes import check_shape
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
"""Parsing classes a region of the model may take its colour from; lids, lenses and lips lie over what is behind. Inside
the mouth lips and skin count too: where the fit leaves closed lips ajar, a dark slit would be seen between them."""

_ANY_ANGLE = ("eyes_nose_mouth", "eyeballs", "mouth_interior")
"""Regions whose colours count at any angle: their relief is small, or they are seen through an opening."""

FACE_CLASSES = ("skin", "brows", "eyes", "nose", "lips", "mouth_interior")
"""Classes inside which photometric losses and figures count: the face without glasses, hair and ears."""

_LIT_CLASSES = ("skin", "nose")

SURENESS = (0.35, 0.65)
"""Probability of the allowed classes from which a colour begins to count, and at which it counts in full."""

_BLEEDING = {"hair": 2, "glasses": 3, "ears": 1, "rest": 1}
"""Classes that reach further into the skin beside them, by shadow, hairs and blur, and how far, px of the maps."""

_GROWTH_STEPS = 2
"""Triangles by which an opened mouth is seen further than its visible vertices."""

_FOREIGN = ("hair", "glasses", "rest")
NEAR_PX = (6, 16)
"""Distance to a foreign class up to which a colour is doubted in full, and from which it is not, px of the maps."""

_DOUBTED = ("face", "eyes_nose_mouth", "ears", "neck")
"""Regions whose colours are doubted: skin, whose colour is known."""
_UNDOUBTED = ("brows", "lips", "eyes", "mouth_interior")
"""Classes whose colours are not: they differ from skin."""

DOUBTED_COSINE = (0.35, 0.65)
"""Cosine between normal and line of sight up to which a colour is doubted in full, and from which it is not."""

GRAZING_COSINE = (0.06, 0.28)
"""Cosine between normal and line of sight from which a colour begins to count, and at which it counts in full."""


@dataclass(frozen=True)
class VertexObservation:
    """Colours of a photo at the vertices of a face.

    Attributes:
        linear: (B, V, 3) linear RGB under the photo's light.
        visible: (B, V) bool: inside the frame and not hidden by the mesh itself.
        confidence: (B, V) in [0, 1]: visible, facing the camera, well inside a class the region may show, and like
            it in colour: what may be painted onto the head.
        shown: (B, V) in [0, 1]: well inside a class the region may show, whatever its colour and angle, also behind
            other parts: where a drawing over the photo should look like it.
        skin: (B, V) in [0, 1]: confidence on skin of the face alone, what lights are estimated from.
        face: (B, V) in [0, 1]: confidence on the face and its eyes, what the coarse albedo is estimated from.
        normals_view: (B, V, 3) unit, viewing axes.
        xy_px: (B, V, 2) where the vertices lie in the crop.
    """

    linear: Tensor
    visible: Tensor
    confidence: Tensor
    shown: Tensor
    skin: Tensor
    face: Tensor
    normals_view: Tensor
    xy_px: Tensor

    def colors(self, vertices: Tensor | slice = slice(None)) -> ObservedColors:
        """What `coarse.decomposition` takes, at a selection of the vertices."""
        return ObservedColors(
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
    allowed = torch.einsum("rc,bchw->brhw", table, classes)
    names = [PARSING_CLASSES.index(name) for name in _BLEEDING]
    reach = torch.cat([_spread(classes[:, [k]], px) for k, px in zip(names, _BLEEDING.values(), strict=True)], 1)
    forbidden = torch.einsum("rc,bchw->brhw", 1 - table[:, names], reach)
    return torch.minimum(allowed, 1 - forbidden).clamp(min=0)


def _spread(maps: Tensor, px: int) -> Tensor:
    """(B, C, H, W): the largest value within `px` rows and columns; separable, so two thin pools do."""
    wide = max_pool2d(maps, (1, 2 * px + 1), stride=1, padding=(0, px))
    return max_pool2d(wide, (2 * px + 1, 1), stride=1, padding=(px, 0))


def nearness(classes: Tensor) -> Tensor:
    """(B, 1, H, W) in [0, 1]: 1 within the first of `NEAR_PX` of hair, glasses or background, 0 from the second on."""
    foreign = classes[:, [PARSING_CLASSES.index(name) for name in _FOREIGN]].sum(1, keepdim=True)
    near, (full, none) = _spread(foreign, NEAR_PX[0]), NEAR_PX
    spread, step = near, 2
    for px in range(full + step, none, step):
        spread = _spread(spread, step)
        near = torch.maximum(near, spread * (none - px) / (none - full))
    return near.clamp(0, 1)


def class_maps(classes: Tensor) -> Tensor:
    """(B, R + 2, H, W) what `observe_vertices` reads of class maps (B, 10, H, W): `allowed_maps`, then `nearness`."""
    features = classes[:, [PARSING_CLASSES.index(name) for name in _UNDOUBTED]].sum(1, keepdim=True)
    return torch.cat([allowed_maps(classes), nearness(classes) * (1 - features)], 1)


def face_mask(classes: Tensor) -> Tensor:
    """(B, H, W) probability of `FACE_CLASSES` in class maps (B, 10, H, W)."""
    return classes[:, [PARSING_CLASSES.index(name) for name in FACE_CLASSES]].sum(1)


def grazing_weight(cosine: Tensor) -> Tensor:
    """Smooth step of the cosine between normal and line of sight, see `GRAZING_COSINE`."""
    return step_up(cosine, GRAZING_COSINE)


def view_cosine(verts_cam: Tensor, normals_view: Tensor) -> Tensor:
    """(B, V) cosine between the normals (viewing axes) and the direction to the camera."""
    towards = -verts_cam / verts_cam.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    return (towards * towards.new_tensor(VIEW_FROM_CAM) * normals_view).sum(-1)


@dataclass(frozen=True)
class Surface:
    """Faces (F, 3) and regions (V,) of a coarser level of the face model."""

    faces: NDArray[np.int32]
    region: NDArray[np.uint8]


def observe_vertices(
    model: FaceModel | Surface, face: CoarseFace, image: Tensor, maps: Tensor, camera: Camera
) -> VertexObservation:
    """Sample a crop at the vertices of a posed face.

    Args:
        model: the face model, or one of its levels (its regions decide what may be taken).
        face: the posed face, (B, V, 3) vertices of that level.
        image: (B, 3, H, W) sRGB crop seen by `camera`.
        maps: (B, R + 2, H', W') `class_maps` of the same crop, at any resolution.
        camera: the crop's camera.
    """
    check_shape("maps", maps, "B C H W", C=len(REGIONS) + 2)
    screen = camera.project(face.verts_cam)
    faces = torch.from_numpy(model.faces.astype(np.int64)).to(screen.device)
    region = torch.from_numpy(model.region.astype(np.int64)).to(screen.device)
    visible = vertex_visibility(face.verts_cam, faces, camera)
    looked_into = _grown(visible, faces, vertices_in(region, "mouth_interior"))
    linear = linear_from_srgb(sample_image(image, screen[..., :2]))
    cosine = view_cosine(face.verts_cam, face.normals_view)
    read = _at_vertices(maps, screen[..., :2], camera)
    allowed = _sure(read.gather(2, region.expand(len(read), -1)[..., None])[..., 0])
    any_angle = vertices_in(region, *_ANY_ANGLE)
    facing = looked_into * torch.where(any_angle, torch.ones_like(cosine), grazing_weight(cosine))
    on_face = vertices_in(region, "face", "eyes_nose_mouth")
    rotated = step_down(cosine, DOUBTED_COSINE) * ~any_angle
    doubt = (read[..., -1] + rotated).clamp(max=1) * vertices_in(region, *_DOUBTED)
    expected = face.albedo * face.shading.clamp(min=MINIMUM_SHADING)
    lit = facing * on_face * _sure(read[..., -2])
    found = deviation(linear, expected, lit * (1 - doubt))
    inlier = inlier_weight(found, doubt)
    confidence = facing * allowed * inlier
    with_eyes = on_face | vertices_in(region, "eyeballs")
    of_skin, of_face = lit * inlier, confidence * with_eyes
    xy_px = screen[..., :2]
    return VertexObservation(linear, visible, confidence, allowed, of_skin, of_face, face.normals_view, xy_px)


def vertices_in(region: Tensor, *names: str) -> Tensor:
    """(V,) bool: vertices of some regions."""
    return torch.isin(region, region.new_tensor([REGIONS.index(name) for name in names]))


def _grown(visible: Tensor, faces: Tensor, part: Tensor) -> Tensor:
    """(B, V) bool: in a part (V,) of the mesh also the corners of triangles that have a visible one, and theirs.

    Of teeth between lips few vertices are visible, and the lips hide the other corners of their triangles.
    """
    rows = faces[part[faces].all(1)]
    grown = visible
    for _ in range(_GROWTH_STEPS):
        reached = grown[:, rows].any(2)
        count = torch.zeros_like(grown, dtype=torch.float32).index_add_(
            1, rows.T.reshape(-1), reached.repeat(1, 3).float()
        )
        grown = grown | (count > 0)
    return grown


def _at_vertices(maps: Tensor, xy_px: Tensor, camera: Camera) -> Tensor:
    """(B, V, C) of maps (B, C, H, W) at points (B, V, 2) of the camera's frame."""
    scale = xy_px.new_tensor([maps.shape[3] / camera.hw[1], maps.shape[2] / camera.hw[0]])
    return sample_image(maps, xy_px * scale)


def _sure(probability: Tensor) -> Tensor:
    """0 up to the first of `SURENESS`, evenly up to 1 at the second."""
    return ((probability - SURENESS[0]) / (SURENESS[1] - SURENESS[0])).clamp(0, 1)
