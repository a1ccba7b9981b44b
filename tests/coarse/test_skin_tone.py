"""A person's tone is told by the embedding: light averages out over photos, skin does not."""

import pytest
import torch

from coarse.decomposition import ObservedColors, ToneExpectation, decompose
from coarse.face_model import load_face_model
from coarse.morphable import MorphableModel
from coarse.skin_tone import EMBEDDING_SIZE, EyeWhites, SkinToneRegressor, fit_skin_tone, load_skin_tone
from render.lighting import shade
from tests.tolerances import SUMS


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def people(count, size, light):
    """Embeddings (N, size), the tones of their skins (N, 3), and what photos show: skin and light."""
    embeddings = torch.nn.functional.normalize(random(count, size), dim=1)
    tones = embeddings @ random(size, 3, seed=1)
    return embeddings, tones, tones + light * random(count, 1, seed=2)


def test_lights_average_out():
    embeddings, tones, shown = people(4000, 8, light=0.5)
    found = fit_skin_tone(embeddings, shown, torch.ones(4000))(embeddings)
    centered = tones - tones.mean(0)
    assert (found - centered).square().mean() < 0.01 * centered.square().mean()


def test_the_fit_is_the_least_squares_one():
    embeddings, _, shown = people(50, 4, light=0.3)
    weight = torch.rand(50, generator=torch.Generator().manual_seed(3)) + 0.1
    model = fit_skin_tone(embeddings, shown, weight, ridge=0.2)
    mean = (shown * weight[:, None]).sum(0) / weight.sum()

    def cost(matrix):
        error = (embeddings - model.mean) @ matrix - (shown - mean)
        return (weight[:, None] * error.square()).sum() + 0.2 * matrix.square().sum()

    least = cost(model.weight)
    for seed in range(5):
        assert cost(model.weight + 1e-2 * random(4, 3, seed=seed)) > least


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="embedding has shape"):
        SkinToneRegressor(8)(torch.zeros(1, 7))
    with pytest.raises(ValueError, match="tones has shape"):
        fit_skin_tone(torch.zeros(3, 8), torch.zeros(2, 3), torch.ones(3))


def test_the_shipped_regression_stays_within_the_range_of_skins():
    embeddings = torch.nn.functional.normalize(random(100, EMBEDDING_SIZE), dim=1)
    tones = load_skin_tone()(embeddings)
    assert tones.shape == (100, 3)
    assert tones.abs().max() < 2


@pytest.fixture(scope="module")
def model():
    return MorphableModel(load_face_model(), level=2)


def photo(model, tone, light):
    """Colours of the mean face with its albedo times e^tone, under a lamp from the front of some level."""
    verts = model.vertices(torch.zeros(1, model.identity_count), torch.zeros(1, model.expression_count))
    normals = torch.nn.functional.normalize(verts - verts.mean(1, keepdim=True), dim=2)
    lamp = torch.zeros(1, 9, 3)
    lamp[:, 0], lamp[:, 2] = light, 0.3 * light
    colors = model.albedo_mean * torch.tensor(tone).exp() * shade(normals, lamp)
    seen = (normals[..., 2] > 0.2).float()
    return ObservedColors(colors, seen, seen, normals)


def skin(model, found, seen):
    """Mean logarithm of the albedo over the mean face's, over what was seen."""
    albedo = model.albedo(found.albedo, found.skin_tone)
    ratio = (albedo.clamp(min=0.01) / model.albedo_mean.clamp(min=0.01)).log().mean(2)
    return float((ratio * seen.skin).sum() / seen.skin.sum())


@pytest.mark.parametrize("expected", [-0.6, 0.3])
def test_an_expected_tone_goes_into_the_albedo_and_not_into_the_light(model, expected):
    seen = photo(model, expected, light=1.0)
    blind = decompose(model, seen)
    told = decompose(model, seen, tone=ToneExpectation.of_tone(torch.full((1, 3), expected)))
    assert abs(skin(model, blind, seen)) < 0.35 * abs(expected)
    assert abs(skin(model, told, seen) - expected) < 0.5 * abs(skin(model, blind, seen) - expected)
    level = [float(found.lighting[0, 0].mean()) for found in (blind, told)]
    assert abs(level[1] - 1.0) < 0.5 * abs(level[0] - 1.0)


