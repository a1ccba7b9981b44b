"""Skin of a known tone under known lamps comes out in its tone, dark or light, when the eyes tell the light."""

import numpy as np
import pytest
import torch

from coarse.coefficients import AMBIENT_INTENSITY
from coarse.decomposition import ObservedColors, ToneExpectation, decompose
from coarse.face_model import load_face_model
from coarse.morphable import MorphableModel
from coarse.skin_tone import EyeWhites, load_skin_tone
from render.lighting import ambient_lighting, directional_lighting, shade
from tests.tolerances import SUMS

TONES = (-2.0, -1.2, -0.7, -0.4, -0.1, 0.2)
"""Natural logarithms over the mean albedo: about -58, -28, 8, 29, 44 and 57 degrees of typology angle."""
FIVE_DEGREES = (0.17, 0.09, 0.07, 0.08, 0.11, 0.14)
"""What 5 degrees are there."""
LAMPS = (
    (0.75, (0.0, 0.3, 1.0), (0.25, 0.25, 0.25)),
    (0.20, (1.0, 0.2, 0.6), (0.80, 0.80, 0.80)),
    (0.25, (-0.5, 0.3, 1.0), (0.80, 0.66, 0.48)),
    (0.15, (0.0, 0.6, 1.0), (0.40, 0.38, 0.36)),
)
"""Shading by light from everywhere, direction and colour of a lamp."""


@pytest.fixture(scope="module")
def model():
    return MorphableModel(load_face_model(), level=2)


def photo(model, tone, lamp):
    """Colours of the mean head in a tone under a lamp, and what the whites of its eyes show."""
    ambient, direction, rgb = lamp
    verts = model.vertices(torch.zeros(1, model.identity_count), torch.zeros(1, model.expression_count))
    normals = torch.nn.functional.normalize(verts - verts.mean(1, keepdim=True), dim=2)
    shading = shade(normals, ambient_lighting(ambient) + directional_lighting(direction, rgb)).clamp(min=0.02)
    seen = (normals[..., 2] > 0.2).float()
    light = ((shading / AMBIENT_INTENSITY).log() * seen[..., None]).sum(1) / seen.sum()
    colors = model.albedo_mean * float(np.exp(tone)) * shading
    whites = EyeWhites(load_skin_tone().white + light, torch.ones(1))
    return ObservedColors(colors, seen, seen, normals), whites


def recovered(model, seen, tone):
    """Mean logarithm of the photo's colours, without the light that is found, over the mean face's."""
    shading = shade(seen.normals_view, decompose(model, seen, tone=tone).lighting).clamp(min=0.02)
    logs = (seen.linear / shading / model.albedo_mean).log().mean(2)
    return float((logs * seen.skin).sum() / seen.skin.sum())


def test_tones_are_recovered_under_any_lamp(model):
    regressor = load_skin_tone()
    found = np.zeros((len(TONES), len(LAMPS)))
    for i, tone in enumerate(TONES):
        for k, lamp in enumerate(LAMPS):
            seen, whites = photo(model, tone, lamp)
            found[i, k] = recovered(model, seen, regressor.expectation(regressor.mean[None], whites))
    bias = found.mean(1) - np.array(TONES)
    assert np.polyfit(TONES, found.mean(1), 1)[0] > 0.9
    assert (abs(bias) < FIVE_DEGREES).all()


def test_the_tone_does_not_change_how_the_light_is_spread(model):
    """It scales each channel's light as a whole."""
    seen, _ = photo(model, -1.0, LAMPS[1])
    plain = decompose(model, seen).lighting
    told = decompose(model, seen, tone=ToneExpectation.of_tone(torch.full((1, 3), -1.0))).lighting
    ratio = told[0, 0] / plain[0, 0]
    torch.testing.assert_close(told, plain * ratio, **SUMS)
    assert (ratio > 1.2).all()


def test_the_coarse_albedo_follows_the_tone(model):
    seen, whites = photo(model, -1.2, LAMPS[0])
    regressor = load_skin_tone()
    tone = regressor.expectation(regressor.mean[None], whites)
    found = decompose(model, seen, tone=tone)
    albedo = model.albedo(found.albedo, found.skin_tone)[0]
    logs = (albedo / model.albedo_mean).log().mean(1)
    assert float(logs[seen.skin[0] > 0].median()) < -1.0
    assert float(logs[seen.skin[0] > 0].std()) < 0.2, "as smooth as the mean face's"


def test_a_photo_that_shows_no_skin_keeps_what_is_expected(model):
    seen, _ = photo(model, 0.0, LAMPS[0])
    nothing = ObservedColors(seen.linear, seen.skin * 0, seen.face * 0, seen.normals_view)
    found = decompose(model, nothing, tone=ToneExpectation.of_tone(torch.zeros(1, 3)))
    assert found.lighting.isfinite().all()
    assert found.albedo.isfinite().all()
