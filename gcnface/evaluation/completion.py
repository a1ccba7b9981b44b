"""Texture completion: what a method paints on the side of a face that its picture did not show.

The head of a near-frontal photo, in the photo's own colours and light, is drawn turned to one side. The drawn picture
goes through the whole pipeline from detection on. What the photo showed and the drawn picture hides is the truth that
no method has seen.

Lit colours are compared, not albedo: light and camera move together around the head, so the colours that a photo showed
stay the truth whatever was taken for its light, and no method's own idea of albedo judges another's. A wrong light on
the hidden side counts as an error. One factor a channel may be taken out for all methods alike; both are reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.face_model import FaceModel
from coarse.morphable import VIEW_FROM_CAM
from gcnface.evaluation.colors import Difference, color_difference, mean_difference
from gcnface.evaluation.methods import METHODS, Method, fit_photo
from gcnface.evaluation.records import FittedPhoto, MethodResult
from gcnface.evaluation.rendering import rotated
from gcnface.evaluation.scenes import backdrop, photograph, scene_camera, surface_of, vertex_albedo
from gcnface.pipeline import Reconstructor
from gcnface.stages.observation import grazing_weight, view_cosine
from render.camera import Camera
from render.normals import vertex_normals
from render.visibility import vertex_visibility

TURNS_DEG = (0.0, 30.0, 60.0)
"""Each but 0 to both sides."""
FRONTAL_DEG = 20.0
"""Photos whose head is turned further show too little to be a truth."""
FACE_REGIONS = ("face", "eyes_nose_mouth")

_SURE = 0.5
_SHOWN, _HIDDEN = 0.5, 0.01
"""Weight by angle from which a vertex was shown, and up to which it was hidden; what lies between counts as neither."""


@dataclass(frozen=True)
class HeldOutView:
    """A drawn picture and what is true at the vertices of the face found in it.

    Attributes:
        yaw_deg: how far the head was turned; positive turns the nose to the viewer's right.
        picture: (S, S, 3) sRGB.
        seen: what the pipeline found in it, None when it found no face.
        lit: (V, 3) linear, true colours in the picture's light.
        shown: (V,) bool, true colour known and shown by the picture.
        hidden: (V,) bool, true colour known and not shown by it.
    """

    yaw_deg: float
    picture: NDArray[np.float32]
    seen: FittedPhoto | None
    lit: Tensor
    shown: Tensor
    hidden: Tensor


def all_turns(turns_deg: Sequence[float] = TURNS_DEG) -> list[float]:
    """Turns to both sides; 0 once."""
    return [sign * turn for turn in turns_deg for sign in ((1.0,) if turn == 0 else (-1.0, 1.0))]


def shown_weight(verts_cam: Tensor, faces: Tensor, camera: Camera) -> Tensor:
    """(V,) in [0, 1]: how well a camera sees each vertex, 0 where it is hidden or turned away.

    Args:
        verts_cam: (V, 3) mm, camera space.
        faces: (F, 3) int64.
        camera: of the picture.
    """
    verts = verts_cam[None]
    visible = vertex_visibility(verts, faces, camera)
    normals_view = vertex_normals(verts, faces) * verts.new_tensor(VIEW_FROM_CAM)
    return (grazing_weight(view_cosine(verts, normals_view)) * visible)[0]


def rotated_light(result: MethodResult) -> Tensor:
    """(V, 3) linear: what a turned head's albedo is multiplied by."""
    return result.shading if result.light is None else result.light


def held_out_view(
    model: FaceModel, seen: FittedPhoto, truth: MethodResult, yaw_deg: float, behind: NDArray[np.float32]
) -> HeldOutView:
    """Draw a photo's head turned by an angle, light and all; nothing has looked at the picture yet.

    Args:
        model: the face model.
        seen: the photo after the coarse stage.
        truth: a texture that carries the photo's own colours where it showed the face.
        yaw_deg: the turn.
        behind: (S, S, 3) sRGB background.
    """
    assert truth.texture is not None
    face = seen.view.coarse
    surface = surface_of(model, truth.texture)
    on_face = torch.from_numpy(model.region_mask(*FACE_REGIONS))
    verts = rotated(face.verts_cam.cpu(), face.coefficients.translation.cpu(), yaw_deg)[0]
    camera = scene_camera(verts[on_face])
    picture = photograph(surface, verts, rotated_light(truth), camera, behind)
    weight = shown_weight(verts, surface.faces, camera)
    known = on_face & (seen.observation.confidence[0].cpu() > _SURE)
    lit = vertex_albedo(model, truth) * rotated_light(truth)
    return HeldOutView(yaw_deg, picture, None, lit, known & (weight > _SHOWN), known & (weight < _HIDDEN))


def completion_differences(lit: Tensor, view: HeldOutView) -> dict[str, Difference]:
    """A method's lit colours (V, 3), linear, against the truth: by name, with and without the gain."""
    parts = {"hidden": view.hidden, "shown": view.shown}
    return {
        name + suffix: color_difference(lit, view.lit, where, gain=gain)
        for name, where in parts.items()
        for suffix, gain in (("", False), ("_gain", True))
    }


def completion_figures(
    model: FaceModel, views: Sequence[HeldOutView], methods: Mapping[str, Method]
) -> dict[str, dict[str, float]]:
    """Figures by method and name, such as "hidden60_psnr"; both sides of a turn are averaged.

    Views without a found face count for nothing here; `found_shares` tells of them.
    """
    found: dict[str, dict[str, float]] = {}
    for name, method in methods.items():
        parts: dict[str, list[Difference]] = {}
        for view in views:
            if view.seen is None:
                continue
            result = method(view.seen)
            lit = vertex_albedo(model, result) * rotated_light(result)
            for part, difference in completion_differences(lit, view).items():
                if part == "shown_gain":
                    continue  # within a tenth of a decibel of the one without
                kind, _, gain = part.partition("_")
                key = f"{kind}{abs(view.yaw_deg):g}" + (f"_{gain}" if gain else "")
                parts.setdefault(key, []).append(difference)
        means = {key: mean_difference(values) for key, values in parts.items()}
        found[name] = {f"{key}_psnr": mean.psnr_db for key, mean in means.items()}
        found[name] |= {f"{key}_l1": mean.l1 for key, mean in means.items() if not key.endswith("_gain")}
    return found


def found_shares(views: Sequence[HeldOutView]) -> dict[str, float]:
    """In which share of the drawn pictures a face was found, by the turn: "found60"."""
    counts: dict[str, list[bool]] = {}
    for view in views:
        counts.setdefault(f"found{abs(view.yaw_deg):g}", []).append(view.seen is not None)
    return {name: sum(values) / len(values) for name, values in counts.items()}


def held_out_views(
    reconstructor: Reconstructor, seen: FittedPhoto, turns_deg: Sequence[float] = TURNS_DEG
) -> list[HeldOutView]:
    """A photo's head turned to every angle, each picture through the whole pipeline."""
    truth = METHODS["ours"].build(reconstructor)(seen)
    behind = backdrop(seen.view.photo)
    drawn = (held_out_view(reconstructor.model, seen, truth, yaw, behind) for yaw in all_turns(turns_deg))
    return [replace(view, seen=fit_photo(reconstructor, view.picture)) for view in drawn]
