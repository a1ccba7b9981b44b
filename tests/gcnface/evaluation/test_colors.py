"""Differences of colours in closed form."""

import math

import pytest
import torch

from gcnface.evaluation.colors import FEWEST, LARGEST_PSNR_DB, UNKNOWN, Difference, color_difference, mean_difference
from render.color import linear_from_srgb

EVERYWHERE = torch.ones(200, dtype=torch.bool)


@pytest.fixture
def colors():
    return torch.rand(200, 3, generator=torch.Generator().manual_seed(1)) * 0.5 + 0.1


def test_a_step_in_srgb_is_the_l1_and_its_psnr(colors):
    srgb = torch.full((200, 3), 0.4)
    found = color_difference(linear_from_srgb(srgb + 0.1), linear_from_srgb(srgb), EVERYWHERE)
    assert found.l1 == pytest.approx(0.1, abs=1e-5)
    assert found.psnr_db == pytest.approx(20.0, abs=1e-3)


def test_equal_colours_reach_the_cap(colors):
    assert color_difference(colors, colors, EVERYWHERE) == Difference(0.0, LARGEST_PSNR_DB)


def test_the_gain_takes_out_one_factor_a_channel_and_nothing_else(colors):
    tinted = colors * torch.tensor([1.4, 1.0, 0.7])
    assert color_difference(tinted, colors, EVERYWHERE).l1 > 0.02
    assert color_difference(tinted, colors, EVERYWHERE, gain=True).l1 < 1e-5
    slope = torch.linspace(0.7, 1.3, 200)[:, None]
    assert color_difference(colors * slope, colors, EVERYWHERE, gain=True).l1 > 0.02


def test_with_the_gain_the_order_of_the_two_does_not_matter(colors):
    other = (colors * torch.tensor([1.5, 0.9, 0.6])).flip(0)
    one = color_difference(colors, other, EVERYWHERE, gain=True)
    two = color_difference(other, colors, EVERYWHERE, gain=True)
    assert one.l1 == pytest.approx(two.l1, rel=1e-5)


def test_only_the_chosen_vertices_count_and_few_are_none(colors):
    where = torch.arange(200) < FEWEST
    broken = colors.clone()
    broken[~where] = 0
    assert color_difference(broken, colors, where).l1 == 0
    where[0] = False
    assert math.isnan(color_difference(broken, colors, where).l1)


def test_means_leave_out_what_is_not_known():
    mean = mean_difference([Difference(0.1, 20.0), UNKNOWN, Difference(0.3, 10.0)])
    assert mean.l1 == pytest.approx(0.2)
    assert mean.psnr_db == pytest.approx(15.0)
    assert math.isnan(mean_difference([UNKNOWN]).l1)


def test_shapes_are_checked(colors):
    with pytest.raises(ValueError, match="true"):
        color_difference(colors, colors[:100], EVERYWHERE)
