import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from coarse.face_model import load_face_model
from coarse.held_identity import (
    HIDDEN,
    POINTS,
    HeadState,
    HeldFit,
    HeldIdentity,
    PinholeCamera,
    SeenPoints,
)

CAMERA = PinholeCamera(900.0, np.array([320.0, 240.0]))


@pytest.fixture(scope="module")
def held():
    model = load_face_model()
    identity = np.random.default_rng(0).normal(size=model.identity_basis.shape[2])
    return HeldIdentity(model, identity, HeldFit(spread=10.0))


def head(held, yaw=0.3, jaw=0.6, place=(40.0, -20.0, 800.0)):
    expression = np.zeros(held.basis.shape[2])
    expression[load_face_model().expression_names.index("jawOpen")] = jaw
    turn = Rotation.from_euler("YXZ", (yaw, 0.1, -0.2)).as_matrix()
    return HeadState(turn, np.array(place), expression)


def seen(held, state):
    cam = state.in_camera(held.points(state.expression))
    depth = state.translation[2]
    xyz = np.column_stack([CAMERA.project(cam), (cam[:, 2] - depth) * CAMERA.focal_px / depth])
    return SeenPoints(xyz, np.ones(POINTS), CAMERA.focal_px / depth)


@pytest.mark.parametrize("yaw", [-1.2, 0.0, 0.5])
def test_a_head_is_found_from_nothing(held, yaw):
    truth = head(held, yaw)
    points = seen(held, truth)
    rest = np.zeros(held.basis.shape[2])
    start = held.pose(points, CAMERA, rest)
    found = held.fit(start, points, CAMERA, rest, steps=25)
    assert held.distance(found, points, CAMERA) < 0.02
    assert np.degrees(Rotation.from_matrix(found.rotation @ truth.rotation.T).magnitude()) < 0.3
    assert np.linalg.norm(found.translation - truth.translation) < 2.0
    assert np.abs(found.expression - truth.expression).max() < 0.1


def test_derivatives_are_those_of_the_residuals(held):
    state, points = head(held), seen(held, head(held, 0.1, 0.2))
    rows, before = held._rows(state, points, CAMERA)
    for k in range(6, 12):
        moved = state.expression.copy()
        moved[k - 6] += 1e-5
        _, after = held._rows(HeadState(state.rotation, state.translation, moved), points, CAMERA)
        assert np.allclose((after - before)[:, :2] / 1e-5, rows[:, :2, k], atol=1e-3)
    for k in range(3):
        turn = Rotation.from_rotvec(np.eye(3)[k] * 1e-6).as_matrix()
        _, after = held._rows(HeadState(turn @ state.rotation, state.translation, state.expression), points, CAMERA)
        assert np.allclose((after - before) / 1e-6, rows[..., k], atol=1e-2)
        _, after = held._rows(
            HeadState(state.rotation, state.translation + np.eye(3)[k] * 1e-4, state.expression), points, CAMERA
        )
        assert np.allclose((after - before)[:, :2] / 1e-4, rows[:, :2, 3 + k], atol=1e-3)


def test_blendshapes_stay_within_their_range(held):
    beyond = head(held, jaw=1.6)
    points = seen(held, beyond)
    found = held.fit(head(held, jaw=0.5), points, CAMERA, np.zeros(held.basis.shape[2]), steps=10)
    assert found.expression.min() >= 0
    assert found.expression.max() <= 1


def test_what_points_do_not_tell_is_as_expected(held):
    """The chart has no eyeballs: where they look only the regressor sees."""
    silent = np.flatnonzero(np.abs(held.basis).max((0, 1)) < 1e-6)
    expected = np.zeros(held.basis.shape[2])
    expected[silent] = 0.4
    found = held.fit(head(held), seen(held, head(held)), CAMERA, expected)
    assert np.allclose(found.expression[silent], 0.4, atol=1e-3) or not len(silent)


def test_points_on_the_far_side_count_little(held):
    weight = held.facing(head(held, yaw=1.2))
    assert weight.min() == HIDDEN
    assert weight.max() > 0.9
    mirrored = held.facing(head(held, yaw=-1.2))
    assert (weight > 0.5).any()
    assert not np.allclose(weight, mirrored, atol=0.2)
