"""What a rasteriser hands on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Fragments:
    """The nearest face at every pixel centre.

    Attributes:
        pix_to_face: (B, H, W) int64 row of `faces` (of its own mesh, not packed over the batch), -1 where none.
        bary: (B, H, W, 3) barycentric weights of the face's three corners, -1 where none.
        depth: (B, H, W) depth of the surface, in the unit of the vertices' depth (mm), -1 where none.
    """

    pix_to_face: Tensor
    bary: Tensor
    depth: Tensor

    @property
    def mask(self) -> Tensor:
        """(B, H, W) bool, true where a face covers the pixel centre."""
        return self.pix_to_face >= 0
