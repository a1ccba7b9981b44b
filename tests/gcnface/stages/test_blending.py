"""Blending on a grid of vertices: tones are matched, seams are soft, detail comes from one photo, order is nothing."""

import numpy as np
import pytest
import torch

from gcnface.stages.blending import BlendSettings, blend_photos

SIDE = 40
SETTINGS = BlendSettings(narrow_steps=2, wide_steps=20)


@pytest.fixture(scope="module")
def faces():
    index = np.arange(SIDE * SIDE, dtype=np.int32).reshape(SIDE, SIDE)
    a, b, c, d = (x.ravel() for x in (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]))
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])


@pytest.fixture(scope="module")
def column():
    return torch.arange(SIDE).repeat(SIDE)


def flat(*tones):
    return torch.stack([torch.full((SIDE * SIDE, 3), tone) for tone in tones])


def left_and_right(column, overlap=6):
    """Confidences of two photos that share some columns in the middle; each is best on its own side."""
    left, right = (column < SIDE // 2 + overlap).float(), (column >= SIDE // 2 - overlap).float()
    confidence = torch.stack([left, right])
    return confidence, confidence * torch.stack([(SIDE - column).float(), column.float()])


def test_one_photo_is_left_as_it_is(faces):
    confidence = torch.rand(1, SIDE * SIDE, generator=torch.Generator().manual_seed(0))
    blend = blend_photos(faces, flat(0.3), confidence, confidence, SETTINGS)
    assert torch.equal(blend.weight, confidence)
    assert (blend.factor == 1).all()


def test_exposures_are_matched_half_way(faces, column):
    confidence, quality = left_and_right(column)
    albedo = flat(0.2, 0.4)
    blend = blend_photos(faces, albedo, confidence, quality, SETTINGS)
    colors = blend.colors(albedo)
    expected = float(np.sqrt(0.2 * 0.4))
    torch.testing.assert_close(colors, torch.full_like(colors, expected), rtol=0.02, atol=0.0)


def test_weights_sum_to_the_largest_confidence_and_follow_the_quality(faces, column):
    confidence, quality = left_and_right(column)
    confidence = confidence * torch.tensor([[0.8], [1.0]])
    blend = blend_photos(faces, flat(0.3, 0.3), confidence, quality, SETTINGS)
    torch.testing.assert_close(blend.weight.sum(0), confidence.amax(0))
    assert (blend.weight[1, column < SIDE // 2 - 6] == 0).all()
    assert (blend.weight[0, column == SIDE // 2 - 5] > 0.7).all()
    assert (blend.weight[1, column == SIDE // 2 + 5] > 0.9).all()


def test_where_nothing_is_seen_nothing_is_taken(faces, column):
    confidence, quality = left_and_right(column)
    hidden = column > 35
    confidence, quality = confidence * ~hidden, quality * ~hidden
    blend = blend_photos(faces, flat(0.2, 0.4), confidence, quality, SETTINGS)
    assert (blend.weight[:, hidden] == 0).all()
    assert torch.isfinite(blend.factor).all()


def test_a_smooth_difference_leaves_no_step_and_detail_stays(faces, column):
    """A shadow over one photo: neighbours across the seam differ no more than the detail itself does."""
    confidence, quality = left_and_right(column)
    row = torch.arange(SIDE).repeat_interleave(SIDE)
    detail = 0.02 * ((row + column) % 2)[:, None].float()
    shadow = torch.linspace(1.0, 0.6, SIDE).repeat_interleave(SIDE)[:, None]
    albedo = torch.stack([(0.3 + detail).expand(-1, 3), ((0.3 + detail) * shadow).expand(-1, 3)])
    blend = blend_photos(faces, albedo, confidence, quality, SETTINGS)
    found, plain = (x.view(SIDE, SIDE, 3) for x in (blend.colors(albedo), _cut(albedo, blend)))
    steps = [(x[:, 1:] - x[:, :-1]).abs().amax() for x in (found, plain)]
    assert steps[0] < 0.04
    assert steps[1] > 0.08
    checks = (blend.colors(albedo)[row == 3, 0][::2] - blend.colors(albedo)[row == 3, 0][1::2]).abs()
    assert checks.min() > 0.008


def _cut(albedo, blend):
    """The photos side by side without any matching."""
    return albedo.gather(0, blend.weight.argmax(0)[None, :, None].expand(1, -1, 3))[0]


def test_permuted_photos_give_the_same_colours(faces, column):
    generator = torch.Generator().manual_seed(0)
    albedo = 0.2 + 0.3 * torch.rand(3, SIDE * SIDE, 3, generator=generator)
    confidence = torch.rand(3, SIDE * SIDE, generator=generator)
    quality = confidence * torch.rand(3, SIDE * SIDE, generator=generator)
    order = [2, 0, 1]
    one = blend_photos(faces, albedo, confidence, quality, SETTINGS)
    other = blend_photos(faces, albedo[order], confidence[order], quality[order], SETTINGS)
    torch.testing.assert_close(other.weight, one.weight[order])
    torch.testing.assert_close(other.factor, one.factor[order])
