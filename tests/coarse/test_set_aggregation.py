"""Pooled labels and aggregated coefficients: closed forms, order, and what is refused."""

import pytest
import torch

from coarse.set_aggregation import aggregate, pool_labels, residual_confidence


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_pooled_label_is_the_weighted_mean_of_the_person():
    labels = torch.tensor([[0.0, 4.0], [10.0, 10.0], [4.0, 0.0]])
    pooled = pool_labels(labels, torch.tensor([1.0, 5.0, 3.0]), torch.tensor([7, 2, 7]))
    torch.testing.assert_close(pooled, torch.tensor([[3.0, 1.0], [10.0, 10.0], [3.0, 1.0]]))


def test_pooling_does_not_depend_on_order_or_scale_of_confidences(generator):
    labels, weight = torch.randn(12, 5, generator=generator), torch.rand(12, generator=generator) + 0.1
    person = torch.randint(0, 4, (12,), generator=generator)
    order = torch.randperm(12, generator=generator)
    pooled = pool_labels(labels, weight, person)
    torch.testing.assert_close(pool_labels(labels[order], 9 * weight[order], person[order]), pooled[order])


def test_aggregate_weighs_every_coefficient_by_itself():
    values = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    confidences = torch.tensor([[1.0, 9.0], [3.0, 1.0]])
    torch.testing.assert_close(aggregate(values, confidences), torch.tensor([0.75, 0.1]))
    torch.testing.assert_close(aggregate(values, torch.tensor([[1.0], [3.0]])), torch.tensor([0.75, 0.75]))


def test_aggregate_of_one_is_itself_and_lies_between_its_values(generator):
    values, confidences = torch.randn(4, 6, generator=generator), torch.rand(4, 6, generator=generator) + 0.01
    torch.testing.assert_close(aggregate(values[:1], confidences[:1]), values[0])
    found = aggregate(values, confidences)
    assert (found >= values.amin(0) - 1e-6).all()
    assert (found <= values.amax(0) + 1e-6).all()
    torch.testing.assert_close(aggregate(values.flip(0), confidences.flip(0)), found)


def test_a_photograph_without_confidence_counts_nothing(generator):
    values = torch.randn(3, 2, generator=generator)
    torch.testing.assert_close(aggregate(values, torch.tensor([[1.0], [0.0], [0.0]])), values[0])


def test_larger_residuals_count_less():
    found = residual_confidence(torch.tensor([0.01, 0.02, 0.0]))
    assert found[0] / found[1] == pytest.approx(4.0)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("bad", [[1.0, -1.0], [float("nan"), 1.0]])
def test_impossible_confidences_are_refused(bad):
    with pytest.raises(ValueError, match="finite and not negative"):
        pool_labels(torch.zeros(2, 3), torch.tensor(bad), torch.tensor([0, 0]))


def test_a_person_without_confidence_is_refused():
    with pytest.raises(ValueError, match="person 5"):
        pool_labels(torch.zeros(2, 3), torch.tensor([1.0, 0.0]), torch.tensor([0, 5]))
    with pytest.raises(ValueError, match="above 0"):
        aggregate(torch.zeros(2, 3), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="columns"):
        aggregate(torch.zeros(2, 3), torch.ones(2, 2))
