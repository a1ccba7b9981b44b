"""Fitting coefficients to one photograph: a few Gauss-Newton steps on colours, landmarks and dense points at once.

The colours are compared at vertices (as Thies et al. 2016, "Face2Face"): a residual is the photo where a vertex is
projected, minus the vertex's own lit colour, so its derivatives are the picture's gradients times the bases and no
rendering has to be differentiated. Distances count to the first power, not the second: each step weighs them by one
over their length (iteratively reweighted least squares). Shading moves with the shape as the mean face's normals do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from coarse.coefficients import Coefficients
from coarse.losses import CoarseLossWeights, coefficient_prior, gamma_loss
from coarse.morphable import CROP_PX, DARKEST_ALBEDO, FOCAL_PX, VIEW_FROM_CAM, MorphableModel, crop_camera
from render.color import srgb_from_linear, srgb_slope
from render.lighting import LAMBERT_FACTORS, SH_COUNT, sh_basis, sh_gradient
from render.normals import normal_derivative, vertex_normals
from render.rotation import rotation_derivative, rotation_from_axis_angle
from render.sampling import sample_image
from render.shapes import check_shape
from render.visibility import vertex_visibility

_HALVINGS = 3
"""How often a step that raises the objective is halved before the fit ends."""


@dataclass(frozen=True)
class DensePoints:
    """Where a position map saw the surface.

    Attributes:
        vertex: (N,) int64 vertices of the model, at the level that is fitted.
        xy_px: (B, N, 2) crop px.
        weight: (B, N) in [0, 1], 0 where the surface is hidden.
    """

    vertex: Tensor
    xy_px: Tensor
    weight: Tensor

    def distance(self, screen: Tensor) -> Tensor:
        """Weighted mean distance of the vertices (B, V, 3) on the screen, over the size of the points' box."""
        box = self.xy_px.amax(1) - self.xy_px.amin(1)
        side = box.prod(dim=1).sqrt().clamp(min=1.0)
        away = ((screen[:, self.vertex, :2] - self.xy_px).square().sum(-1) + 1e-4).sqrt()
        return ((away * self.weight).sum(1) / self.weight.sum(1).clamp(min=1.0) / side).mean()


@dataclass(frozen=True)
class PhotoFitting:
    """Settings of `PhotoFitter`."""

    steps: int = 3
    side_px: int = 112
    """Side of the compared picture; half the crop is enough to place features."""
    stride: int = 2
    """Every so many of the visible vertices are compared."""
    anchor: float = 0.45
    """Pull of the landmarks towards where the regressor saw them (mean distance / face size)."""
    dense: float = 0.8
    """Pull of the vertices towards where the position map saw them, likewise; without a map the landmarks pull more."""
    start: float = 1.5e-4
    """Squared distance of the raw vector from where it started: what nothing else decides stays."""
    turn: float = 5e-2
    """The same of the raw rotation: a nod and a longer face look much alike, and the regressor knows poses best."""
    softness: float = 0.1
    """Colour distance below which distances count squared."""
    softness_px: float = 0.5
    """The same of landmarks and dense points."""
    weights: CoarseLossWeights = field(
        default_factory=lambda: CoarseLossWeights(
            photometric=6.0, coefficients=1e-4, prior_expression=2.0, expression_range=0.05, gamma=1.0
        )
    )


def fit_photo(
    model: MorphableModel,
    start: Tensor,
    photo: Tensor,
    skin: Tensor,
    *,
    dense: DensePoints | None = None,
    settings: PhotoFitting = PhotoFitting(),
) -> Tensor:
    """Adjust raw coefficients to one crop; `PhotoFitter` for many, which keeps its tables."""
    return PhotoFitter(model, settings)(start, photo, skin, dense=dense)


