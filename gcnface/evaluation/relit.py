"""Relit error: one face under two lights must give one albedo.

A face with a known albedo is drawn under lamps from the front, both sides and above, of different colours and
strengths; every picture goes through the whole pipeline on its own. What a method calls albedo is compared between the
pictures, at the vertices that both show, and with the albedo that was drawn. The lamps are spherical harmonics of order
2, which is what the light estimate can express; cast shadows and highlights are not among them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.face_model import FaceModel
from gcnface.evaluation.colours import Difference, colour_difference, mean_difference
from gcnface.evaluation.methods import METHODS, Method, look
from gcnface.evaluation.records import Painted, Seen
from gcnface.evaluation.scenes import backdrop, photograph, scene_camera, surface_of, vertex_albedo
from gcnface.pipeline import Reconstructor
from render.lighting import ambient_lighting, sh_basis, shade

_SURE = 0.5
"""Confidence from which a vertex counts as shown."""
_DARKEST = 0.03


@dataclass(frozen=True)
class Lamp:
    """A distant lamp beside a faint light from everywhere.

    Attributes:
        name: of it.
        direction: towards the lamp, viewing axes (x right, y up, z to the viewer).
        colour: linear RGB of the lamp.
        ambient: shading by the light from everywhere.
    """

    name: str
    direction: tuple[float, float, float]
    colour: tuple[float, float, float]
    ambient: float

    def lighting(self) -> Tensor:
        """(1, 9, 3): radiance coefficients of a point at infinity are the harmonics in its direction."""
        towards = torch.tensor(self.direction) / math.sqrt(sum(x * x for x in self.direction))
        return ambient_lighting(self.ambient) + sh_basis(towards)[None, :, None] * torch.tensor(self.colour)


LAMPS = (
    Lamp("front", (0.0, 0.2, 1.0), (0.70, 0.70, 0.70), 0.30),
    Lamp("left", (-1.0, 0.2, 0.6), (0.90, 0.77, 0.63), 0.15),
    Lamp("right", (1.0, 0.2, 0.6), (0.61, 0.74, 0.85), 0.15),
    Lamp("top", (0.0, 1.0, 0.5), (0.55, 0.55, 0.55), 0.12),
)
"""White, warm, cool and dim; none drives skin to the end of the range."""


@dataclass(frozen=True)
class Relit:
    """What one method made of one face under all lamps.

    Attributes:
        between: albedo of one picture against that of another, mean over the pairs.
        between_gain: the same after one factor a channel.
        true: against the albedo that was drawn, mean over the pictures.
        true_gain: the same after one factor a channel.
    """

    between: Difference
    between_gain: Difference
    true: Difference
    true_gain: Difference

    def figures(self) -> dict[str, float]:
        """By name, as in the tables."""
        parts = {"relit": self.between, "relit_gain": self.between_gain}
        parts |= {"relit_true": self.true, "relit_true_gain": self.true_gain}
        return {f"{name}_l1": part.l1 for name, part in parts.items()} | {
            f"{name}_psnr": part.psnr_db for name, part in parts.items()
        }


@dataclass(frozen=True)
class LitPicture:
    """A drawn face after the coarse stage.

    Attributes:
        picture: (S, S, 3) sRGB.
        seen: what the pipeline found in it.
        shown: (V,) bool, vertices of the face whose colours it shows.
    """

    picture: NDArray[np.float32]
    seen: Seen
    shown: Tensor


def draw_under(
    model: FaceModel, seen: Seen, texture_srgb: NDArray[np.float32], lamp: Lamp, behind: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(S, S, 3) sRGB: a face in its photo's pose with a texture of albedo, under a lamp."""
    face = seen.view.coarse
    shading = shade(face.normals_view.cpu(), lamp.lighting())[0].clamp(min=_DARKEST)
    verts = face.verts_cam[0].cpu()
    on_face = torch.from_numpy(model.region_mask("face", "eyes_nose_mouth"))
    return photograph(surface_of(model, texture_srgb), verts, shading, scene_camera(verts[on_face]), behind)


def lit_pictures(reconstructor: Reconstructor, seen: Seen, truth: Painted) -> Iterator[LitPicture]:
    """The face under every lamp, each picture through the whole pipeline; those without a found face are left out."""
    assert truth.texture is not None
    model = reconstructor.model
    on_face = torch.from_numpy(model.region_mask("face", "eyes_nose_mouth"))
    behind = backdrop(seen.view.photo)
    for lamp in LAMPS:
        picture = draw_under(model, seen, truth.texture, lamp, behind)
        found = look(reconstructor, picture)
        if found is not None:
            yield LitPicture(picture, found, on_face & (found.observation.confidence[0].cpu() > _SURE))


def relit_errors(albedos: list[Tensor], shown: list[Tensor], true: Tensor) -> Relit:
    """Compare a method's albedos (V, 3), linear, of pictures that show the vertices `shown` (V,), with the true one."""
    pairs = list(combinations(range(len(albedos)), 2))

    def between(gain: bool) -> Difference:
        return mean_difference(
            [colour_difference(albedos[i], albedos[j], shown[i] & shown[j], gain=gain) for i, j in pairs]
        )

    def to_true(gain: bool) -> Difference:
        return mean_difference(
            [colour_difference(albedo, true, where, gain=gain) for albedo, where in zip(albedos, shown, strict=True)]
        )

    return Relit(between(False), between(True), to_true(False), to_true(True))


def measure_relit(reconstructor: Reconstructor, seen: Seen, methods: Mapping[str, Method]) -> dict[str, Relit]:
    """The relit errors of one photo's face, by method.

    Args:
        reconstructor: holds the networks.
        seen: the photo after the coarse stage; its face in our texture is what is drawn.
        methods: by name.
    """
    truth = METHODS["ours"].build(reconstructor)(seen)
    pictures = list(lit_pictures(reconstructor, seen, truth))
    shown = [picture.shown for picture in pictures]
    true = vertex_albedo(reconstructor.model, truth)
    return {
        name: relit_errors([vertex_albedo(reconstructor.model, method(p.seen)) for p in pictures], shown, true)
        for name, method in methods.items()
    }
