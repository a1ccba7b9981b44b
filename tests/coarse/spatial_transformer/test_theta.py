import math

import numpy as np
import pytest
import torch

from coarse.face_model import LANDMARKS5_FROM_468
from coarse.morphable import FEATURES_MIDDLE_PX
from coarse.spatial_transformer.theta import Theta, ThetaLayout, theta_layout_of
from coarse.spatial_transformer.transformer import PoseLayers
from render.shapes import ShapeError


def test_decode_and_encode_are_inverse(small_layout):
    raw = torch.randn(3, small_layout.total)
    torch.testing.assert_close(small_layout.encode(small_layout.decode(raw)), raw, atol=1e-5, rtol=1e-5)


def test_raw_zero_is_the_neutral_face_where_the_crop_has_it(model, small_layout):
    theta = small_layout.decode(torch.zeros(1, small_layout.total))
    assert not theta.rotation.any()
    assert not theta.alpha.any()
    points = torch.from_numpy(model.landmarks468(model.mean)).float()[None]
    px = PoseLayers()(points, theta)[0].numpy()
    five = np.stack([px[list(index)].mean(0) for index in LANDMARKS5_FROM_468])
    assert five[[0, 1, 3, 4], 1].mean() == pytest.approx(FEATURES_MIDDLE_PX, abs=0.01)
    assert five[:2, 0].mean() == pytest.approx(112, abs=0.1)
    assert five[1, 0] - five[0, 0] == pytest.approx(1.015 * np.ptp(points[0, [33, 263], 0].numpy()), rel=0.4)
    assert theta.log_scale.item() == pytest.approx(math.log(1.015))


def test_published_theta_has_sixteen_numbers(model):
    assert theta_layout_of(model, 10, 0).total == 16  # as published


def test_layout_takes_all_units_when_not_told(model):
    assert theta_layout_of(model).sizes == {
        "rotation": 3, "log_scale": 1, "translation": 2, "identity": 40, "expression": 52
    }  # fmt: skip


@pytest.mark.parametrize(("identity", "expression"), [(1000, 0), (5, 53), (-1, 0)])
def test_more_than_the_model_has_is_refused(model, identity, expression):
    with pytest.raises(ValueError, match="asked for"):
        theta_layout_of(model, identity, expression)


def test_parts_are_held_to_their_shapes():
    parts = dict(rotation=(2, 3), log_scale=(2, 1), translation=(2, 2), identity=(2, 4), expression=(2, 0))
    theta = Theta(**{name: torch.zeros(shape) for name, shape in parts.items()})
    assert theta.alpha.shape == (2, 4)
    assert len(theta[:1].rotation) == 1
    for name in parts:
        with pytest.raises(ShapeError, match=name):
            Theta(**{n: torch.zeros((3, 7) if n == name else shape) for n, shape in parts.items()})
    with pytest.raises(ShapeError, match="vector"):
        ThetaLayout().decode(torch.zeros(1, 5))