class PhotoFitter:
    """Adjusts raw coefficients to crops.

    Args:
        model: usually a coarser level of the face model.
        settings: steps and weights.
    """

    def __init__(self, model: MorphableModel, settings: PhotoFitting = PhotoFitting()) -> None:
        self.model, self.settings = model, settings
        self.camera = crop_camera()
        self._basis = model.shape_basis.view(len(model.mean), 3, -1)
        self._albedo = model.albedo_basis.view(len(model.mean), 3, -1)
        self._normal: Tensor | None = None

    @torch.no_grad()
    def __call__(self, start: Tensor, photo: Tensor, skin: Tensor, *, dense: DensePoints | None = None) -> Tensor:
        """The adjusted raw vectors (B, layout.total).

        Args:
            start: (B, layout.total) raw vectors of the regressor.
            photo: (B, 3, 224, 224) sRGB crops.
            skin: (B, 224, 224) attention in [0, 1] from the parser.
            dense: points of a position map; None leaves their term out.
        """
        batch = check_shape("start", start, "B N", N=self.model.layout.total)["B"]
        check_shape("photo", photo, "B 3 H W", B=batch, H=CROP_PX, W=CROP_PX)
        check_shape("skin", skin, "B H W", B=batch, H=CROP_PX, W=CROP_PX)
        return torch.cat([self._one(start[i : i + 1], photo[i], skin[i], _row(dense, i)) for i in range(batch)])

    def _one(self, start: Tensor, photo: Tensor, skin: Tensor, dense: DensePoints | None) -> Tensor:
        terms: list[_Term] = [self._anchor(start, dense is not None)]
        if dense is not None:
            terms.append(self._dense(dense))
        colors = self._colors(start, photo, skin)
        if colors is not None:
            terms.append(colors)
        return _descend(_Objective(self.model, self.settings, start, terms), start, self.settings.steps)

    def _anchor(self, start: Tensor, with_dense: bool) -> _Points:
        """The landmarks, held where they are at the start."""
        model, s = self.model, self.settings
        target = self.camera.project(model.landmarks_cam(model.layout.decode(start)))[0, :, :2]
        pull = s.anchor if with_dense else s.anchor + s.dense
        weight = pull / _side_px(target) / len(target)
        basis = model.landmark_basis.view(len(target), 3, -1)
        return _Points(model.landmark_mean, basis, target, target.new_full((len(target),), weight), s.softness_px)

    def _dense(self, dense: DensePoints) -> _Points:
        target, weight = dense.xy_px[0], dense.weight[0]
        weight = weight * self.settings.dense / _side_px(target) / weight.sum().clamp(min=1.0)
        there = (weight > 0).nonzero()[:, 0]
        vertex = dense.vertex[there]
        basis = self._basis.index_select(0, vertex)
        return _Points(self.model.mean[vertex], basis, target[there], weight[there], self.settings.softness_px)

    def _colors(self, start: Tensor, photo: Tensor, skin: Tensor) -> _Colors | None:
        """The visible vertices on the skin, each for the area it covers; None where there is none."""
        model, s = self.model, self.settings
        c = model.layout.decode(start)
        verts = model.vertices(c.identity, c.expression)
        verts_cam = model.in_camera(verts, c)
        screen = self.camera.project(verts_cam)
        size = (s.side_px, s.side_px)
        small = torch.nn.functional.interpolate(torch.cat([photo, skin[None]])[None], size, mode="area")[0]
        maps = _with_gradients(small, s.side_px / CROP_PX)[None]
        scaled = screen[..., :2] * (s.side_px / CROP_PX)
        seen = vertex_visibility(verts_cam, model.faces, self.camera)[0]
        area = _areas(screen[0], model.faces) * seen
        chosen = (area * sample_image(maps[:, -1:], scaled)[0, :, 0] > 1e-3).nonzero()[:: s.stride, 0]
        if not len(chosen):
            return None
        if self._normal is None:
            self._normal = normal_derivative(model.mean, model.faces, self._basis)
        normals = vertex_normals(verts, model.faces)[0, chosen]
        return _Colors(
            mean=model.mean[chosen],
            normals=normals,
            albedo_mean=model.albedo_mean[chosen],
            basis=self._basis.index_select(0, chosen),
            normal_basis=self._normal.index_select(0, chosen),
            albedo_basis=self._albedo.index_select(0, chosen),
            start=torch.cat([c.identity, c.expression], 1)[0],
            maps=maps,
            area=area[chosen],
            weight=s.weights.photometric,
            softness=s.softness,
        )


def _row(dense: DensePoints | None, index: int) -> DensePoints | None:
    if dense is None:
        return None
    rows = slice(index, index + 1)
    return DensePoints(dense.vertex, dense.xy_px[rows], dense.weight[rows])


def _side_px(points: Tensor) -> float:
    """Root of the area of the box of points (N, 2)."""
    return float((points.amax(0) - points.amin(0)).prod().sqrt().clamp(min=1.0))


def _areas(screen: Tensor, faces: Tensor) -> Tensor:
    """(V,) twice the area on the screen of the faces around each vertex."""
    a, b, c = screen[:, :2].index_select(0, faces.T.reshape(-1)).view(3, -1, 2).unbind(0)
    one, two = b - a, c - a
    area = (one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]).abs()
    return area.new_zeros(len(screen)).index_add(0, faces.T.reshape(-1), area.repeat(3))


