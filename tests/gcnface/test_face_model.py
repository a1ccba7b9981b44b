"""Faces find the model that they were made with."""

import gc
from dataclasses import replace

import numpy as np
import pytest

from gcnface.face_model import is_shipped, known_model, remember, shipped_model
from gcnface.result.editing import ExpressionError, model_of
from gcnface.result.morph_targets import ModelBlendshapes
from tests.gcnface.results import make_reconstruction


@pytest.fixture
def small():
    """The shipped model with a third of its identities and one blendshape."""
    model = shipped_model()
    return replace(
        model,
        identity_basis=model.identity_basis[..., :30],
        expression_basis=model.expression_basis[..., :1],
        expression_names=model.expression_names[:1],
        cage=None,
    )


def test_the_shipped_model_keeps_its_name(small):
    model = shipped_model()
    assert remember(replace(model, cage=None)) == model.name
    assert known_model("") is known_model(model.name) is model
    assert not is_shipped(small)


def test_another_model_of_the_same_name_is_found_while_it_is_used(small):
    name = remember(small)
    assert name.startswith(small.name)
    assert known_model(name) is small
    units = ModelBlendshapes(name, small.expression_names, len(small.mean))
    assert [target.name for target in units] == list(small.expression_names)
    del small
    gc.collect()


def test_a_model_that_nobody_uses_is_let_go():
    name = remember(replace(shipped_model(), mean=shipped_model().mean * np.float32(2), cage=None))
    gc.collect()
    assert known_model(name) is None
    assert not len(ModelBlendshapes(name, shipped_model().expression_names, len(shipped_model().mean)))
    with pytest.raises(ExpressionError, match="give that model to gcnface.face_model.remember"):
        model_of(replace(make_reconstruction(), face_model=name))
