"""The layout is the only place that knows the vector; decode and encode are inverses."""

import math
from dataclasses import replace

import pytest
import torch

from coarse.coefficients import AMBIENT_INTENSITY, CoefficientLayout, Coefficients
from coarse.face_model import load_face_model
from coarse.morphable import MorphableModel
from render.lighting import shade
from render.shapes import ShapeError

LAYOUT = CoefficientLayout(identity=5, expression=4, albedo=3)


def test_decode_then_encode_is_the_identity():
    raw = torch.randn(6, LAYOUT.total)
    torch.testing.assert_close(LAYOUT.encode(LAYOUT.decode(raw)), raw, atol=1e-4, rtol=1e-4)


def test_table_covers_the_vector_once_in_order():
    parts = LAYOUT.split(torch.arange(LAYOUT.total).float()[None])
    assert tuple(parts) == ("identity", "expression", "albedo", "rotation", "translation", "lighting")
    assert torch.cat(list(parts.values()), 1)[0].tolist() == list(range(LAYOUT.total))


def test_raw_zero_is_the_neutral_face_under_ambient_light():
    neutral = LAYOUT.decode(torch.zeros(1, LAYOUT.total))
    assert neutral.expression.abs().max() == 0
    assert neutral.translation[0, 2] == 1000
    normals = torch.nn.functional.normalize(torch.randn(1, 50, 3), dim=2)
    torch.testing.assert_close(shade(normals, neutral.lighting), torch.full((1, 50, 3), AMBIENT_INTENSITY))
    assert neutral.lighting[0, 0, 0] == pytest.approx(AMBIENT_INTENSITY * math.sqrt(4 * math.pi) / math.pi)


def test_wrong_length_names_the_argument():
    with pytest.raises(ShapeError, match="vector"):
        LAYOUT.decode(torch.zeros(1, LAYOUT.total + 1))


def test_coefficients_of_different_batches_are_refused():
    good = LAYOUT.decode(torch.zeros(2, LAYOUT.total)).named()
    with pytest.raises(ShapeError, match="lighting"):
        Coefficients(**{**good, "lighting": torch.zeros(3, 9, 3)})


def test_slices_keep_the_batch_dimension():
    coefficients = LAYOUT.decode(torch.randn(4, LAYOUT.total))
    torch.testing.assert_close(coefficients[1:2].identity, coefficients.identity[1:2])


def test_a_skin_tone_multiplies_the_albedo_and_goes_into_the_light_of_the_vector():
    neutral = LAYOUT.decode(torch.zeros(2, LAYOUT.total))
    torch.testing.assert_close(neutral.skin_tone, torch.ones(2, 3))
    dark = replace(neutral, skin_tone=torch.full((2, 3), 0.4))
    again = LAYOUT.decode(LAYOUT.encode(dark))
    torch.testing.assert_close(again.lighting, 0.4 * neutral.lighting)
    torch.testing.assert_close(again.skin_tone, torch.ones(2, 3))
    torch.testing.assert_close(dark[1:].skin_tone, torch.full((1, 3), 0.4))
    with pytest.raises(ShapeError, match="skin_tone"):
        replace(neutral, skin_tone=torch.ones(2, 1))
    model = MorphableModel(load_face_model(), level=2)
    plain = model.layout.decode(torch.zeros(1, model.layout.total))
    faces = [model(plain), model(replace(plain, skin_tone=torch.tensor([[0.5, 0.4, 0.3]])))]
    there = faces[0].albedo[0].amin(1) > 0.05
    expected = faces[0].albedo[0, there] * torch.tensor([0.5, 0.4, 0.3])
    torch.testing.assert_close(faces[1].albedo[0, there], expected)
