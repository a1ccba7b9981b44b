"""Closed forms of the geometric losses, and their gradients in double precision."""

import pytest
import torch

from coarse.spatial_transformer import losses
from coarse.spatial_transformer.losses import TransformerLossWeights
from render.shapes import ShapeError


def test_published_weights():
    w = TransformerLossWeights()
    assert (w.landmarks, w.prior, w.siamese, w.symmetry, w.expression_range) == (0.8998, 0.1, 1e-4, 1e-4, 0.0)


def test_landmark_loss_sums_over_21_points():
    truth = torch.rand(2, 21, 2) * 100
    moved = truth + torch.tensor([3.0, 4.0])
    assert losses.landmark_loss(moved, truth) == pytest.approx(21 * 25, rel=1e-4)
    more = truth.repeat(1, 3, 1)
    assert losses.landmark_loss(more + torch.tensor([3.0, 4.0]), more) == pytest.approx(21 * 25, rel=1e-4)


def test_hidden_landmarks_count_nothing():
    truth, points = torch.zeros(1, 21, 2), torch.zeros(1, 21, 2)
    points[0, 4] = 7.0
    points[0, 5, 0] = 2.0
    visible = torch.ones(1, 21, dtype=torch.bool)
    visible[0, 4] = False
    assert losses.landmark_loss(points, truth, visible) == pytest.approx(4.0)


def test_prior_is_the_sum_of_squares():
    assert losses.prior_loss(torch.tensor([[1.0, -2.0], [0.0, 1.0]])) == pytest.approx(3.0)


def test_range_counts_overshoot_alone():
    assert losses.range_loss(torch.tensor([[-0.5, 0.5, 1.5]])) == pytest.approx(0.5)


def textures():
    one, other = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    one[..., 1:3], other[..., 1:3] = 0.5, 0.3
    other[..., 0] = 9.0
    mask, seen = torch.ones(1, 4, 4), torch.ones(1, 4, 4)
    mask[..., 3] = 0
    seen[..., 0] = 0
    return one, other, mask, seen


def test_siamese_loss_is_the_mean_where_both_see():
    one, other, mask, seen = textures()
    assert losses.siamese_loss(one, other, mask, seen) == pytest.approx((0.2 * 255) ** 2, rel=1e-4)
    assert losses.siamese_loss(one, other, mask.bool(), seen.bool()) == pytest.approx((0.2 * 255) ** 2, rel=1e-4)


def test_views_without_a_common_texel_differ_by_nothing():
    one, other, mask, _ = textures()
    assert losses.siamese_loss(one, other, mask, 1 - mask) == 0


def test_symmetry_loss_of_a_symmetric_and_an_odd_face():
    even = torch.rand(2, 3, 4, 2)
    even = torch.cat([even, even.flip(3)], 3)
    assert losses.symmetry_loss(even, torch.ones(2, 4, 4)) == 0
    odd = torch.tensor([0.1, 0.1, -0.1, -0.1]).expand(2, 3, 4, 4)
    assert losses.symmetry_loss(odd, torch.ones(2, 4, 4)) == pytest.approx((0.2 * 255) ** 2, rel=1e-4)


def test_symmetry_needs_both_sides():
    odd, mask = torch.rand(1, 3, 4, 4), torch.ones(1, 4, 4)
    mask[..., 2:] = 0
    assert losses.symmetry_loss(odd, mask) == 0


def test_gradients_agree_with_finite_differences():
    def leaf(*shape):
        return torch.rand(*shape, dtype=torch.float64, requires_grad=True)

    mask, seen = (torch.rand(2, 4, 4, dtype=torch.float64) for _ in range(2))
    points = torch.rand(2, 4, 2, dtype=torch.float64)
    checks = [
        (lambda p: losses.landmark_loss(p, points, seen[:, 0]), [leaf(2, 4, 2)]),
        (losses.prior_loss, [leaf(2, 4)]),
        (lambda e: losses.range_loss(3 * e - 1), [leaf(2, 4)]),
        (lambda a, b: losses.siamese_loss(a, b, mask, seen) / 255, [leaf(2, 3, 4, 4), leaf(2, 3, 4, 4)]),
        (lambda a: losses.symmetry_loss(a, mask) / 255, [leaf(2, 3, 4, 4)]),
    ]
    for loss, inputs in checks:
        assert torch.autograd.gradcheck(loss, inputs)


def test_wrong_shapes_are_named():
    with pytest.raises(ShapeError, match="truth_px"):
        losses.landmark_loss(torch.zeros(1, 4, 2), torch.zeros(1, 5, 2))
    with pytest.raises(ShapeError, match="other_mask"):
        losses.siamese_loss(*[torch.zeros(1, 3, 4, 4)] * 2, torch.zeros(1, 4, 4), torch.zeros(1, 4, 5))
