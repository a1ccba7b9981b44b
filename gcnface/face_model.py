"""The face model that a face was made with, by the name that records and files keep: the shipped one or another."""

from __future__ import annotations

from functools import lru_cache
from weakref import WeakValueDictionary

from coarse.face_model import FaceModel, load_face_model

_IN_USE: WeakValueDictionary[str, FaceModel] = WeakValueDictionary()


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
