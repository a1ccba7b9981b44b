"""Heads whose skin is known: a fitted head, its skin moved to a typology angle, drawn as a camera that meters sees it.

The albedo of the skin is the coarse face's times one factor a channel, along which blood and melanin darken skin; brows
and lips go along. Eyes, background and hair keep their own albedo, so that a picture of dark skin in bright light and
one of light skin in dim light differ as they do in photographs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from coarse.face_model import LANDMARKS5_FROM_468, FaceModel
from gcnface.evaluation.groups import cheeks_and_forehead, typology_angle_deg
from gcnface.evaluation.protocols.relit import Lamp
from gcnface.evaluation.records import FittedPhoto
from gcnface.evaluation.scenes import SCENE_PX, scene_camera
from gcnface.photo.detection import Detection
from render.camera import Camera
from render.color import srgb_from_linear
from render.interpolate import interpolate
from render.rasterize import rasterize

ANGLES_DEG = {
    "dark": (-50.0, -35.0),
    "brown": (-25.0, 5.0),
    "tan": (12.0, 26.0),
    "intermediate": (30.0, 39.0),
    "light": (43.0, 53.0),
    "very light": (56.0, 60.0),
}
"""Range of typology angles that heads of a group are given, inside the bounds of `gcnface.evaluation.groups.TONES`."""

LAMPS = (
    Lamp("even", (0.0, 0.3, 1.0), (0.25, 0.25, 0.25), 0.75),
    Lamp("front", (0.2, 0.4, 1.0), (0.70, 0.70, 0.70), 0.30),
    Lamp("left, hard", (-1.0, 0.3, 0.5), (0.90, 0.90, 0.90), 0.12, hard=True),
    Lamp("right", (1.0, 0.2, 0.6), (0.80, 0.80, 0.80), 0.20),
    Lamp("top, hard", (0.1, 1.0, 0.6), (0.80, 0.80, 0.80), 0.25, hard=True),
    Lamp("warm", (-0.5, 0.3, 1.0), (0.80, 0.66, 0.48), 0.25),
    Lamp("cool", (0.5, 0.3, 1.0), (0.55, 0.66, 0.78), 0.25),
    Lamp("dusk", (0.0, 0.6, 1.0), (0.50, 0.46, 0.42), 0.20),
)
EXPOSURE_STOPS = (0.0, 0.3, -0.3, 0.0, 0.5, 0.0, 0.0, -1.0)
"""By which each lamp's picture departs from what the camera meters."""

MIDDLE_GRAY = 0.18
"""Linear luminance that the camera brings the mean of its picture to."""
SKIN_PATH = (0.9, 1.0, 1.1)
"""Logarithms of red, green and blue go together in these shares from light skin to dark."""
SCLERA, IRIS = (0.60, 0.50, 0.46), (0.07, 0.05, 0.04)
"""Linear albedo of the eyes."""
EYE_SOCKET = 0.7
"""Light that lids and lashes leave on the eyes."""
_IRIS_COSINE = 0.90
"""Cosine to the axis of an eyeball from which its surface is iris."""
_HAIR = ((0.02, 0.016, 0.014), (0.08, 0.05, 0.03), (0.30, 0.20, 0.11))
_BACKGROUNDS = (0.08, 0.18, 0.35, 0.6)
_LUMINANCE = (0.2126, 0.7152, 0.0722)
_FINER = 2


@dataclass(frozen=True)
class KnownHead:
    """A picture of a head whose skin is known.

    Attributes:
        group: of `ANGLES_DEG`.
        lamp: its name.
        picture: (S, S, 3) float32 sRGB.
        detection: where the face is.
        albedo: (V, 3) linear, what was drawn.
    """

    group: str
    lamp: str
    picture: NDArray[np.float32]
    detection: Detection
    albedo: Tensor


def of_angle(albedo: Tensor, patch: NDArray[np.bool_], angle_deg: float) -> Tensor:
    """(3,) the factors that bring the skin of albedo (V, 3) at `patch` (V,) to a typology angle."""
    path, skin = torch.tensor(SKIN_PATH), albedo[torch.from_numpy(patch)]
    low, high = -4.0, 1.5
    for _ in range(30):
        middle = (low + high) / 2
        too_dark = typology_angle_deg(skin * (path * middle).exp()) < angle_deg
        low, high = (middle, high) if too_dark else (low, middle)
    return (path * low).exp()


