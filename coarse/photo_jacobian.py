"""Residuals of the fit to a photo and their Jacobians in closed form, block by block.

z is the raw vector; u is what a raw number stands for, so that derivatives by z are those by the quantity times u.

    x = mean + B s                   a vertex, model space, of the shape s = (identity, expression)
    y = R x + t                      in camera space; R = F Q with Q to viewing axes, F = diag(1, -1, -1)
    p = f (y_1 / y_3, y_2 / y_3) + c its place in the crop;   P = dp/dy = f / y_3 [1 0 -y_1/y_3; 0 1 -y_2/y_3]

Points pulled to places q, weights w and distances d = sqrt(|p - q|^2 + softness^2):

    r = sqrt(w / d) (p - q)
    dr/ds = sqrt(w / d) P R B u      dr/domega_j = sqrt(w / d) P (dR/domega_j) x u      dr/dt = sqrt(w / d) P u

Colours of vertices against the photo I, with the sRGB curve g, albedo a = A_0 + A alpha, unit normals
n = n_0 + N (s - s_0), harmonics Y times their Lambert factors, light L (9, 3) and shading l = L^T Y(Q n):

    r = sqrt(w / d) (I(p) - g(a l))  c = -g'(a l), 0 where the colour is clipped;  D = c a L^T dY/dn;  G = dI/dp P

    dr/ds = sqrt(w / d) (G R B + D Q N) u                       dr/dalpha = sqrt(w / d) c l A
    dr/domega_j = sqrt(w / d) (G dR/domega_j x + D dQ/domega_j n) u   dr/dt = sqrt(w / d) G u
    dr/dL_bk = sqrt(w / d) c_k a_k Y_b u  in channel k, 0 in the others

The term's value is sum w d. With w / d held (iteratively reweighted least squares) its gradient is J^T r and its second
derivative, after Gauss and Newton, J^T J. The normals' own length is held: N has no part along n.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from coarse.morphable import CROP_PX, DARKEST_ALBEDO, FOCAL_PX, VIEW_FROM_CAM, MorphableModel
from render.color import srgb_from_linear, srgb_slope
from render.lighting import LAMBERT_FACTORS, sh_basis, sh_gradient
from render.rotation import rotation_derivative, rotation_from_axis_angle
from render.sampling import sample_image


class Posed:
    """A raw vector and what all terms need of it."""

    def __init__(self, model: MorphableModel, raw: Tensor) -> None:
        self.layout = model.layout
        self.coefficients = c = self.layout.decode(raw)
        self.shape = torch.cat([c.identity, c.expression], 1)[0]
        self.flip = raw.new_tensor(VIEW_FROM_CAM)
        self.view_turn = rotation_from_axis_angle(c.rotation)[0]
        """(3, 3) model to viewing axes."""
        self.turn = self.flip[:, None] * self.view_turn
        """(3, 3) model to camera axes."""

    @cached_property
    def rotated(self) -> Tensor:
        """(3, 3, 3) derivative of `turn` by each raw number of the rotation, those in front."""
        found = rotation_derivative(self.coefficients.rotation)[0]
        return self.flip[:, None] * found * self.layout.rotation_unit_rad

    @cached_property
    def units(self) -> Tensor:
        """(Ni + Ne,) coefficient a raw number."""
        layout = self.layout
        return self.shape.new_tensor([1.0] * layout.identity + [layout.expression_unit] * layout.expression)

    def project(self, points: Tensor) -> Projected:
        """Points (n, 3) of model space in the crop."""
        x, y, z = (points @ self.turn.T + self.coefficients.translation).unbind(1)
        flat = torch.stack([x / z, y / z], 1)
        zero, focal = torch.zeros_like(z), FOCAL_PX / z
        rows = [focal, zero, -focal * flat[:, 0], zero, focal, -focal * flat[:, 1]]
        return Projected(points, FOCAL_PX * flat + CROP_PX / 2, torch.stack(rows, 1).view(-1, 2, 3))

    def derivative(self, points: Tensor, basis: Tensor, by_cam: Tensor) -> tuple[Tensor, Tensor]:
        """What changes by `by_cam` (n, k, 3) with camera mm: by raw shape (n, k, Ni + Ne), by raw pose (n, k, 6)."""
        by_shape = torch.bmm(by_cam @ self.turn, basis).mul_(self.units)
        rotated = torch.einsum("jcl,nl->ncj", self.rotated, points)
        by_place = by_cam * by_cam.new_tensor(self.layout.translation_unit_mm)
        return by_shape, torch.cat([by_cam @ rotated, by_place], 2)


class Projected(NamedTuple):
    """Points (n, 3) of model space, where they are seen (n, 2) in crop px, its derivative by camera mm (n, 2, 3)."""

    points: Tensor
    xy: Tensor
    by_cam: Tensor


class Rows(NamedTuple):
    """Derivatives (m, k) of weighted residuals (m,) by the raw numbers `columns` (k,)."""

    derivative: Tensor
    residual: Tensor
    columns: Tensor | slice


class Evaluation(NamedTuple):
    """Value of a term, and what makes its rows."""

    value: float
    rows: Callable[[], Rows]


@dataclass(frozen=True)
class PointTerm:
    """Points of the surface that are pulled to places in the crop.

    Attributes:
        mean: (n, 3) mm.
        basis: (n, 3, Ni + Ne).
        target: (n, 2) crop px.
        weight: (n,) of a px.
        softness: px below which distances count squared.
    """

    mean: Tensor
    basis: Tensor
    target: Tensor
    weight: Tensor
    softness: float

    def evaluate(self, posed: Posed) -> Evaluation:
        """Weighted sum of the distances."""
        found = posed.project(self.mean + self.basis @ posed.shape)
        away = found.xy - self.target
        distance = (away.square().sum(1) + self.softness**2).sqrt()
        return Evaluation(float(self.weight @ distance), lambda: self._rows(posed, found, away, distance))

    def _rows(self, posed: Posed, found: Projected, away: Tensor, distance: Tensor) -> Rows:
        rows = torch.cat(posed.derivative(found.points, self.basis, found.by_cam), 2)
        root = (self.weight / distance).sqrt()[:, None]
        shape, albedo = posed.shape.numel(), posed.layout.albedo
        columns = torch.arange(rows.shape[2], device=rows.device)
        columns = torch.where(columns < shape, columns, columns + albedo)
        return Rows((rows * root[..., None]).flatten(0, 1), (away * root).flatten(), columns)


@dataclass(frozen=True)
class ColorTerm:
    """Vertices whose colours are compared.

    Attributes:
        mean: (n, 3) mm.
        normals: (n, 3) at the start, model space.
        albedo_mean: (n, 3) linear.
        basis: (n, 3, Ni + Ne).
        normal_basis: (n, 3, Ni + Ne).
        albedo_basis: (n, 3, Na).
        start: (Ni + Ne,) the shape that `normals` belong to.
        maps: (1, 10, h, w) of `with_gradients`.
        area: (n,) that a vertex covers.
        weight: of the mean distance.
        softness: colour distance below which distances count squared.
    """

    mean: Tensor
    normals: Tensor
    albedo_mean: Tensor
    basis: Tensor
    normal_basis: Tensor
    albedo_basis: Tensor
    start: Tensor
    maps: Tensor
    area: Tensor
    weight: float
    softness: float

    def evaluate(self, posed: Posed) -> Evaluation:
        """Weighted mean of the colour distances."""
        c = posed.coefficients
        found = posed.project(self.mean + self.basis @ posed.shape)
        xy = found.xy[None] * (self.maps.shape[3] / CROP_PX)
        photo, across, down, attention = sample_image(self.maps, xy)[0].split([3, 3, 3, 1], 1)
        normals = torch.nn.functional.normalize(self.normals + self.normal_basis @ (posed.shape - self.start), dim=1)
        design = sh_basis(normals @ posed.view_turn.T) * normals.new_tensor(LAMBERT_FACTORS)
        albedo = (self.albedo_mean + self.albedo_basis @ c.albedo[0]).clamp(DARKEST_ALBEDO, 1.0)
        shading = design @ c.lighting[0]
        residual = photo - srgb_from_linear((albedo * shading).clamp(0, 1))
        weight = self.area * attention[:, 0]
        weight = weight * (self.weight / weight.sum().clamp(min=1e-6))
        distance = (residual.square().sum(1) + self.softness**2).sqrt()
        by_cam = torch.stack([across, down], 2) @ found.by_cam
        lit = _LitVertices(found.points, by_cam, normals, design, albedo, shading)
        root = (weight / distance).sqrt()[:, None]
        return Evaluation(float(weight @ distance), lambda: self._rows(posed, lit, residual, root))

    def _rows(self, posed: Posed, lit: _LitVertices, residual: Tensor, root: Tensor) -> Rows:
        color = lit.albedo * lit.shading
        slope = -srgb_slope(color) * ((color > 0) & (color < 1))
        by_shape, by_pose = posed.derivative(lit.points, self.basis, lit.by_cam)
        factors = slope.new_tensor(LAMBERT_FACTORS)[:, None]
        gradient = sh_gradient(lit.normals @ posed.view_turn.T) * factors
        by_normal = (slope * lit.albedo)[..., None] * (gradient.mT @ posed.coefficients.lighting[0]).mT
        by_shape += torch.bmm(by_normal @ posed.view_turn, self.normal_basis).mul_(posed.units)
        by_pose[..., :3] += (by_normal * posed.flip) @ torch.einsum("jcl,nl->ncj", posed.rotated, lit.normals)
        by_albedo = (slope * lit.shading)[..., None] * self.albedo_basis
        channel = torch.diag_embed(slope * lit.albedo * posed.layout.lighting_unit)
        by_light = (lit.design[:, None, :, None] * channel[:, :, None, :]).flatten(2)
        rows = torch.cat([by_shape, by_albedo, by_pose, by_light], 2)
        return Rows(rows.mul_(root[..., None]).flatten(0, 1), (residual * root).flatten(), slice(None))


Term = PointTerm | ColorTerm
"""One part of the objective that is a sum of distances."""


class _LitVertices(NamedTuple):
    """What the derivatives of n lit vertices need: places, change of the photo's colour with camera mm, and light."""

    points: Tensor
    by_cam: Tensor
    normals: Tensor
    design: Tensor
    albedo: Tensor
    shading: Tensor


def with_gradients(picture: Tensor, scale: float) -> Tensor:
    """RGB and attention (4, h, w) to RGB, its change along a crop px in x, in y, and attention (10, h, w)."""
    rgb = picture[:3]
    across, down = torch.zeros_like(rgb), torch.zeros_like(rgb)
    across[..., 1:-1] = (rgb[..., 2:] - rgb[..., :-2]) * (scale / 2)
    down[:, 1:-1] = (rgb[:, 2:] - rgb[:, :-2]) * (scale / 2)
    return torch.cat([rgb, across, down, picture[3:]])