def _with_gradients(picture: Tensor, scale: float) -> Tensor:
    """RGB and attention (4, h, w) to RGB, its change along a crop px in x, in y, and attention (10, h, w)."""
    rgb = picture[:3]
    across, down = torch.zeros_like(rgb), torch.zeros_like(rgb)
    across[..., 1:-1] = (rgb[..., 2:] - rgb[..., :-2]) * (scale / 2)
    down[:, 1:-1] = (rgb[:, 2:] - rgb[:, :-2]) * (scale / 2)
    return torch.cat([rgb, across, down, picture[3:]])


class _Posed:
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

    def project(self, points: Tensor) -> _Projected:
        """Points (n, 3) of model space in the crop."""
        x, y, z = (points @ self.turn.T + self.coefficients.translation).unbind(1)
        flat = torch.stack([x / z, y / z], 1)
        zero, focal = torch.zeros_like(z), FOCAL_PX / z
        rows = [focal, zero, -focal * flat[:, 0], zero, focal, -focal * flat[:, 1]]
        return _Projected(points, FOCAL_PX * flat + CROP_PX / 2, torch.stack(rows, 1).view(-1, 2, 3))

    def derivative(self, points: Tensor, basis: Tensor, by_cam: Tensor) -> tuple[Tensor, Tensor]:
        """What changes by `by_cam` (n, k, 3) with camera mm: by raw shape (n, k, Ni + Ne), by raw pose (n, k, 6)."""
        by_shape = torch.bmm(by_cam @ self.turn, basis).mul_(self.units)
        rotated = torch.einsum("jcl,nl->ncj", self.rotated, points)
        by_place = by_cam * by_cam.new_tensor(self.layout.translation_unit_mm)
        return by_shape, torch.cat([by_cam @ rotated, by_place], 2)


class _Projected(NamedTuple):
    """Points (n, 3) of model space, where they are seen (n, 2) in crop px, its derivative by camera mm (n, 2, 3)."""

    points: Tensor
    xy: Tensor
    by_cam: Tensor


class _Rows(NamedTuple):
    """Derivatives (m, k) of weighted residuals (m,) by the raw numbers `columns` (k,)."""

    derivative: Tensor
    residual: Tensor
    columns: Tensor | slice


class _Term(Protocol):
    """One part of the objective that is a sum of distances."""

    def look(self, posed: _Posed) -> _Seen:
        """Its value, and its linear model where that is asked for."""
        ...


class _Seen(NamedTuple):
    """Value of a term, and what makes its rows."""

    value: float
    rows: Callable[[], _Rows]


@dataclass(frozen=True)
class _Points:
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

    def look(self, posed: _Posed) -> _Seen:
        """Weighted sum of the distances."""
        found = posed.project(self.mean + self.basis @ posed.shape)
        away = found.xy - self.target
        distance = (away.square().sum(1) + self.softness**2).sqrt()
        return _Seen(float(self.weight @ distance), lambda: self._rows(posed, found, away, distance))

    def _rows(self, posed: _Posed, found: _Projected, away: Tensor, distance: Tensor) -> _Rows:
        rows = torch.cat(posed.derivative(found.points, self.basis, found.by_cam), 2)
        root = (self.weight / distance).sqrt()[:, None]
        shape, albedo = posed.shape.numel(), posed.layout.albedo
        columns = torch.arange(rows.shape[2], device=rows.device)
        columns = torch.where(columns < shape, columns, columns + albedo)
        return _Rows((rows * root[..., None]).flatten(0, 1), (away * root).flatten(), columns)


@dataclass(frozen=True)
class _Colors:
    """Vertices whose colours are compared.

    Attributes:
        mean: (n, 3) mm.
        normals: (n, 3) at the start, model space.
        albedo_mean: (n, 3) linear.
        basis: (n, 3, Ni + Ne).
        normal_basis: (n, 3, Ni + Ne).
        albedo_basis: (n, 3, Na).
        start: (Ni + Ne,) the shape that `normals` belong to.
        maps: (1, 10, h, w) of `_with_gradients`.
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

    def look(self, posed: _Posed) -> _Seen:
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
        lit = _Lit(found.points, by_cam, normals, design, albedo, shading)
        root = (weight / distance).sqrt()[:, None]
        return _Seen(float(weight @ distance), lambda: self._rows(posed, lit, residual, root))

    def _rows(self, posed: _Posed, lit: _Lit, residual: Tensor, root: Tensor) -> _Rows:
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
        return _Rows(rows.mul_(root[..., None]).flatten(0, 1), (residual * root).flatten(), slice(None))


class _Lit(NamedTuple):
    """What the derivatives of n lit vertices need: places, change of the photo's colour with camera mm, and light."""

    points: Tensor
    by_cam: Tensor
    normals: Tensor
    design: Tensor
    albedo: Tensor
    shading: Tensor


