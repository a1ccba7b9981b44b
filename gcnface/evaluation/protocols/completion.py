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
from numpy.typing import NDArray
from torch import Tensor

from coarse.face_model import FaceModel
from coarse.morphable import VIEW_FROM_CAM
from gcnface.evaluation.colors import Difference, color_difference
from gcnface.evaluation.methods import Method, fit_photo
from gcnface.evaluation.photo_evaluator import EvaluatedPhoto, head_yaw_deg, textured_truth
from gcnface.evaluation.records import PHOTO_ITSELF, FittedPhoto, Measured, MethodResult, Metric, averaged
from gcnface.evaluation.rendering import all_turns, rotated
from gcnface.evaluation.scenes import backdrop, face_region, photograph, scene_camera, surface_of, vertex_albedo
from gcnface.pipeline import Reconstructor
from gcnface.stages.observation import grazing_weight, view_cosine
from render.camera import Camera
from render.normals import vertex_normals
from render.visibility import vertex_visibility

TURNS_DEG = (0.0, 30.0, 60.0)
"""Turns of the drawn heads; each but 0 is drawn to both sides."""
FRONTAL_DEG = 20.0
"""Photos whose head is turned further show too little to be a truth."""

_SURE = 0.5
_SHOWN, _HIDDEN = 0.5, 0.01
"""Weight by angle from which a vertex was shown, and up to which it was hidden; what lies between counts as neither."""


@dataclass(frozen=True)
class HeldOutView:
    """A drawn picture and what is true at the vertices of the face found in it.

    Attributes:
        yaw_deg: how far the head was turned; positive turns the nose to the viewer's right.
        picture: (S, S, 3) sRGB.
        fitted: what the pipeline found in it, None when it found no face.
        lit: (V, 3) linear, true colours in the picture's light.
        shown: (V,) bool, true colour known and shown by the picture.
        hidden: (V,) bool, true colour known and not shown by it.
    """

    yaw_deg: float
    picture: NDArray[np.float32]
    fitted: FittedPhoto | None
    lit: Tensor
    shown: Tensor
    hidden: Tensor


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


def held_out_view(
    model: FaceModel, fitted: FittedPhoto, truth: MethodResult, yaw_deg: float, behind: NDArray[np.float32]
) -> HeldOutView:
    """Draw a photo's head turned by an angle, light and all; nothing has looked at the picture yet.

    Args:
        model: the face model.
        fitted: the photo after the coarse stage.
        truth: a texture that carries the photo's own colours where it showed the face.
        yaw_deg: the turn.
        behind: (S, S, 3) sRGB background.
    """
    assert truth.texture is not None
    face = fitted.view.coarse
    surface = surface_of(model, truth.texture)
    on_face = face_region(model)
    verts = rotated(face.verts_cam.cpu(), face.coefficients.translation.cpu(), yaw_deg)[0]
    camera = scene_camera(verts[on_face])
    picture = photograph(surface, verts, truth.rotated_light, camera, behind)
    weight = shown_weight(verts, surface.faces, camera)
    known = on_face & (fitted.observation.confidence[0].cpu() > _SURE)
    lit = vertex_albedo(model, truth) * truth.rotated_light
    return HeldOutView(yaw_deg, picture, None, lit, *split_by_weight(known, weight))


def split_by_weight(known: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """(V,) bool of the vertices with a known color: those that a picture shows, and those that it hides."""
    return known & (weight > _SHOWN), known & (weight < _HIDDEN)


def measure(reconstructor: Reconstructor, methods: Mapping[str, Method], subject: EvaluatedPhoto) -> list[Measured]:
    """The side of the face that a turned picture does not show; nothing for photos whose head is turned itself."""
    if abs(head_yaw_deg(subject.fitted)) > FRONTAL_DEG:
        return []
    fitted, truth = subject.fitted, textured_truth(reconstructor, subject)
    behind = backdrop(fitted.view.photo)
    drawn = (held_out_view(reconstructor.model, fitted, truth, yaw, behind) for yaw in all_turns(TURNS_DEG))
    views = [replace(view, fitted=fit_photo(reconstructor, view.picture)) for view in drawn]
    return found_shares(views) + compare_views(reconstructor.model, views, methods)


def view_differences(lit: Tensor, view: HeldOutView) -> dict[Metric, Difference]:
    """A method's lit colors (V, 3), linear, against the truth; of what was shown without the gain alone.

    The keys are PSNRs. With the gain, what was shown differs by a tenth of a decibel only.
    """
    turn = abs(view.yaw_deg)
    parts = (("hidden", view.hidden, False), ("hidden", view.hidden, True), ("shown", view.shown, False))
    return {
        Metric("psnr", name, turn, gain=gain): color_difference(lit, view.lit, where, gain=gain)
        for name, where, gain in parts
    }


def compare_views(model: FaceModel, views: Sequence[HeldOutView], methods: Mapping[str, Method]) -> list[Measured]:
    """Every method on every view with a found face; both sides of a turn are averaged."""
    measured = []
    for name, method in methods.items():
        for view in views:
            if view.fitted is not None:
                result = method(view.fitted)
                lit = vertex_albedo(model, result) * result.rotated_light
                for metric, apart in view_differences(lit, view).items():
                    measured.append(Measured(name, metric, apart.psnr_db))
                    if not metric.gain:
                        measured.append(Measured(name, replace(metric, metric="l1"), apart.l1))
    return averaged(measured)


def found_shares(views: Sequence[HeldOutView]) -> list[Measured]:
    """In which share of the drawn pictures a face was found, by the turn."""
    return averaged(
        Measured(PHOTO_ITSELF, Metric("found_share", "drawn", abs(view.yaw_deg)), float(view.fitted is not None))
        for view in views
    )
