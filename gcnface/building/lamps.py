"""Light for drawn heads: an ambient part and some lamps, each with its color and the shadows that the head casts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from render.camera import pixel_camera
from render.visibility import vertex_visibility

_SHADOW_PX = 200
"""Side of the picture in which a lamp sees the head."""
_OFFSET_PX = 0.8137
"""Its margin; no round number, so that regular meshes have no edges on pixel centers, which belong to no triangle."""

_LUMINANCE = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True)
class Lamp:
    """A distant lamp.

    Attributes:
        direction: (3,) unit, from the head to the lamp, in viewing axes (x right, y up, z to the viewer).
        color: (3,) linear RGB, the radiosity it causes on a white surface that faces it.
    """

    direction: Tensor
    color: Tensor


@dataclass(frozen=True)
class Lamps:
    """What lights a head.

    Attributes:
        ambient: (3,) linear RGB.
        lamps: any number.
    """

    ambient: Tensor
    lamps: tuple[Lamp, ...] = ()

    def shading(self, verts_view: Tensor, normals_view: Tensor, faces: Tensor) -> Tensor:
        """Lambertian shading with cast shadows.

        Args:
            verts_view: (V, 3) mm, viewing axes.
            normals_view: (V, 3) unit.
            faces: (F, 3).

        Returns:
            (V, 3) linear RGB.
        """
        total = self.ambient.expand(len(verts_view), 3).clone()
        for lamp in self.lamps:
            lit = (normals_view @ lamp.direction).clamp(min=0) * seen_by(lamp.direction, verts_view, faces)
            total += lit[:, None] * lamp.color
        return total


def seen_by(direction: Tensor, verts_view: Tensor, faces: Tensor) -> Tensor:
    """(V,) 1 where nothing stands between a vertex and a distant lamp in `direction` (3,), else 0."""
    forward = -direction
    helper = direction.new_tensor([0.0, 1.0, 0.0] if abs(float(direction[1])) < 0.9 else [1.0, 0.0, 0.0])
    right = normalize(torch.linalg.cross(helper, direction), dim=0)
    down = torch.linalg.cross(forward, right)
    seen = verts_view @ torch.stack([right, down, forward], dim=1)
    low = seen.amin(0)
    scale = (_SHADOW_PX - 2) / float((seen.amax(0) - low)[:2].max())
    screen = (seen - low) * scale + _OFFSET_PX
    towards = front_faces(screen, faces)
    return vertex_visibility(screen[None], towards, pixel_camera((_SHADOW_PX, _SHADOW_PX)))[0].to(verts_view)


def front_faces(screen: Tensor, faces: Tensor) -> Tensor:
    """Those of a closed surface's triangles (F, 3) that turn their outside to the camera; the others hide behind them.

    Args:
        screen: (V, 2 or 3) px, y down.
        faces: counter-clockwise seen from outside.
    """
    a, b, c = (screen[:, :2].index_select(0, corner) for corner in faces.unbind(1))
    one, two = b - a, c - a
    return faces[one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0] < 0]


def random_lamps(rng: np.random.Generator) -> Lamps:
    """One to three lamps over an ambient part; a third of them light one side alone."""
    ambient = rng.uniform(0.03, 0.25) if rng.random() < 0.33 else rng.uniform(0.2, 0.7)
    lamps = []
    for _ in range(int(rng.integers(1, 4))):
        direction = rng.normal(size=3) * (1.0, 0.6, 0.5) + (0, 0.35, 0.4)
        unit = torch.from_numpy(direction / np.linalg.norm(direction)).float()
        lamps.append(Lamp(unit, torch.from_numpy(rng.uniform(0.2, 1.2) * _tint(rng, 0.15)).float()))
    return Lamps(torch.from_numpy(ambient * _tint(rng, 0.1)).float(), tuple(lamps))


def exposed(linear: Tensor, towards: Tensor, rng: np.random.Generator) -> Tensor:
    """Colors (V, 3) at a random exposure, some of them too dark or too bright, judged where `towards` (V,) holds."""
    luminance = float((linear[towards] @ linear.new_tensor(_LUMINANCE)).median()) if bool(towards.any()) else 0.2
    wanted = float(np.clip(np.exp(rng.normal(np.log(0.22), 0.6)), 0.03, 0.7))
    return linear * (wanted / max(luminance, 1e-3))


def _tint(rng: np.random.Generator, deviation: float) -> np.ndarray:
    """(3,) a color near white: warm to cool, with a little green and magenta."""
    warm, green = rng.normal(0, deviation), rng.normal(0, deviation / 4)
    return np.exp(np.array([warm, green, -warm]))