@dataclass(frozen=True)
class _Objective:
    """All terms of one photo."""

    model: MorphableModel
    settings: PhotoFitting
    start: Tensor
    terms: Sequence[_Term]

    def look(self, raw: Tensor) -> _Look:
        """The objective at `raw` (1, total)."""
        posed = _Posed(self.model, raw)
        c, s = posed.coefficients, self.settings
        priors = coefficient_prior(c, s.weights) + s.weights.gamma * gamma_loss(c.lighting)
        away = (self._hold(raw) * (raw - self.start).square()).sum()
        seen = [term.look(posed) for term in self.terms]
        return _Look(raw, c, float(priors + away) + sum(term.value for term in seen), seen)

    def step(self, at: _Look) -> Tensor:
        """(1, total) from there to the minimum of the objective's quadratic model."""
        hessian, gradient = self.quadratic(at)
        return -torch.linalg.solve(hessian, gradient)[None]

    def quadratic(self, at: _Look) -> tuple[Tensor, Tensor]:
        """Second (total, total), after Gauss and Newton, and first (total,) derivatives."""
        hessian, gradient = self._priors(at.raw, at.coefficients)
        for term in at.seen:
            rows, residual, columns = term.rows()
            gradient[columns] += rows.T @ residual
            square = rows.T @ rows
            if isinstance(columns, slice):
                hessian += square
            else:
                hessian[columns[:, None], columns] += square
        return hessian, gradient

    def _hold(self, raw: Tensor) -> Tensor:
        """(1, total) weight of each raw number's squared distance from its start."""
        held = {name: torch.full_like(part, self.settings.start) for name, part in self.model.layout.split(raw).items()}
        held["rotation"] = torch.full_like(held["rotation"], self.settings.turn)
        return torch.cat(list(held.values()), 1)

    def _priors(self, raw: Tensor, c: Coefficients) -> tuple[Tensor, Tensor]:
        """Second (total, total) and first (total,) derivatives of all that is quadratic in the raw vector."""
        layout, w = self.model.layout, self.settings.weights
        numbers = torch.arange(layout.total, device=raw.device)[None]
        place = {name: part[0] for name, part in layout.split(numbers).items()}
        diagonal = torch.zeros_like(raw[0])
        diagonal[place["identity"]] = 2 * w.coefficients * w.prior_identity
        diagonal[place["expression"]] = 2 * w.coefficients * w.prior_expression * layout.expression_unit**2
        diagonal[place["albedo"]] = 2 * w.coefficients * w.prior_albedo
        hold = 2 * self._hold(raw)[0]
        gradient = diagonal * raw[0] + hold * (raw - self.start)[0]
        diagonal += hold
        over = c.expression[0].clamp(max=0.0) + (c.expression[0] - 1).clamp(min=0.0)
        gradient[place["expression"]] += 2 * w.expression_range * layout.expression_unit * over
        diagonal[place["expression"]] += 2 * w.expression_range * layout.expression_unit**2 * (over != 0)
        hessian = torch.diag(diagonal)
        light, unit = place["lighting"], 2 * w.gamma / (3 * SH_COUNT) * layout.lighting_unit
        gray = torch.eye(3).to(raw) - 1 / 3
        hessian[light[:, None], light] += torch.kron(torch.eye(SH_COUNT).to(raw), gray) * unit * layout.lighting_unit
        gradient[light] += unit * (c.lighting[0] @ gray).flatten()
        return hessian, gradient


class _Look(NamedTuple):
    """The objective at a raw vector (1, total)."""

    raw: Tensor
    coefficients: Coefficients
    value: float
    seen: list[_Seen]


def _descend(objective: _Objective, start: Tensor, steps: int) -> Tensor:
    """Gauss-Newton from `start`; the objective never rises."""
    at = objective.look(start)
    for _ in range(steps):
        step = objective.step(at)
        for halving in range(_HALVINGS + 1):
            tried = objective.look(at.raw + step * 0.5**halving)
            if tried.value < at.value:
                break
        else:
            break
        at = tried
    return at.raw.clone()
