import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from gcnface.tracking import filters
from gcnface.tracking.filters import OneEuroFilter, RotationFilter, Smoothing, continuous, of_rotation_vector
from tests.tolerances import DOUBLE_SUMS

FPS = 30.0
SETTINGS = Smoothing(1.0, 10.0)


def through(filter_, values):
    return np.array([filter_(value, k / FPS) for k, value in enumerate(values)])


@pytest.mark.parametrize("together", [False, True])
def test_what_does_not_move_stays(together):
    out = through(OneEuroFilter(SETTINGS, together=together), np.full((20, 3), (1.0, -2.0, 0.0)))
    assert np.allclose(out, (1.0, -2.0, 0.0), **{"atol": 1e-12, "rtol": 0})


def test_a_ramp_lags_by_what_the_cutoff_says_and_less_the_faster_it_is():
    lags = []
    for speed in (0.5, 2.0, 8.0):
        ramp = np.arange(90)[:, None] * speed / FPS
        out = through(OneEuroFilter(SETTINGS), ramp)
        lag = float((ramp - out)[-1, 0] / speed)
        cutoff = SETTINGS.least_hz + SETTINGS.per_speed * speed
        assert lag == pytest.approx(1 / (2 * np.pi * cutoff), rel=0.1)
        lags.append(lag)
    assert lags[0] > lags[1] > lags[2]
    assert lags[2] * FPS < 0.1


def test_noise_is_less_afterwards():
    noise = np.random.default_rng(0).normal(0, 0.01, (300, 1))
    out = through(OneEuroFilter(Smoothing(1.0, 1.0)), noise)
    assert out[30:].std() < noise.std() / 2


def test_times_between_frames_may_differ():
    """Half the frames of a ramp lag by as many seconds."""
    ramp = np.arange(120)[:, None] / FPS
    every, half = OneEuroFilter(SETTINGS), OneEuroFilter(SETTINGS)
    all_of_it = [every(value, k / FPS) for k, value in enumerate(ramp)]
    some_of_it = [half(ramp[k], k / FPS) for k in range(1, 120, 2)]
    assert some_of_it[-1] == pytest.approx(all_of_it[-1], abs=0.01)


def test_a_turn_is_followed_over_the_half_turn():
    """A quaternion and its negative are one rotation: the filter takes the short way past 180 degrees."""
    turns = [of_rotation_vector(np.array([0, a, 0])) for a in np.linspace(2.8, 3.6, 40)]
    flipped = [q if q[0] > 0 else -q for q in turns]
    out = through(RotationFilter(SETTINGS), flipped)
    assert np.allclose(np.linalg.norm(out, axis=1), 1)
    assert (np.abs(np.diff(out, axis=0)).max(1) < 0.05).all()
    angles = [np.degrees(2 * np.arccos(min(1, abs(a @ b)))) for a, b in zip(out, turns, strict=True)]
    assert max(angles) < 3


def test_neighbors_are_on_one_side_of_the_sphere():
    quaternions = np.stack([of_rotation_vector(np.array([0, 0, a])) for a in np.linspace(0, 7, 50)])
    signs = np.random.default_rng(1).choice([-1, 1], 50)[:, None]
    whole = continuous(quaternions * signs)
    assert ((whole[1:] * whole[:-1]).sum(1) > 0).all()
    assert np.allclose(np.abs((whole * quaternions).sum(1)), 1)


def test_quaternions_are_those_of_scipy():
    rng = np.random.default_rng(2)
    for vector in rng.normal(size=(5, 3)):
        matrix = Rotation.from_rotvec(vector).as_matrix()
        q = filters.of_matrix(matrix)
        assert np.allclose(filters.matrix_of(q), matrix, **DOUBLE_SUMS)
        assert np.allclose(filters.matrix_of(of_rotation_vector(vector)), matrix, **DOUBLE_SUMS)
        assert np.allclose(filters.rotation_vector(q), Rotation.from_matrix(matrix).as_rotvec(), **DOUBLE_SUMS)
        other = filters.of_matrix(Rotation.from_rotvec(vector[::-1]).as_matrix())
        both = filters.matrix_of(filters.product(q, other))
        assert np.allclose(both, matrix @ filters.matrix_of(other), **DOUBLE_SUMS)
