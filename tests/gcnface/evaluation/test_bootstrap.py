import math

import numpy as np
import pytest

from gcnface.evaluation.bootstrap import difference_interval, mean_interval


def test_people_count_alike_however_many_photos_they_have():
    found = mean_interval([1, 1, 1, 1, 5], ["a", "a", "a", "a", "b"])
    assert (found.mean, found.people, found.photos) == (3, 2, 5)


def test_a_known_mean_is_covered_as_often_as_promised():
    rng = np.random.default_rng(0)
    people = [str(k) for k in range(40)]
    inside = 0
    for _ in range(200):
        found = mean_interval(rng.normal(7.0, 2.0, 40), people, resamplings=400)
        inside += found.low <= 7.0 <= found.high
    assert 0.89 <= inside / 200 <= 0.99


def test_photos_of_one_person_do_not_make_the_interval_narrower():
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, 20)
    alone = mean_interval(values, [str(k) for k in range(20)])
    tenfold = mean_interval(np.repeat(values, 10), [str(k) for k in range(20) for _ in range(10)])
    assert (tenfold.mean, tenfold.low, tenfold.high) == pytest.approx((alone.mean, alone.low, alone.high))
    as_if_strangers = mean_interval(np.repeat(values, 10), [str(k) for k in range(200)])
    assert as_if_strangers.high - as_if_strangers.low < 0.5 * (alone.high - alone.low)


def test_what_is_not_known_is_left_out():
    found = mean_interval([1.0, math.nan, 3.0], ["a", "b", "c"])
    assert (found.mean, found.people, found.photos) == (2.0, 2, 2)
    assert mean_interval([math.nan], ["a"]).people == 0


def test_one_person_has_no_interval():
    found = mean_interval([1.0, 2.0], ["a", "a"])
    assert found.mean == 1.5
    assert math.isnan(found.low)


def test_paired_differences_are_surer_than_the_two_means():
    rng = np.random.default_rng(2)
    people = [str(k) for k in range(30)]
    hard = rng.normal(0, 5, 30)
    ours, others = hard + 1.0 + rng.normal(0, 0.1, 30), hard
    found = difference_interval(ours, others, people)
    assert 0.9 < found.low < found.high < 1.1
    assert mean_interval(ours, people).low < mean_interval(others, people).high


def test_a_shift_moves_the_interval_by_as_much():
    values, people = np.arange(9.0), list("abcdefghi")
    one, two = mean_interval(values, people), mean_interval(values + 2, people)
    assert (two.low, two.high) == pytest.approx((one.low + 2, one.high + 2))


def test_many_people_are_resampled_alike():
    rng = np.random.default_rng(4)
    values = rng.normal(3, 1, 600)
    found = mean_interval(values, [str(k) for k in range(600)])
    width = 2 * 1.96 * values.std() / np.sqrt(600)
    assert found.high - found.low == pytest.approx(width, rel=0.1)
    few = mean_interval(values[:500], [str(k) for k in range(500)])
    assert few.high - few.low == pytest.approx(width * np.sqrt(600 / 500), rel=0.1)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="people"):
        mean_interval([1.0], ["a", "b"])
