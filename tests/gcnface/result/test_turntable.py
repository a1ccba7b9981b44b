import numpy as np
import pytest

import gcnface
from gcnface.result.rendering import turntable, turntable_angles
from tests.gcnface.results import make_reconstruction


def test_a_turn_ends_where_it_began():
    angles = turntable_angles(13)
    assert (len(angles), angles[0], angles[-1]) == (13, 0, 360)
    assert np.allclose(np.diff(angles), 30)
    with pytest.raises(ValueError, match="count is 1"):
        turntable_angles(1)


def test_the_public_name_is_the_function():
    """Whatever was imported before: no module has its name."""
    assert gcnface.turntable is turntable
    assert next(iter(gcnface.turntable(make_reconstruction(), 2, 64))).rgb.shape == (64, 64, 3)


def test_frames():
    begun = []
    drawn = list(turntable(make_reconstruction(), 5, 64, on_frame=begun.append))
    assert begun == [1, 2, 3, 4, 5]
    assert np.array_equal(drawn[0].rgb, drawn[-1].rgb)
    assert np.array_equal(drawn[0].rgb, make_reconstruction().draw(64).rgb)
    # red grows with u, and u towards the viewer's right: what has turned to the right shows less of it
    assert drawn[1].rgb[32, 32, 0] < drawn[0].rgb[32, 32, 0] - 0.1


def test_the_light_stays_or_follows():
    face = make_reconstruction().relit("left")
    for follows, fades in ((False, True), (True, False)):
        first, half, last = turntable(face, 3, 64, light_follows=follows)
        left_side = [drawing.rgb[32, 20].max() for drawing in (first, half)]
        assert (left_side[1] < 0.6 * left_side[0]) != fades
        assert np.array_equal(first.rgb, last.rgb)
