"""A face in another light, another pose, another expression: new records, the old one stays as it is.

Albedo (vertex colours and texture), light (nine spherical harmonics) and shading are kept apart in a `Reconstruction`;
what is drawn is their product in linear light. So light and pose are exchanged without touching the albedo.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from coarse.face_model import FaceModel
from coarse.morphable import cam_from_model
from gcnface.errors import GcnfaceError
from gcnface.face_model import known_model, shipped_model
from gcnface.result.lights import OWN, LightLike, lighting_of
from gcnface.system.isolation import plain_torch
from render.color import linear_from_srgb, srgb_from_linear
from render.lighting import MINIMUM_SHADING, rotated_lighting, shade
from render.normals import vertex_normals
from render.rotation import axis_angle_from_rotation, rotation_from_axis_angle, rotation_from_euler

if TYPE_CHECKING:
    from gcnface.result.reconstruction import Reconstruction


class ExpressionError(GcnfaceError):
    """A blendshape that is not known, or a face whose units are not known."""


@plain_torch()
def shading(face: Reconstruction) -> NDArray[np.float32]:
    """(V, 3) linear, from normals and light; at least `MINIMUM_SHADING`, by which the photo's colours were divided."""
    rotation = rotation_from_axis_angle(torch.from_numpy(face.rotation)[None])
    normals_view = torch.from_numpy(face.mesh.normals)[None] @ rotation.mT
    shaded = shade(normals_view, torch.from_numpy(face.lighting)[None])
    return shaded.clamp(min=MINIMUM_SHADING)[0].numpy()


@plain_torch()
def drawn_shading(face: Reconstruction) -> NDArray[np.float32]:
    """(V, 3) linear: what the albedo is multiplied by in a drawing.

    It is the shading; under the light of the photo it holds cast shadows and highlights as well, which nine harmonics
    do not have. They stick to the skin when the head turns, and go when it is relit.
    """
    return shading(face) if face.vertex_light is None else face.vertex_light


@plain_torch()
def relit(face: Reconstruction, light: LightLike) -> Reconstruction:
    """The face in another light; albedo, shape and pose stay. Cast shadows and highlights of the photo go.

    Args:
        face: what to light.
        light: as `gcnface.result.lights.lighting_of` takes it, or "own", which changes nothing.

    Raises:
        LightError: the light is not known or cannot be read.
        ValueError: numbers of another shape.
    """
    if isinstance(light, str) and light.lower() == OWN:
        return face
    return _shaded_anew(face, replace(face, lighting=lighting_of(light)), same_light=False)


@plain_torch()
def rotated(
    face: Reconstruction,
    yaw: float = 0.0,
    pitch: float = 0.0,
    roll: float = 0.0,
    *,
    upright: bool = False,
    light_follows: bool = False,
) -> Reconstruction:
    """The head turned about its own axes through its origin, between the ears.

    Args:
        face: what to turn.
        yaw: degrees; positive turns the nose to the viewer's right.
        pitch: degrees; positive bends it down.
        roll: degrees; positive leans the head counter-clockwise.
        upright: turn from looking straight into the camera instead of from the pose it has.
        light_follows: turn the light with the head, as if the camera walked around; else the light stays where it is.

    Returns:
        A record whose pose, vertices in camera space, landmarks in px and lit colours are new. What tells of the photo
        (``visible``, ``texel_source``) still does.

    Raises:
        ValueError: an angle is not finite.
    """
    if not all(math.isfinite(angle) for angle in (yaw, pitch, roll)):
        raise ValueError(f"yaw, pitch and roll are {yaw}, {pitch}, {roll}; expected degrees")
    if not (yaw or pitch or roll or upright):
        return face
    angles = (torch.tensor([math.radians(angle)]) for angle in (yaw, pitch, roll))
    before = rotation_from_axis_angle(torch.from_numpy(face.rotation)[None])
    after = (torch.eye(3)[None] if upright else before) @ rotation_from_euler(*angles)
    changes = {"rotation": axis_angle_from_rotation(after)[0].numpy()}
    if light_follows:
        changes["lighting"] = rotated_lighting(torch.from_numpy(face.lighting)[None], after @ before.mT)[0].numpy()
    return _shaded_anew(face, _placed(face, **changes))


