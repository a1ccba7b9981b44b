"""The spatial transformer: theta and a crop to the flattened face."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from coarse.face_model import FaceModel
from coarse.spatial_transformer.linear_model import UvGrid, grid_model, landmark_model, landmark_uv
from coarse.spatial_transformer.pose import PoseLayers
from coarse.spatial_transformer.sampling import BilinearSampler, DepthVisibility, Masking, NormalVisibility, grid_faces
from coarse.spatial_transformer.theta import Theta
from render.sampling import sample_image

VISIBILITIES = ("normals", "depth")


@dataclass(frozen=True)
class FlattenedTexture:
    """A photo resampled over the face chart.

    Attributes:
        theta: the pose and shape it was read with.
        grid_px: (B, S, S, 2) where in the crop each texel lies.
        mask: (B, S, S) bool: on the chart, visible, inside the crop.
        texture: (B, C, S, S) colours, 0 where the mask is false; row 0 is v = 1.
    """

    theta: Theta
    grid_px: Tensor
    mask: Tensor
    texture: Tensor


class SpatialTransformer(nn.Module):
    """Grid generator and sampler (figure 2 of the paper).

    Args:
        model: the face model.
        side: texels a side of the grid, S, even; published: 112.
        identity: identity components of theta; published: 10.
        expression: expression units of theta; published: none.
        visibility: "normals" as published (quick), or "depth": a depth buffer of the grid, normals besides.

    Shapes:
        image (B, C, H, W) whose pixels theta speaks of -> `FlattenedTexture` of S x S texels.
    """

    landmark_uv: Tensor

    def __init__(
        self,
        model: FaceModel,
        side: int = 112,
        *,
        identity: int = 40,
        expression: int = 52,
        visibility: str = "normals",
    ) -> None:
        super().__init__()
        if visibility not in VISIBILITIES:
            raise ValueError(f"visibility is {visibility!r}; expected one of {VISIBILITIES}")
        self.side = side
        self.grid = UvGrid(model, side)
        self.shape = grid_model(model, self.grid, identity, expression)
        self.landmark_shape = landmark_model(model, identity, expression)
        self.pose = PoseLayers()
        self.sampler, self.masking = BilinearSampler(), Masking()
        self.facing = NormalVisibility()
        self.unoccluded = DepthVisibility(grid_faces(side)) if visibility == "depth" else None
        self.register_buffer("landmark_uv", landmark_uv(model), persistent=False)

    def forward(self, image: Tensor, theta: Theta) -> FlattenedTexture:
        """Flatten a batch of crops."""
        rotated = self.pose.rotated(self.shape(theta.alpha), theta)
        plane = self.pose.plane(rotated, theta)
        grid_px = plane.view(len(plane), self.side, self.side, 2)
        mask = self.visible(rotated, plane) & _inside(grid_px.detach(), image)
        texture = self.masking(self.sampler(image, grid_px), mask)
        return FlattenedTexture(theta, grid_px, mask, texture)

    @torch.no_grad()
    def visible(self, rotated: Tensor, plane: Tensor) -> Tensor:
        """(B, S, S) bool: texels of the chart that face the camera and, with "depth", that nothing hides."""
        mask = self.grid.mask & self.facing(rotated, self.side)
        if self.unoccluded is not None:
            screen = torch.cat([plane, -rotated[..., 2:]], dim=2).float()
            mask = mask & self.unoccluded(screen, screen).view(mask.shape)
        return mask

    def landmarks(self, theta: Theta) -> Tensor:
        """(B, 468, 2) crop px of the landmarks."""
        return self.pose(self.landmark_shape(theta.alpha), theta)[..., :2]

    @torch.no_grad()
    def landmark_visibility(self, mask: Tensor) -> Tensor:
        """(B, 468) bool: the landmarks whose nearest texels are visible in a mask (B, S, S)."""
        texel = self.side * torch.stack([self.landmark_uv[:, 0], 1 - self.landmark_uv[:, 1]], dim=1)
        seen = sample_image(mask[:, None].to(texel), texel.expand(len(mask), -1, -1))
        return seen[..., 0] >= 0.5


def _inside(grid_px: Tensor, image: Tensor) -> Tensor:
    """(B, S, S) bool: grid points within the image."""
    extent = grid_px.new_tensor([image.shape[3], image.shape[2]])
    return ((grid_px >= 0) & (grid_px <= extent)).all(-1)