def painted(model: FaceModel, albedo: Tensor, angle_deg: float, rng: np.random.Generator) -> Tensor:
    """(V, 3) linear albedo of a head with skin of an angle, hair on its scalp and white eyes."""
    tint = torch.from_numpy(rng.normal(0, 0.04, 3)).float().exp()
    skin = albedo * tint
    skin = (skin * of_angle(skin, cheeks_and_forehead(model), angle_deg)).clamp(max=1.0)
    scalp = torch.from_numpy(model.region_mask("scalp"))[:, None]
    hair = _HAIR[0 if angle_deg < 28 else int(rng.integers(len(_HAIR)))]
    eyes, iris = (torch.from_numpy(mask)[:, None] for mask in _eyes(model))
    skin = torch.where(scalp, torch.tensor(hair), skin)
    return torch.where(eyes, EYE_SOCKET * torch.where(iris, torch.tensor(IRIS), torch.tensor(SCLERA)), skin)


def _eyes(model: FaceModel) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(V,) the eyeballs, and their irises."""
    eyes, iris = model.region_mask("eyeballs"), np.zeros(len(model.mean), bool)
    for side in (-1, 1):
        ball = eyes & (side * model.mean[:, 0] > 0)
        points = model.mean[ball].astype(np.float64)
        center = np.linalg.lstsq(np.c_[2 * points, np.ones(len(points))], (points**2).sum(1), rcond=None)[0][:3]
        away = points - center
        iris[ball] = away[:, 2] > _IRIS_COSINE * np.linalg.norm(away, axis=1)
    return eyes, iris


def known_heads(
    model: FaceModel, people: Sequence[FittedPhoto], of_each: int, *, lamps: int = 4, seed: int = 0
) -> Iterator[KnownHead]:
    """Heads of all six groups.

    Args:
        model: the face model.
        people: whose shape, pose and coarse albedo are drawn, in turn.
        of_each: heads a group.
        lamps: of `LAMPS` that each head is drawn under, in turn.
        seed: of angles, tints, hair and background.
    """
    rng, count = np.random.default_rng(seed), 0
    for group, (low, high) in ANGLES_DEG.items():
        for k, angle in enumerate(np.linspace(low, high, of_each)):
            person = people[(k + len(group)) % len(people)]
            albedo = painted(model, person.view.coarse.albedo[0].cpu(), float(angle), rng)
            for _ in range(lamps):
                which = count % len(LAMPS)
                yield _photographed(model, person, albedo, group, which, rng)
                count += 1
            count += lamps % len(LAMPS) == 0


def _photographed(
    model: FaceModel, person: FittedPhoto, albedo: Tensor, group: str, which: int, rng: np.random.Generator
) -> KnownHead:
    lamp, coarse = LAMPS[which], person.view.coarse
    faces, verts = torch.from_numpy(model.faces.astype(np.int64)), coarse.verts_cam[0].cpu()
    shading = lamp.shading(verts, coarse.normals_view[0].cpu(), faces)
    camera = scene_camera(verts[torch.from_numpy(model.region_mask("face"))])
    behind = rng.choice(_BACKGROUNDS) * (lamp.ambient + 0.5 * torch.tensor(lamp.color))
    linear = drawn(verts, faces, albedo * shading, camera, behind)
    gain = MIDDLE_GRAY / float((linear @ torch.tensor(_LUMINANCE)).mean()) * 2 ** EXPOSURE_STOPS[which]
    picture = (srgb_from_linear((gain * linear).clamp(0, 1)) * 255).round() / 255
    return KnownHead(group, lamp.name, picture.numpy(), _detection(model, verts, camera), albedo)


def drawn(verts: Tensor, faces: Tensor, colors: Tensor, camera: Camera, behind: Tensor) -> Tensor:
    """(S, S, 3) linear: a mesh with vertex colors (V, 3) over one color (3,)."""
    hw = (SCENE_PX * _FINER, SCENE_PX * _FINER)
    fragments = rasterize(verts[None], faces, camera.transformed(torch.diag(torch.tensor([2.0, 2.0, 1.0])), hw))
    samples = torch.where(fragments.mask[..., None], interpolate(colors, faces, fragments), behind)
    return avg_pool2d(samples.permute(0, 3, 1, 2), _FINER)[0].permute(1, 2, 0)


def _detection(model: FaceModel, verts: Tensor, camera: Camera) -> Detection:
    points = camera.project(model_landmarks(model, verts)[None])[0, :, :2].numpy()
    five = np.stack([points[list(index)].mean(0) for index in LANDMARKS5_FROM_468])
    box = np.concatenate([points.min(0), points.max(0)])
    return Detection(box.astype(np.float32), 1.0, five.astype(np.float32))


def model_landmarks(model: FaceModel, verts: Tensor) -> Tensor:
    """(468, 3) landmarks of a posed mesh (V, 3)."""
    corners = verts[torch.from_numpy(model.faces[model.landmarks468_face].astype(np.int64))]
    return (corners * torch.from_numpy(model.landmarks468_bary.astype(np.float32))[..., None]).sum(1)