@plain_torch()
def with_expression(face: Reconstruction, expression: Mapping[str, float], *, neutral: bool = False) -> Reconstruction:
    """The face with another expression.

    Args:
        face: whose expression changes.
        expression: blendshapes by their ARKit names, added to those the face has (the same number does the same as the
            weight of the morph target in NAME.glb). 1 is the full unit; a negative number takes from the face's own.
        neutral: start from the face at rest, so that the numbers are the expression itself.

    Raises:
        ExpressionError: a name is not known, or the face was made with another face model than this gcnface has.
        ValueError: a number is not finite.
    """
    names = face.expression_names
    unknown = [name for name in expression if name not in names]
    if unknown:
        raise ExpressionError(_unknown(unknown, names))
    change = np.zeros_like(face.expression)
    change[: len(names)] = [float(expression.get(name, 0.0)) for name in names]
    if not np.isfinite(change).all():
        raise ValueError(f"expression is {dict(expression)}; expected finite numbers, 1 for the full unit")
    wanted = (np.zeros_like(face.expression) if neutral else face.expression) + change
    delta = wanted - face.expression
    if not delta.any():
        return face
    model = model_of(face)
    used = np.flatnonzero(delta)
    vertices = face.mesh.vertices + (model.expression_basis[..., used] @ delta[used]).astype(np.float32)
    faces = torch.from_numpy(face.faces)
    mesh = replace(
        face.mesh,
        vertices=vertices,
        normals=vertex_normals(torch.from_numpy(vertices)[None], faces)[0].numpy(),
        landmarks68=model.landmarks68(vertices).astype(np.float32),
        landmarks468=model.landmarks468(vertices).astype(np.float32),
    )
    return _shaded_anew(face, _placed(face, mesh=mesh, expression=wanted))


def _placed(face: Reconstruction, **changes: Any) -> Reconstruction:
    """The record with some fields changed, its vertices and landmarks put before the camera anew."""
    changed = replace(face, **changes)
    turn = cam_from_model(torch.from_numpy(changed.rotation)[None])[0].numpy()
    vertices_cam = changed.mesh.vertices @ turn.T + changed.translation
    landmarks68, landmarks468 = (
        _landmarks_px(changed, points @ turn.T + changed.translation)
        for points in (changed.mesh.landmarks68, changed.mesh.landmarks468)
    )
    return replace(changed, vertices_cam=vertices_cam, landmarks468=landmarks468, landmarks68=landmarks68)


def _landmarks_px(face: Reconstruction, points_cam: NDArray[np.floating]) -> NDArray[np.floating]:
    """Of points (N, 3) before the camera, mm, their (N, 3) px."""
    screen = points_cam @ face.px_from_cam.T
    px_per_mm = math.sqrt(abs(np.linalg.det(face.px_from_cam[:2, :2]))) / float(face.translation[2])
    z_px = (points_cam[:, 2:] - face.translation[2]) * px_per_mm
    return np.concatenate([screen[:, :2] / screen[:, 2:], z_px], 1)


def _shaded_anew(before: Reconstruction, after: Reconstruction, *, same_light: bool = True) -> Reconstruction:
    """The changed record with its light and lit colours brought up to date."""
    new, old = shading(after), shading(before)
    coarse = linear_from_srgb(torch.from_numpy(before.vertex_rgb_coarse)).numpy() / old
    light = new * (before.vertex_light / old) if same_light and before.vertex_light is not None else None
    return replace(
        after,
        vertex_light=light,
        vertex_rgb=_encoded(after.vertex_albedo * (new if light is None else light)),
        vertex_rgb_coarse=_encoded(coarse * new),
    )


def _encoded(linear: NDArray[Any]) -> NDArray[np.float32]:
    return srgb_from_linear(torch.from_numpy(linear.clip(0, 1).astype(np.float32))).numpy()


def _unknown(unknown: list[str], names: tuple[str, ...]) -> str:
    """What to say of blendshapes that do not exist."""
    if not names:
        return "the names of this face's units are not known, so its expression cannot be changed by name"
    lower = {name.lower(): name for name in names}
    parts = []
    for name in unknown:
        close = difflib.get_close_matches(name.lower(), list(lower), n=3, cutoff=0.5)
        guess = f" (near: {', '.join(lower[word] for word in close)})" if close else ""
        parts.append(f"{name!r}{guess}")
    what = "is no blendshape" if len(parts) == 1 else "are no blendshapes"
    return f"{', '.join(parts)} {what}; the {len(names)} ARKit names are listed in docs/render.md"


def model_of(face: Reconstruction) -> FaceModel:
    """The face model that a reconstruction was made with.

    Raises:
        ExpressionError: it is neither the shipped one nor in use.
    """
    model, shipped = known_model(face.face_model), shipped_model()
    remedy = "run `gcnface refine` on the photo again to change its expression"
    if model is None or model.mean.shape != face.mesh.vertices.shape:
        raise ExpressionError(
            f"the face was made with the face model {face.face_model or shipped.name} of {len(face.mesh.vertices)} "
            f"vertices, this gcnface has {shipped.name} of {len(shipped.mean)}; {remedy}, or give that model to "
            "gcnface.face_model.remember"
        )
    if face.expression_names != model.expression_names:
        raise ExpressionError(f"the face's units are not those of {model.name} in their order; {remedy}")
    return model
