"""Lamps light what they see, and shadows fall where something stands between."""

import numpy as np
import pytest
import torch

from gcnface.building.lamps import Lamp, Lamps, exposed, front_faces, random_lamps, seen_by
from tests.tolerances import SUMS

WALL = [[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]
"""A square that looks to the viewer (z)."""
QUAD = torch.tensor([[0, 1, 2], [0, 2, 3]])


def wall_and_screen():
    """A large square, and a small one before its middle; both look to the viewer."""
    verts = torch.tensor(WALL)
    grid = torch.cartesian_prod(torch.linspace(-1, 1, 21), torch.linspace(-1, 1, 21))
    index = torch.arange(441).view(21, 21)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    faces = torch.cat([torch.stack([a, b, c], -1).reshape(-1, 3), torch.stack([a, c, d], -1).reshape(-1, 3)])
    wall = torch.cat([grid * 100, torch.zeros(441, 1)], dim=1)
    screen = verts * 20 + torch.tensor([0.0, 0, 50])
    return torch.cat([wall, screen]), torch.cat([faces, QUAD + 441])


def test_a_lamp_lights_by_the_cosine_and_in_its_color():
    direction = torch.tensor([0.0, 0.6, 0.8])
    lamps = Lamps(torch.tensor([0.1, 0.1, 0.1]), (Lamp(direction, torch.tensor([1.0, 0.5, 0.0])),))
    verts = torch.tensor(WALL)
    shading = lamps.shading(verts, torch.tensor([0.0, 0, 1]).expand(4, 3), QUAD)
    torch.testing.assert_close(shading, torch.tensor([0.9, 0.5, 0.1]).expand(4, 3), **SUMS)


def test_what_turns_away_has_the_ambient_light_alone():
    lamps = Lamps(torch.tensor([0.2, 0.2, 0.2]), (Lamp(torch.tensor([0.0, 0, -1]), torch.ones(3)),))
    shading = lamps.shading(torch.tensor(WALL), torch.tensor([0.0, 0, 1]).expand(4, 3), QUAD)
    torch.testing.assert_close(shading, torch.full((4, 3), 0.2), **SUMS)


@pytest.mark.parametrize("direction", [(0.0, 0.0, 1.0), (0.6, 0.0, 0.8), (0.0, -0.6, 0.8)])
def test_a_screen_casts_its_shadow_away_from_the_lamp(direction):
    verts, faces = wall_and_screen()
    seen = seen_by(torch.tensor(direction), verts, faces)
    shifted = -torch.tensor(direction)[:2] / direction[2] * 50
    away = (verts[:441, :2] - shifted).abs().amax(1)
    assert not seen[:441][away < 14].any()
    inner = verts[:441, :2].abs().amax(1) < 95
    assert seen[:441][(away > 26) & inner].all()


def test_only_what_looks_to_the_camera_is_in_front():
    screen = torch.tensor([[0.0, 0], [1, 0], [0, 1]])  # clockwise on a screen whose y runs down
    assert len(front_faces(screen, torch.tensor([[0, 2, 1]]))) == 1
    assert len(front_faces(screen, torch.tensor([[0, 1, 2]]))) == 0


def test_light_is_random_finite_and_repeatable():
    first = [random_lamps(np.random.default_rng(seed)) for seed in range(40)]
    again = [random_lamps(np.random.default_rng(seed)) for seed in range(40)]
    assert all(torch.equal(a.ambient, b.ambient) for a, b in zip(first, again, strict=True))
    assert {len(lamps.lamps) for lamps in first} == {1, 2, 3}
    for lamps in first:
        assert (lamps.ambient > 0).all()
        for lamp in lamps.lamps:
            assert lamp.direction.norm() == pytest.approx(1, abs=1e-5)


def test_exposure_scales_all_colors_alike():
    linear = torch.rand(50, 3) * 5
    out = exposed(linear, torch.ones(50, dtype=torch.bool), np.random.default_rng(0))
    ratio = out / linear
    torch.testing.assert_close(ratio, ratio[:1, :1].expand(50, 3), **SUMS)
    assert 0.02 < float((out @ torch.tensor([0.2126, 0.7152, 0.0722])).median()) < 0.75
