"""The face model that a face was made with, by the name that records and files keep: the shipped one or another."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from coarse.face_model import FaceModel, load_face_model
from gcnface.errors import GcnfaceError

if TYPE_CHECKING:
    from gcnface.result.reconstruction import Reconstruction

_IN_USE: WeakValueDictionary[str, FaceModel] = WeakValueDictionary()


class ExpressionError(GcnfaceError):
    """A blendshape that is not known, or a face whose units are not known."""


@lru_cache(maxsize=1)
def shipped_model() -> FaceModel:
    """The face model that comes with gcnface; read once."""
    return load_face_model()


def is_shipped(model: FaceModel) -> bool:
    """Whether the shipped networks answer for a model: it has the shipped mesh and shape bases."""
    shipped = shipped_model()
    return model is shipped or model.fingerprint == shipped.fingerprint


def remember(model: FaceModel) -> str:
    """Keep a model in mind, as long as it is used, so that faces made with it, read from files too, find it again.

    Returns:
        What records and files call it: its name, and its fingerprint where it is not the shipped one.
    """
    if is_shipped(model):
        return model.name
    name = f"{model.name} {model.fingerprint}"
    _IN_USE[name] = model
    return name


def known_model(name: str) -> FaceModel | None:
    """The model that records call so, "" standing for the shipped one; None where it is not in use."""
    shipped = shipped_model()
    return shipped if name in ("", shipped.name) else _IN_USE.get(name)


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
