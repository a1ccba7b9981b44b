"""What disturbs a picture changes where it says, and only there."""

from dataclasses import fields

import numpy as np
import pytest

from gcnface.training import disturbances as d

SIDE = 128


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(60, 200, (SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture
def points():
    """The 468 landmarks of a face in the middle, from the mean face."""
    from coarse.face_model import load_face_model

    model = load_face_model()
    mean = model.landmarks468(model.mean)
    return (mean[:, :2] * (0.45, -0.45) + SIDE / 2).astype(np.float32)


COVERS = [d.fingers, d.hair_strands, d.cut_by_edge]


@pytest.mark.parametrize("cover", COVERS)
@pytest.mark.parametrize("seed", range(5))
def test_covers_say_where_they_lie(picture, cover, seed):
    before = picture.copy()
    changed, covers = cover(picture, np.random.default_rng(seed))
    where = covers > 0
    assert np.array_equal(picture, before)
    moved = (changed != picture).any(2)
    assert moved.any()
    soft = where if cover is not d.hair_strands else _grown(where)  # antialiased lines reach a pixel further
    assert not (moved & ~soft).any()


def test_the_photos_edges_leave_a_middle_from_every_side(picture):
    sides = []
    for seed in range(60):
        _, covers = d.cut_by_edge(picture, np.random.default_rng(seed))
        left = covers == 0
        assert left.any(0).sum() >= 0.33 * SIDE
        assert left.any(1).sum() >= 0.33 * SIDE
        middle = SIDE // 2
        sides.append([bool(covers[at]) for at in ((0, middle), (-1, middle), (middle, 0), (middle, -1))])
    counts = np.sum(sides, 1)
    assert {1, 2, 4} <= set(counts)
    assert np.sum(sides, 0).min() > 10


@pytest.mark.parametrize("seed", range(9))
def test_what_is_worn_lies_on_the_face(picture, points, seed):
    changed, covers = d.worn(picture, points, np.random.default_rng(seed))
    where = covers > 0
    assert 0.01 < where.mean() < 0.8
    assert not ((changed != picture).any(2) & ~_grown(where, 3)).any()
    forehead = points[10].astype(int)
    assert not where[forehead[1], forehead[0]]


def test_light_from_one_side_darkens_one_side(picture):
    flat = np.full_like(picture, 128)
    for seed in range(10):
        lit = d.lit_from_one_side(flat, np.random.default_rng(seed)).astype(float).mean(2)
        corners = sorted([lit[0, 0], lit[0, -1], lit[-1, 0], lit[-1, -1]])
        assert corners[0] < corners[-1] - 3


def test_the_dark_is_darker_or_noisier(picture):
    flat = np.full_like(picture, 150)
    out = [d.in_the_dark(flat, np.random.default_rng(seed)) for seed in range(12)]
    assert all(o.mean() < 140 for o in out)
    assert all(o.std() > 0 for o in out)


def test_noise_has_its_deviation():
    flat = np.full((SIDE, SIDE, 3), 128, np.uint8)
    noisy = [d.with_noise(flat, 10.0, np.random.default_rng(seed)).astype(float) for seed in range(8)]
    assert all(4 < n.std() < 12 and abs(n.mean() - 128) < 2 for n in noisy)


def test_nothing_happens_where_no_share_is_given(picture, points):
    changed, covered, natural = d.disturbed(picture, d.Disturbances(), np.random.default_rng(0), points)
    assert np.array_equal(changed, picture)
    assert not covered.any()
    assert natural


def test_every_kind_happens_where_its_share_is_one(picture, points):
    for kind in fields(d.Disturbances):
        settings = d.Disturbances(**{kind.name: 1.0})
        changed, covered, natural = d.disturbed(picture, settings, np.random.default_rng(1), points)
        assert not np.array_equal(changed, picture), kind.name
        assert covered.any() or not natural


def test_nothing_is_worn_without_landmarks(picture):
    changed, covered, _ = d.disturbed(picture, d.Disturbances(worn=1.0), np.random.default_rng(0))
    assert np.array_equal(changed, picture)
    assert not covered.any()


def test_chance_repeats(picture, points):
    both = [d.disturbed(picture, d.WILD, np.random.default_rng(7), points)[0] for _ in range(2)]
    assert np.array_equal(*both)


def _grown(where, pixels=2):
    import cv2

    return cv2.dilate(where.astype(np.uint8), np.ones((2 * pixels + 1,) * 2)).astype(bool)
