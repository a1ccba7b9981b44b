import math

import pytest
import torch

from render.lighting import (
    LAMBERT_FACTORS,
    ambient_lighting,
    directional_lighting,
    environment_lighting,
    lighting_from_deca,
    lighting_from_deep3d_gamma,
    rotated_lighting,
    sh_basis,
    sh_gradient,
    shade,
)
from render.rotation import rotation_from_axis_angle
from tests.tolerances import CHAINS, STORED, SUMS


@pytest.fixture
def normals():
    n = torch.randn(1, 200, 3, generator=torch.Generator().manual_seed(0))
    return n / n.norm(dim=-1, keepdim=True)


def quadrature(count: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions (N, 3) and solid angles (N,) that cover the sphere."""
    z = (torch.arange(count, dtype=torch.float64) + 0.5) / count * 2 - 1
    around = (torch.arange(2 * count, dtype=torch.float64) + 0.5) / count * math.pi
    r = (1 - z * z).sqrt()[:, None]
    points = torch.stack([r * around.cos(), r * around.sin(), z[:, None].expand(-1, 2 * count)], -1).view(-1, 3)
    return points, torch.full((len(points),), 4 * math.pi / len(points), dtype=torch.float64)


def test_basis_is_orthonormal():
    points, weight = quadrature()
    basis = sh_basis(points)
    torch.testing.assert_close(basis.T @ (basis * weight[:, None]), torch.eye(9, dtype=torch.float64), **CHAINS)


def test_lambert_factors_are_the_half_cosine(normals):
    """sum_k A_k Y_k(n) Y_k(d) approximates max(n.d, 0) by its bands 0 to 2: check against the integral over d."""
    points, weight = quadrature()
    basis = sh_basis(points)
    n = normals[0, :10].double()
    irradiance = (n @ points.T).clamp(min=0) * weight @ basis
    torch.testing.assert_close(irradiance, sh_basis(n) * torch.tensor(LAMBERT_FACTORS).double(), **CHAINS)


def test_ambient_shades_evenly(normals):
    torch.testing.assert_close(shade(normals, ambient_lighting()), torch.ones_like(normals))
    tinted = shade(normals, ambient_lighting(torch.tensor([0.2, 0.5, 0.9])))
    torch.testing.assert_close(tinted, torch.tensor([0.2, 0.5, 0.9]).expand_as(normals))
    unit = torch.zeros(1, 9, 3)
    unit[:, 0] = math.sqrt(4 * math.pi) / math.pi
    torch.testing.assert_close(shade(normals, unit), torch.ones_like(normals))


@pytest.mark.parametrize(("band", "direction"), [(1, (0.0, 1, 0)), (2, (0.0, 0, 1)), (3, (1.0, 0, 0))])
def test_linear_bands_light_from_their_axis(band, direction):
    lighting = ambient_lighting().clone()
    lighting[:, band] = 0.3
    n = torch.tensor([[direction, tuple(-c for c in direction)]])
    bright, dark = shade(n, lighting)[0]
    assert (bright > 1).all()
    assert (dark < 1).all()


def deep3d_shading(n, gamma):
    """Deep3DFaceRecon's published formula, written out (its own constants a and c)."""
    a = (math.pi, 2 * math.pi / math.sqrt(3), 2 * math.pi / math.sqrt(8))
    c = (1 / math.sqrt(4 * math.pi), math.sqrt(3) / math.sqrt(4 * math.pi), 3 * math.sqrt(5) / math.sqrt(12 * math.pi))
    x, y, z = n.unbind(-1)
    bands = torch.stack(
        [
            a[0] * c[0] + 0 * x,
            -a[1] * c[1] * y,
            a[1] * c[1] * z,
            -a[1] * c[1] * x,
            a[2] * c[2] * x * y,
            -a[2] * c[2] * y * z,
            0.5 * a[2] * c[2] / math.sqrt(3) * (3 * z**2 - 1),
            -a[2] * c[2] * x * z,
            0.5 * a[2] * c[2] * (x**2 - y**2),
        ],
        -1,
    )
    light = gamma.view(-1, 3, 9).clone()
    light[:, :, 0] += 0.8
    return bands @ light.transpose(1, 2)


def test_deep3d_conversion_keeps_the_shading(normals):
    gamma = torch.randn(2, 27, generator=torch.Generator().manual_seed(1))
    n = normals.expand(2, -1, -1)
    torch.testing.assert_close(shade(n, lighting_from_deep3d_gamma(gamma)), deep3d_shading(n, gamma), **SUMS)


def test_deep3d_zero_is_not_dark(normals):
    """The hidden 0.8: zero coefficients shade with 0.8 pi / sqrt(4 pi)."""
    shading = shade(normals, lighting_from_deep3d_gamma(torch.zeros(1, 27)))
    torch.testing.assert_close(shading, torch.full_like(shading, 0.8 * math.pi / math.sqrt(4 * math.pi)))


def deca_shading(n, light):
    """DECA's published formula, written out."""
    pi = math.pi
    one, two = 2 * pi / 3 * math.sqrt(3 / (4 * pi)), pi / 4 * 3 * math.sqrt(5 / (12 * pi))
    x, y, z = n.unbind(-1)
    bands = [
        1 / math.sqrt(4 * pi) + 0 * x,
        one * x,
        one * y,
        one * z,
        two * x * y,
        two * x * z,
        two * y * z,
        pi / 4 * 1.5 * math.sqrt(5 / (12 * pi)) * (x**2 - y**2),
        pi / 4 * 0.5 * math.sqrt(5 / (4 * pi)) * (3 * z**2 - 1),
    ]
    return torch.stack(bands, -1) @ light


def test_deca_conversion_keeps_the_shading(normals):
    light = torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(1))
    n = normals.expand(2, -1, -1)
    torch.testing.assert_close(shade(n, lighting_from_deca(light)), deca_shading(n, light), **SUMS)


