"""Closed forms of the coarse losses, and their gradients in double precision."""

from dataclasses import replace

import pytest
import torch

from coarse import losses
from coarse.coefficients import CoefficientLayout
from coarse.losses import CoarseLossWeights

LAYOUT = CoefficientLayout(identity=3, expression=3, albedo=3)


def test_landmark_loss_of_a_shift_is_its_square():
    points = torch.rand(2, 468, 2) * 100
    assert losses.landmark_loss(points + torch.tensor([3.0, 4.0]), points) == pytest.approx(25.0, rel=1e-4)


def test_emphasis_counts_the_inner_lips_more():
    truth = torch.zeros(1, 468, 2)
    lips, cheek = truth.clone(), truth.clone()
    lips[0, 13], cheek[0, 50] = 1.0, 1.0
    ratio = losses.landmark_loss(lips, truth, 20.0) / losses.landmark_loss(cheek, truth, 20.0)
    assert ratio == pytest.approx(20.0)


def test_landmark_distance_is_the_reported_figure():
    truth = torch.rand(1, 468, 2) * 100
    box = truth.amax(1) - truth.amin(1)
    shifted = truth + torch.tensor([5.0, 0.0])
    assert losses.landmark_distance_loss(shifted, truth) == pytest.approx(5 / float(box.prod().sqrt()), rel=1e-3)


def test_photometric_loss_counts_the_mask_alone():
    render, photo = torch.zeros(1, 4, 4, 3), torch.full((1, 4, 4, 3), 0.5)
    mask = torch.zeros(1, 4, 4)
    mask[0, :2] = 1
    photo[0, 2:] = 1.0
    assert losses.photometric_loss(render, photo, mask) == pytest.approx(0.5 * 3**0.5, rel=1e-4)


def test_empty_mask_is_no_division_by_zero():
    assert losses.photometric_loss(torch.zeros(1, 2, 2, 3), torch.ones(1, 2, 2, 3), torch.zeros(1, 2, 2)) == 0


def test_identity_loss_of_equal_and_opposite_embeddings():
    a = torch.randn(2, 8)
    assert losses.identity_loss(a, 3 * a) == pytest.approx(0, abs=1e-6)
    assert losses.identity_loss(a, -a) == pytest.approx(2, abs=1e-6)


def test_prior_weighs_its_groups_and_punishes_overshoot():
    weights = CoarseLossWeights(coefficients=1.0, prior_identity=2.0, prior_expression=0.0, prior_albedo=0.0)
    c = LAYOUT.decode(torch.zeros(1, LAYOUT.total))
    c = replace(c, identity=torch.tensor([[1.0, 0.0, 2.0]]))
    assert losses.coefficient_prior(c, weights) == pytest.approx(10.0)
    out = replace(c, identity=torch.zeros(1, 3), expression=torch.tensor([[-0.5, 0.5, 1.5]]))
    assert losses.coefficient_prior(out, replace(weights, expression_range=1.0)) == pytest.approx(0.5)


def test_gamma_loss_is_zero_for_white_light_only():
    white = torch.randn(1, 9, 1).expand(1, 9, 3)
    assert losses.gamma_loss(white) < 1e-12
    assert losses.gamma_loss(white * torch.tensor([1.0, 0.5, 1.0])) > 0


def test_reflectance_loss_is_the_variance_over_skin():
    albedo = torch.zeros(1, 4, 3)
    albedo[0, 0], albedo[0, 3] = 1.0, 9.0
    skin = torch.tensor([True, True, False, False])
    assert losses.reflectance_loss(albedo, skin) == pytest.approx(0.25)


def test_gradients_agree_with_finite_differences():
    photo, mask = torch.rand(1, 3, 3, 3, dtype=torch.float64), torch.rand(1, 3, 3, dtype=torch.float64)
    render = torch.rand(1, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: losses.photometric_loss(x, photo, mask), render)
    light = torch.randn(1, 9, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(losses.gamma_loss, light)


def test_asymmetric_loss_closed_form():
    label = torch.tensor([[2.0, -2.0, 1.0, -1.0, 0.0]])
    predicted = torch.tensor([[3.0, -3.0, 0.5, 1.0, 7.0]])
    # over by 1, over by 1, under by 1/2, the wrong side by 2, and a label without a side
    assert losses.asymmetric_euclidean_loss(predicted, label) == pytest.approx(1 + 1 + 3 * 0.25 + 3 * 4)
    assert losses.asymmetric_euclidean_loss(predicted, label, 0.5, 2.0) == pytest.approx(0.5 + 0.5 + 0.5 + 8)


def test_shrinking_costs_three_times_growing():
    label = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    shrunk, grown = (losses.asymmetric_euclidean_loss(label * scale, label) for scale in (0.9, 1.1))
    assert shrunk / grown == pytest.approx(3.0, rel=1e-4)
    assert losses.asymmetric_euclidean_loss(label, label) == 0


def test_equal_weights_are_the_euclidean_loss():
    predicted, label = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))
    expected = (predicted - label).square().sum(1).mean()
    assert losses.euclidean_loss(predicted, label) == pytest.approx(float(expected))


def test_asymmetric_loss_gradcheck():
    generator = torch.Generator().manual_seed(0)
    label = torch.randn(3, 5, dtype=torch.float64, generator=generator)
    predicted = torch.randn(3, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: losses.asymmetric_euclidean_loss(x, label), predicted)
