"""Colours that differ from the model's are refused where there is doubt, and only there."""

import pytest
import torch

from gcnface.stages.outliers import (
    BRIGHTNESS_LIMITS,
    CHROMA_LIMITS,
    deviation,
    inlier_weight,
    step_down,
    weighted_median,
)

COUNT = 400


@pytest.fixture
def skin():
    generator = torch.Generator().manual_seed(0)
    return 0.3 + 0.02 * torch.rand(1, COUNT, 3, generator=generator)


def refused(colors, expected, doubt=1.0):
    found = deviation(colors, expected, torch.ones(1, COUNT))
    return 1 - inlier_weight(found, torch.full((1, COUNT), doubt))


def test_neither_exposure_nor_complexion_counts(skin):
    other = skin * torch.tensor([0.3, 0.2, 0.15])
    torch.testing.assert_close(refused(other, skin), torch.zeros(1, COUNT))


@pytest.mark.parametrize("factor", [(0.2, 0.2, 0.2), (4.0, 4.0, 4.0), (0.6, 1.0, 1.8)])
def test_frames_glare_and_background_are_refused(skin, factor):
    photo = skin.clone()
    photo[:, :40] *= torch.tensor(factor)
    answer = refused(photo, skin)[0]
    assert answer[:40].min() > 0.99
    assert answer[40:].max() < 0.01


def test_without_doubt_everything_stays(skin):
    assert refused(skin * torch.rand(1, COUNT, 3), skin, doubt=0.0).max() == 0


def test_half_a_doubt_refuses_half(skin):
    photo = skin.clone()
    photo[:, 0] = 0.01
    assert float(refused(photo, skin, doubt=0.5)[0, 0]) == pytest.approx(0.5)


def test_small_differences_stay(skin):
    photo = skin * torch.linspace(-BRIGHTNESS_LIMITS[0], BRIGHTNESS_LIMITS[0], COUNT).mul(0.99).exp()[:, None]
    assert refused(photo, skin).max() < 2e-3
    shift = torch.tensor([1.0, -1.0, 0.0]) / 2**0.5 * CHROMA_LIMITS[0] * 0.49
    photo = skin * (torch.linspace(-1, 1, COUNT)[:, None] * shift).exp()
    assert refused(photo, skin).max() < 2e-3


def test_median_ignores_what_has_no_weight():
    values = torch.tensor([5.0, 1.0, 3.0, 2.0, 100.0])[None, :, None]
    weight = torch.tensor([[1.0, 1.0, 1.0, 1.0, 0.0]])
    assert float(weighted_median(values, weight)) == 2.0
    assert float(weighted_median(values, torch.tensor([[5.0, 1, 1, 1, 0]]))) == 5.0
    assert float(weighted_median(values, torch.zeros(1, 5))) == 0.0


def test_step_falls_once_from_one_to_nothing():
    values = step_down(torch.linspace(-1, 2, 50), (0.2, 0.9))
    assert values[0] == 1
    assert values[-1] == 0
    assert (values.diff() <= 0).all()