def test_gradcheck(normals):
    n, light = normals[:, :4].double().requires_grad_(), torch.rand(1, 9, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(shade, (n, light))


def test_a_lamp_shades_by_its_closed_form(normals):
    """1/4 + c/2 + 5/16 P2(c): the half cosine's first three bands; wrong band factors would not give it."""
    towards = torch.tensor([0.6, -0.48, 0.64])
    shading = shade(normals, directional_lighting((1.2, -0.96, 1.28), (1.0, 2.0, 0.5))[None])
    c = normals @ towards
    expected = 0.25 + c / 2 + 5 / 16 * (3 * c * c - 1) / 2
    torch.testing.assert_close(shading, expected[..., None] * torch.tensor([1.0, 2.0, 0.5]), **SUMS)


def test_a_lamp_needs_a_direction():
    with pytest.raises(ValueError, match="direction is"):
        directional_lighting((0, 0, 0))


def test_turning_light_and_normals_together_changes_nothing(normals):
    light = torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(2))
    turn = rotation_from_axis_angle(torch.tensor([[0.4, -1.1, 0.3], [0.0, 2.0, 0.7]]))
    still = shade(normals.expand(2, -1, -1), light)
    rotated = shade(normals.expand(2, -1, -1) @ turn.mT, rotated_lighting(light, turn))
    torch.testing.assert_close(rotated, still, atol=2e-5, rtol=0)
    assert (shade(normals.expand(2, -1, -1), rotated_lighting(light, turn)) - still).abs().max() > 0.1


def test_a_turned_lamp_is_the_lamp_elsewhere():
    turn = rotation_from_axis_angle(torch.tensor([[0.0, math.pi / 2, 0.0]]))
    moved = rotated_lighting(directional_lighting((0, 0, 1))[None], turn)[0]
    torch.testing.assert_close(moved, directional_lighting((1, 0, 0)), **SUMS)


def test_a_uniform_environment_shades_with_its_radiance(normals):
    light = environment_lighting(torch.tensor([0.2, 0.5, 0.9]).expand(64, 128, 3))
    expected = torch.tensor([0.2, 0.5, 0.9]).expand(1, 200, 3)
    torch.testing.assert_close(shade(normals, light[None]), expected, atol=2e-4, rtol=0)


def test_environments_of_low_order_come_back(normals):
    """A panorama painted with the harmonics of a light gives pi times less than that light, by orthonormality."""
    height, width = 180, 360
    elevation = math.pi * (0.5 - (torch.arange(height) + 0.5) / height)[:, None].expand(height, width)
    azimuth = 2 * math.pi * ((torch.arange(width) + 0.5) / width - 0.5)
    x, y, z = -azimuth.sin() * elevation.cos(), elevation.sin(), azimuth.cos() * elevation.cos()
    light = torch.randn(9, 3, generator=torch.Generator().manual_seed(3))
    found = environment_lighting(sh_basis(torch.stack([x, y, z], -1)) @ light)
    torch.testing.assert_close(found, light / math.pi, **STORED)


@pytest.mark.parametrize(
    ("row", "column", "direction"),
    [(32, 64, (0, 0, 1)), (32, 96, (-1, 0, 0)), (32, 32, (1, 0, 0)), (0, 5, (0, 1, 0)), (63, 9, (0, -1, 0))],
)
def test_where_a_panorama_s_places_lie(row, column, direction):
    picture = torch.zeros(64, 128, 3)
    picture[row, column] = 1000
    light = environment_lighting(picture)
    normals = torch.tensor([[(0, 0, 1), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), direction]], dtype=torch.float32)
    shading = shade(normals, light[None])[0, :, 0]
    assert shading.argmax() == shading[:5].tolist().index(float(shading[5]))


def test_gradient_of_the_harmonics(normals):
    found = torch.func.vmap(torch.func.jacrev(sh_basis))(normals.reshape(-1, 3))
    torch.testing.assert_close(sh_gradient(normals.reshape(-1, 3)), found)
