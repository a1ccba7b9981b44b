"""Light as real spherical harmonics of order 2: lamps, environments, turned light, two published parametrisations.

Irradiance after Ramamoorthi and Hanrahan (2001): shading(n) = sum_k A_k Y_k(n) L_k, with the orthonormal real
harmonics Y_k in the order Y00, Y1-1 (y), Y10 (z), Y11 (x), Y2-2 (xy), Y2-1 (yz), Y20 (3z^2 - 1), Y21 (xz),
Y22 (x^2 - y^2), and the Lambert factors A of the three bands. Normals are in view axes: x right, y up, z towards the
viewer. The 1 / pi of the Lambert surface is taken into L: a uniform L_00 = sqrt(4 pi) / pi shades everything with
exactly 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from render.shapes import check_shape

LAMBERT_BAND_FACTORS = (math.pi, 2 * math.pi / 3, math.pi / 4)
"""The half cosine's coefficients in bands 0, 1, 2 (Ramamoorthi and Hanrahan 2001, equation 8)."""

LAMBERT_FACTORS = tuple(LAMBERT_BAND_FACTORS[band] for band in (0, 1, 1, 1, 2, 2, 2, 2, 2))
"""The same for each of the nine harmonics."""
SH_COUNT = len(LAMBERT_FACTORS)

Y0 = 1 / math.sqrt(4 * math.pi)
Y1 = math.sqrt(3 / (4 * math.pi))
Y2 = math.sqrt(15 / (4 * math.pi))
Y20 = math.sqrt(5 / (16 * math.pi))
"""Constants of the orthonormal harmonics: 1; x, y, z; xy, yz, xz (and half of it for x^2 - y^2); 3z^2 - 1."""

DEEP3D_INITIAL_LIGHT = 0.8
"""Added by Deep3DFaceRecon to the first coefficient of every channel before use."""

_ROOT3, _ROOT8 = math.sqrt(3), math.sqrt(8)
DEEP3D_FACTORS = (1.0, -_ROOT3, _ROOT3, -_ROOT3, _ROOT8, -_ROOT8, _ROOT8, -_ROOT8, _ROOT8)
"""Ours over Deep3D's coefficient: its factors are pi, 2 pi / sqrt 3, 2 pi / sqrt 8 (ours pi, 2 pi / 3, pi / 4), and its
harmonics of odd m carry the Condon-Shortley sign."""

MINIMUM_SHADING = 0.08
"""Light below this is not divided out: noise would be multiplied."""

DECA_ORDER = (0, 2, 3, 1, 4, 6, 8, 5, 7)
"""Where our nine harmonics stand among DECA's (1, x, y, z, xy, xz, yz, x^2 - y^2, 3z^2 - 1)."""


def sh_basis(normals: Tensor) -> Tensor:
    """The nine orthonormal harmonics (..., 9) at unit `normals` (..., 3) in view axes."""
    check_shape("normals", normals, "... 3")
    x, y, z = normals.unbind(-1)
    return torch.stack(
        [
            torch.full_like(x, Y0),
            Y1 * y,
            Y1 * z,
            Y1 * x,
            Y2 * x * y,
            Y2 * y * z,
            Y20 * (3 * z * z - 1),
            Y2 * x * z,
            Y2 / 2 * (x * x - y * y),
        ],
        -1,
    )


