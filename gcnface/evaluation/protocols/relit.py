"""Relit error: one face under two lights must give one albedo.

A face with a known albedo is drawn under lamps from the front, both sides and above, of different colours and
strengths; every picture goes through the whole pipeline on its own. What a method calls albedo is compared between the
pictures, at the vertices that both show, and with the albedo that was drawn. Four soft lamps are spherical harmonics of
order 2, which is what the light estimate can express; two hard ones throw shadows, which it cannot. There are no
highlights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.face_model import FaceModel
from coarse.morphable import VIEW_FROM_CAM
from gcnface.evaluation.colors import color_difference, mean_difference
from gcnface.evaluation.methods import Method, fit_photo
from gcnface.evaluation.photo_evaluator import EvaluatedPhoto, textured_truth
from gcnface.evaluation.records import FittedPhoto, Measured, MethodResult, Metric
from gcnface.evaluation.scenes import backdrop, face_region, photograph, scene_camera, surface_of, vertex_albedo
from gcnface.pipeline import Reconstructor
from render.camera import pixel_camera
from render.lighting import ambient_lighting, sh_basis, shade
from render.visibility import depth_buffer, point_visibility

_SURE = 0.5
"""Confidence from which a vertex counts as shown."""
_DARKEST = 0.03


@dataclass(frozen=True)
class Lamp:
    """A distant lamp beside a faint light from everywhere.

    Attributes:
        name: what the lamp is called.
        direction: towards the lamp, viewing axes (x right, y up, z to the viewer).
        color: linear RGB of the lamp.
        ambient: shading by the light from everywhere.
        hard: a point far away that throws shadows; else what spherical harmonics of order 2 keep of it.
    """

    name: str
    direction: tuple[float, float, float]
    color: tuple[float, float, float]
    ambient: float
    hard: bool = False

    @property
    def towards(self) -> Tensor:
        """(3,) unit vector towards the lamp, viewing axes."""
        return torch.tensor(self.direction) / math.sqrt(sum(x * x for x in self.direction))

    def lighting(self) -> Tensor:
        """(1, 9, 3): radiance coefficients of a point at infinity are the harmonics in its direction."""
        return ambient_lighting(self.ambient) + sh_basis(self.towards)[None, :, None] * torch.tensor(self.color)

    def shading(self, verts_cam: Tensor, normals_view: Tensor, faces: Tensor) -> Tensor:
        """(V, 3) of a mesh: vertices (V, 3) in camera space, normals (V, 3) in viewing axes, faces (F, 3)."""
        if not self.hard:
            return shade(normals_view[None], self.lighting())[0].clamp(min=_DARKEST)
        cosine = (normals_view @ self.towards).clamp(min=0) * lit_vertices(verts_cam, faces, self.towards)
        return self.ambient + cosine[:, None] * torch.tensor(self.color)


LAMPS = (
    Lamp("front", (0.0, 0.2, 1.0), (0.70, 0.70, 0.70), 0.30),
    Lamp("left", (-1.0, 0.2, 0.6), (0.90, 0.77, 0.63), 0.15),
    Lamp("right", (1.0, 0.2, 0.6), (0.61, 0.74, 0.85), 0.15),
    Lamp("top", (0.0, 1.0, 0.5), (0.55, 0.55, 0.55), 0.12),
)
"""White, warm, cool and dim; none drives skin to the end of the range."""

HARD_LAMPS = (
    Lamp("hard left", (-0.8, 0.5, 0.8), (0.85, 0.85, 0.85), 0.18, hard=True),
    Lamp("hard right", (0.8, 0.5, 0.8), (0.85, 0.85, 0.85), 0.18, hard=True),
)
_SHADOW_PX, _SHADOW_TOLERANCE_MM = 512, 4.0


def lit_vertices(verts_cam: Tensor, faces: Tensor, towards: Tensor) -> Tensor:
    """(V,) bool: vertices in no shadow of the mesh itself, by a shadow map (Williams 1978).

    Args:
        verts_cam: (V, 3) mm, camera space.
        faces: (F, 3) int64.
        towards: (3,) unit, viewing axes, to the lamp.
    """
    away = -towards * towards.new_tensor(VIEW_FROM_CAM)
    side = torch.linalg.cross(away, away.new_tensor([0.0, 0.0, 1.0] if abs(float(away[1])) > 0.9 else [0.0, 1.0, 0.0]))
    side = side / side.norm()
    points = verts_cam @ torch.stack([side, torch.linalg.cross(away, side), away], dim=1)
    low, high = points.amin(0), points.amax(0)
    scale = 0.98 * _SHADOW_PX / float((high - low)[:2].max())
    screen = torch.cat([(points - low)[:, :2] * scale, (points - low)[:, 2:] + 1.0], dim=1)[None]
    hw = (_SHADOW_PX, _SHADOW_PX)
    depth = depth_buffer(screen, faces, pixel_camera(hw))
    return point_visibility(screen, depth, hw, tolerance_mm=_SHADOW_TOLERANCE_MM)[0]


@dataclass(frozen=True)
class LitPicture:
    """A drawn face after the coarse stage.

    Attributes:
        fitted: what the pipeline found in it.
        shown: (V,) bool, vertices of the face whose colours it shows.
    """

    fitted: FittedPhoto
    shown: Tensor


def draw_under(
    model: FaceModel, fitted: FittedPhoto, texture_srgb: NDArray[np.float32], lamp: Lamp, behind: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(S, S, 3) sRGB: a face in its photo's pose with a texture of albedo, under a lamp."""
    face, surface = fitted.view.coarse, surface_of(model, texture_srgb)
    verts = face.verts_cam[0].cpu()
    shading = lamp.shading(verts, face.normals_view[0].cpu(), surface.faces)
    return photograph(surface, verts, shading, scene_camera(verts[face_region(model)]), behind)


