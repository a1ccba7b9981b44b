"""What the coarse stage hands on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from coarse.coefficients import Coefficients


@dataclass(frozen=True)
class CoarseFace:
    """A posed and coloured morphable face.

    Attributes:
        coefficients: what it was made from.
        verts: (B, V, 3) mm, model space.
        verts_cam: (B, V, 3) mm, camera space.
        normals_view: (B, V, 3) unit, viewing axes (x right, y up, z to the viewer), what `render.lighting` takes.
        albedo: (B, V, 3) linear RGB.
        shading: (B, V, 3) linear; albedo * shading is the lit colour.
        features: (B, F) the regressor's, of the crop it was regressed from; None where it tells none.
    """

    coefficients: Coefficients
    verts: Tensor
    verts_cam: Tensor
    normals_view: Tensor
    albedo: Tensor
    shading: Tensor
    features: Tensor | None = None

    @property
    def lit(self) -> Tensor:
        """(B, V, 3) linear RGB under the face's own light."""
        return self.albedo * self.shading
