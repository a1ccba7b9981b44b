"""Fitting coefficients to one photograph: a few Gauss-Newton steps on colours, landmarks and dense points at once.

The colours are compared at vertices (as Thies et al. 2016, "Face2Face"): a residual is the photo where a vertex is
projected, minus the vertex's own lit colour, so its derivatives are the picture's gradients times the bases and no
rendering has to be differentiated. Distances count to the first power, not the second: each step weighs them by one
over their length (iteratively reweighted least squares). Shading moves with the shape as the mean face's normals do.
`coarse.photo_jacobian` has the equations.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from coarse.losses import box_side
from coarse.morphable import CROP_PX, MorphableModel, crop_camera
from coarse.photo_descent import Objective, PhotoFitting, descend
from coarse.photo_jacobian import ColorTerm, PointTerm, Term, with_gradients
from render.interpolate import doubled_area
from render.normals import normal_derivative, vertex_normals
from render.sampling import sample_image
from render.shapes import check_shape
from render.visibility import vertex_visibility


@dataclass(frozen=True)
class DensePoints:
    """Where a position map saw the surface.

    Attributes:
        vertex: (N,) int64 vertices of the model, at the level that is fitted.
        xy_px: (B, N, 2) crop px.
        weight: (B, N) in [0, 1]; less where the surface is hidden.
        lead: (B,) in [0, 1], how far the points are believed rather than the start; None is 0.
    """

    vertex: Tensor
    xy_px: Tensor
    weight: Tensor
    lead: Tensor | None = None

    @property
    def leads(self) -> bool:
        """Whether the points of any photo are believed rather than its start."""
        return self.lead is not None and bool((self.lead > 0).any())

    def distance(self, screen: Tensor) -> Tensor:
        """Weighted mean distance of the vertices (B, V, 3) on the screen, over the size of the points' box."""
        away = ((screen[:, self.vertex, :2] - self.xy_px).square().sum(-1) + 1e-4).sqrt()
        return ((away * self.weight).sum(1) / self.weight.sum(1).clamp(min=1.0) / box_side(self.xy_px)).mean()


class PhotoFitter:
    """Adjusts raw coefficients to crops.

    Args:
        model: usually a coarser level of the face model.
        settings: steps and weights.
    """

    def __init__(self, model: MorphableModel, settings: PhotoFitting | None = None) -> None:
        self.model, self.settings = model, settings or PhotoFitting()
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
        s = self.settings.alone if dense is None else self.settings
        if dense is not None and dense.lead is not None:
            s = s.led(float(dense.lead[0]))
        terms: list[Term] = [self._anchor(start, s.anchor)]
        if dense is not None:
            terms.append(self._dense(dense))
        colors = self._colors(start, photo, skin)
        if colors is not None:
            terms.append(colors)
        return descend(Objective(self.model, s, start, terms), start, s.steps)

    def _anchor(self, start: Tensor, pull: float) -> PointTerm:
        """The landmarks, held where they are at the start."""
        model = self.model
        target = self.camera.project(model.landmarks_cam(model.layout.decode(start)))[0, :, :2]
        weight = pull / float(box_side(target)) / len(target)
        basis = model.landmark_basis.view(len(target), 3, -1)
        weights = target.new_full((len(target),), weight)
        return PointTerm(model.landmark_mean, basis, target, weights, self.settings.softness_px)

    def _dense(self, dense: DensePoints) -> PointTerm:
        target, weight = dense.xy_px[0], dense.weight[0]
        weight = weight * self.settings.dense / float(box_side(target)) / weight.sum().clamp(min=1.0)
        there = (weight > 0).nonzero()[:, 0]
        vertex = dense.vertex[there]
        basis = self._basis.index_select(0, vertex)
        return PointTerm(self.model.mean[vertex], basis, target[there], weight[there], self.settings.softness_px)

    def _colors(self, start: Tensor, photo: Tensor, skin: Tensor) -> ColorTerm | None:
        """The visible vertices on the skin, each for the area it covers; None where there is none."""
        model, s = self.model, self.settings
        c = model.layout.decode(start)
        verts = model.vertices(c.identity, c.expression)
        verts_cam = model.in_camera(verts, c)
        screen = self.camera.project(verts_cam)
        size = (s.side_px, s.side_px)
        small = torch.nn.functional.interpolate(torch.cat([photo, skin[None]])[None], size, mode="area")[0]
        maps = with_gradients(small, s.side_px / CROP_PX)[None]
        scaled = screen[..., :2] * (s.side_px / CROP_PX)
        seen = vertex_visibility(verts_cam, model.faces, self.camera)[0]
        area = _areas(screen[0], model.faces) * seen
        chosen = (area * sample_image(maps[:, -1:], scaled)[0, :, 0] > 1e-3).nonzero()[:: s.stride, 0]
        if not len(chosen):
            return None
        if self._normal is None:
            self._normal = normal_derivative(model.mean, model.faces, self._basis)
        normals = vertex_normals(verts, model.faces)[0, chosen]
        return ColorTerm(
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
    lead = None if dense.lead is None else dense.lead[rows]
    return DensePoints(dense.vertex, dense.xy_px[rows], dense.weight[rows], lead)


def _areas(screen: Tensor, faces: Tensor) -> Tensor:
    """(V,) twice the area on the screen of the faces around each vertex."""
    a, b, c = screen.T.index_select(1, faces.T.reshape(-1)).view(3, 3, -1).unbind(1)
    area = doubled_area(b, a, c).abs()
    return area.new_zeros(len(screen)).index_add(0, faces.T.reshape(-1), area.repeat(3))