def lit_pictures(
    reconstructor: Reconstructor, fitted: FittedPhoto, truth: MethodResult, lamps: Sequence[Lamp] = LAMPS
) -> Iterator[LitPicture]:
    """The face under each lamp, each picture through the whole pipeline; those without a found face are left out."""
    assert truth.texture is not None
    model = reconstructor.model
    on_face = face_region(model)
    behind = backdrop(fitted.view.photo)
    for lamp in lamps:
        found = fit_photo(reconstructor, draw_under(model, fitted, truth.texture, lamp, behind))
        if found is not None:
            yield LitPicture(found, on_face & (found.observation.confidence[0].cpu() > _SURE))


def relit_errors(
    albedos: Sequence[Tensor], shown: Sequence[Tensor], true: Tensor, view: str = "relit"
) -> dict[Metric, float]:
    """Compare what a method calls albedo between pictures, and with the truth; means over the pairs and the pictures.

    Args:
        albedos: (V, 3) linear, of each picture.
        shown: (V,) bool, the vertices that each shows.
        true: (V, 3) linear, the albedo that was drawn.
        view: "relit" or "relit_hard".
    """
    pictures = list(zip(albedos, shown, strict=True))
    pairs = [(one, other, here & there) for (one, here), (other, there) in combinations(pictures, 2)]
    to_true = [(albedo, true, where) for albedo, where in pictures]
    found: dict[Metric, float] = {}
    for name, compared in ((view, pairs), (f"{view}_true", to_true)):
        plain, gained = (mean_difference([color_difference(*p, gain=gain) for p in compared]) for gain in (False, True))
        found |= {Metric("l1", name): plain.l1, Metric("l1", name, gain=True): gained.l1}
        found[Metric("psnr", name)] = plain.psnr_db
    return found


def measure(reconstructor: Reconstructor, methods: Mapping[str, Method], subject: EvaluatedPhoto) -> list[Measured]:
    """One photo's face under the soft lamps and under the hard ones; the face in our texture is what is drawn."""
    truth = textured_truth(reconstructor, subject)
    true = vertex_albedo(reconstructor.model, truth)
    measured = []
    for view, lamps in (("relit", LAMPS), ("relit_hard", HARD_LAMPS)):
        pictures = list(lit_pictures(reconstructor, subject.fitted, truth, lamps))
        shown = [picture.shown for picture in pictures]
        for name, method in methods.items():
            albedos = [vertex_albedo(reconstructor.model, method(picture.fitted)) for picture in pictures]
            found = relit_errors(albedos, shown, true, view)
            measured += [Measured(name, metric, value) for metric, value in found.items()]
    return measured