def sh_gradient(normals: Tensor) -> Tensor:
    """Derivatives (..., 9, 3) of `sh_basis` by x, y and z of the normals (..., 3), taken as free numbers."""
    check_shape("normals", normals, "... 3")
    x, y, z = normals.unbind(-1)
    o = torch.zeros_like(x)
    rows = [
        (o, o, o),
        (o, o + Y1, o),
        (o, o, o + Y1),
        (o + Y1, o, o),
        (Y2 * y, Y2 * x, o),
        (o, Y2 * z, Y2 * y),
        (o, o, 6 * Y20 * z),
        (Y2 * z, o, Y2 * x),
        (Y2 * x, -Y2 * y, o),
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def shade(normals: Tensor, lighting: Tensor) -> Tensor:
    """Shading, by which linear albedo is multiplied.

    Args:
        normals: (B, V, 3) unit, view axes (x right, y up, z towards the viewer).
        lighting: (B, 9, 3) radiance coefficients of red, green, blue.

    Returns:
        (B, V, 3); it may be negative under light that no real scene has.
    """
    check_shape("normals", normals, "B V 3")
    check_shape("lighting", lighting, "B 9 3")
    factors = lighting.new_tensor(LAMBERT_FACTORS)[:, None]
    return sh_basis(normals) @ (factors * lighting)


def ambient_lighting(intensity: float | Tensor = 1.0) -> Tensor:
    """Light (1, 9, 3) from everywhere that shades every normal with `intensity` (a number or (3,))."""
    level = torch.as_tensor(intensity, dtype=torch.float32)
    first = (level / (LAMBERT_FACTORS[0] * Y0)).expand(1, 1, 3)
    return torch.cat([first, first.new_zeros(1, SH_COUNT - 1, 3)], 1)


def directional_lighting(direction: tuple[float, float, float], rgb: float | tuple[float, ...] = 1.0) -> Tensor:
    """A distant lamp: L_k = I Y_k(d), the projection of a delta.

    The shading is I (1/4 + c/2 + 5/16 P_2(c)) with c the cosine between normal and lamp, the order-2 approximation of
    I max(c, 0) (Ramamoorthi and Hanrahan 2001): 17/16 of I towards the lamp, on the other side between -0.04 and 1/16.

    Args:
        direction: towards the lamp, view axes (x right, y up, z to the viewer), of any length but 0.
        rgb: intensity, one number or three.

    Returns:
        (9, 3).
    """
    towards = torch.tensor(direction, dtype=torch.float32)
    if not float(towards.norm()) > 0:
        raise ValueError(f"direction is {direction}; expected a vector that points at the lamp")
    return sh_basis(towards / towards.norm())[:, None] * torch.as_tensor(rgb, dtype=torch.float32).expand(3)


def rotated_lighting(lighting: Tensor, rotation: Tensor) -> Tensor:
    """The light after it was turned: what came from direction d comes from `rotation @ d`.

    Each band turns into itself. The matrix is found from the harmonics at fixed directions, which is exact: nine
    independent values determine nine coefficients.

    Args:
        lighting: (B, 9, 3).
        rotation: (B, 3, 3), view axes.

    Returns:
        (B, 9, 3).
    """
    batch = check_shape("lighting", lighting, "B 9 3")["B"]
    check_shape("rotation", rotation, "B 3 3", B=batch)
    directions = _even_directions(32).to(lighting)
    inverse = torch.linalg.pinv(sh_basis(directions).double()).to(lighting)
    return inverse @ (sh_basis(directions @ rotation) @ lighting)


def environment_lighting(radiance: Tensor) -> Tensor:
    """The order-2 light of a panorama around the head.

    The middle of the picture is what lies in front of the face (behind the camera, +z), its first row the zenith. A
    panorama is seen from inside: its right half is the subject's right, the viewer's left (-x).

    Args:
        radiance: (H, W, 3) linear light, equirectangular: a row for each step of elevation, 360 degrees wide.

    Returns:
        (9, 3); radiance 1 from everywhere shades every normal with exactly 1.
    """
    size = check_shape("radiance", radiance, "H W 3")
    elevation = math.pi * (0.5 - (torch.arange(size["H"], dtype=torch.float64) + 0.5) / size["H"])
    azimuth = 2 * math.pi * ((torch.arange(size["W"], dtype=torch.float64) + 0.5) / size["W"] - 0.5)
    total = torch.zeros(SH_COUNT, 3, dtype=torch.float64)
    weights = elevation.cos() / elevation.cos().sum() / size["W"] * 4 * math.pi  # solid angles, which sum to the sphere
    for row, angle, weight in zip(radiance.double(), elevation, weights, strict=True):
        flat = float(angle.cos())
        direction = [-azimuth.sin() * flat, torch.full_like(azimuth, float(angle.sin())), azimuth.cos() * flat]
        total += weight * sh_basis(torch.stack(direction, -1)).mT @ row
    return (total / math.pi).to(radiance.dtype)


def _even_directions(count: int) -> Tensor:
    """(count, 3) unit vectors spread evenly by the golden angle."""
    k = torch.arange(count, dtype=torch.float32)
    z = 1 - (2 * k + 1) / count
    angle = k * math.pi * (3 - math.sqrt(5))
    flat = (1 - z * z).sqrt()
    return torch.stack([flat * angle.cos(), flat * angle.sin(), z], -1)


def lighting_from_deep3d_gamma(gamma: Tensor) -> Tensor:
    """Deep3DFaceRecon's light (Deng et al. 2019) in our coefficients: the same shading at every normal.

    Args:
        gamma: (B, 27), nine of red, nine of green, nine of blue, without the 0.8 that its code adds.

    Returns:
        (B, 9, 3). Deep3D multiplies it with sRGB-encoded albedo; the shading itself is reproduced exactly.
    """
    check_shape("gamma", gamma, "B 27")
    initial = gamma.new_tensor([DEEP3D_INITIAL_LIGHT] + [0.0] * 8)[:, None]
    return (gamma.reshape(-1, 3, SH_COUNT).mT + initial) * gamma.new_tensor(DEEP3D_FACTORS)[:, None]


def lighting_from_deca(light: Tensor) -> Tensor:
    """DECA's light (Feng et al. 2021) in our coefficients: the same shading at every normal.

    Args:
        light: (B, 9, 3) in DECA's order. Its first harmonic lacks the Lambert factor pi, the others are ours.

    Returns:
        (B, 9, 3).
    """
    check_shape("light", light, "B 9 3")
    factors = light.new_tensor([1 / math.pi] + [1.0] * 8)[:, None]
    return light[:, list(DECA_ORDER)] * factors