def test_light_that_nothing_explains_is_light_for_the_most_part(model):
    plain, dim = (photo(model, 0.0, light) for light in (1.0, 0.5))
    told = [
        skin(model, decompose(model, seen, tone=ToneExpectation.of_tone(torch.zeros(1, 3))), seen)
        for seen in (plain, dim)
    ]
    assert -0.45 * 0.693 < told[1] - told[0] < 0


def known_spreads():
    """A regression of nothing, tones of deviation 1, lights of 0.5, whites of 0.1 about 0."""
    found = SkinToneRegressor(4)
    found.light_spread.mul_(0.25)
    found.white_spread.mul_(0.01)
    return found


def test_estimates_are_weighted_by_their_variances():
    regressor, embedding = known_spreads(), torch.zeros(1, 4)
    blind = regressor.expectation(embedding)
    torch.testing.assert_close(blind.share[0], torch.eye(3) * 1 / 1.25, **SUMS)
    told = regressor.expectation(embedding, EyeWhites(torch.full((1, 3), -0.7), torch.ones(1)))
    torch.testing.assert_close(told.light, torch.full((1, 3), -0.7 * 100 / 104), **SUMS)
    torch.testing.assert_close(told.share[0], torch.eye(3) * 1 / (1 + 1 / 104), **SUMS)


def test_whites_in_another_light_than_the_skin_are_corrected():
    regressor, embedding = known_spreads(), torch.zeros(1, 4)
    places, level = torch.zeros(1, 2, 4, 4), torch.full((1, 3), -0.7)
    brighter = torch.tensor([[0.2, 0.1, 0.0]])
    told = regressor.expectation(embedding, EyeWhites(level, torch.ones(1), places)).under(brighter)
    wanted = regressor.expectation(embedding, EyeWhites(level + brighter, torch.ones(1)))
    torch.testing.assert_close(told.light, wanted.light, **SUMS)
    torch.testing.assert_close(told.share, wanted.share, **SUMS)
    assert wanted.under(brighter) is wanted


def test_whites_that_are_not_seen_say_nothing():
    regressor, embedding = known_spreads(), torch.zeros(2, 4)
    blind, unseen = regressor.expectation(embedding), regressor.expectation(embedding, EyeWhites.unseen(2))
    torch.testing.assert_close(blind.light, unseen.light, **SUMS)
    torch.testing.assert_close(blind.share, unseen.share, **SUMS)


def test_dark_skin_in_good_light_stays_dark_and_a_dim_light_is_light(model):
    """The same skin in the picture; the whites of the eyes tell the two apart."""
    regressor = load_skin_tone()
    seen = photo(model, -1.2, light=1.0)
    dim = regressor.white[None] - 1.2
    told = []
    for whites in (regressor.white[None], dim):
        tone = regressor.expectation(regressor.mean[None], EyeWhites(whites, torch.ones(1)))
        light = shade(seen.normals_view, decompose(model, seen, tone=tone).lighting)
        albedo = (seen.linear / light.clamp(min=0.02) / model.albedo_mean).log().mean(2)
        told.append(float((albedo * seen.skin).sum() / seen.skin.sum()))
    assert told[0] < -0.95
    assert told[1] > -0.5


def test_photos_of_one_person_share_the_tone_and_keep_their_lights():
    several = [ToneExpectation(torch.full((1, 3), x), torch.full((1, 3), -x), torch.eye(3)[None]) for x in (0.0, 1.0)]
    one, other = ToneExpectation.of_one_person(several)
    torch.testing.assert_close(one.tone, torch.full((1, 3), 0.5), **SUMS)
    torch.testing.assert_close(other.tone, one.tone, **SUMS)
    torch.testing.assert_close(other.light, torch.full((1, 3), -1.0), **SUMS)
