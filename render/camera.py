"""Cameras: from camera space (mm; x right, y down, z forward) to pixels (centres at .5)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from render.shapes import check_shape

KINDS = ("perspective", "scaled_orthographic")
_NEAR = 1e-6


@dataclass(frozen=True)
class Camera:
    """A pinhole or scaled-orthographic camera and the image it looks into.

    Attributes:
        px_from_cam: (B, 3, 3). perspective: the intrinsic matrix, px ~ px_from_cam @ (x, y, z).
            scaled_orthographic: px = px_from_cam @ (x, y, 1). The last row is (0, 0, 1) in both.
        hw: height and width of the image in pixels.
        kind: "perspective" or "scaled_orthographic".
    """

    px_from_cam: Tensor
    hw: tuple[int, int]
    kind: str = "perspective"

    def __post_init__(self) -> None:
        check_shape("px_from_cam", self.px_from_cam, "B 3 3")
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; expected one of {KINDS}")

    @property
    def is_perspective(self) -> bool:
        """Whether what is farther is drawn smaller, and barycentric weights hold in space rather than on the screen."""
        return self.kind == "perspective"

    def project(self, verts_cam: Tensor) -> Tensor:
        """Points seen through the camera.

        Args:
            verts_cam: (B, V, 3) mm in camera space. A camera of batch 1 serves any B.

        Returns:
            (B, V, 3) x_px, y_px, depth_mm (the z of camera space). Points at or behind a perspective camera get finite
            pixels without meaning and keep their depth, by which the rasteriser leaves them out.
        """
        check_shape("verts_cam", verts_cam, "B V 3")
        z = verts_cam[..., 2:]
        matrix = self.px_from_cam.to(verts_cam)
        plane = verts_cam[..., :2]
        if self.is_perspective:
            plane = plane / torch.where(z > _NEAR, z, torch.full_like(z, _NEAR))
        xy_px = plane @ matrix[:, :2, :2].mT + matrix[:, None, :2, 2]
        return torch.cat([xy_px, z.expand(*xy_px.shape[:2], 1)], -1)

    def transformed(self, dst_from_px: Tensor, hw: tuple[int, int]) -> Camera:
        """The same camera seen through an affine map of its image (a crop, a resize, a rotation in the plane).

        Args:
            dst_from_px: (3, 3) or (B, 3, 3), last row (0, 0, 1).
            hw: size of the new image.

        Raises:
            ValueError: the map is not affine.
        """
        check_shape("dst_from_px", dst_from_px, "... 3 3")
        if not torch.allclose(dst_from_px[..., 2, :], dst_from_px.new_tensor([0.0, 0.0, 1.0])):
            raise ValueError("dst_from_px is not affine; expected a last row of (0, 0, 1)")
        return Camera(dst_from_px.to(self.px_from_cam) @ self.px_from_cam, hw, self.kind)


def perspective_camera(
    focal_px: float | Tensor, center_px: tuple[float, float], hw: tuple[int, int], batch: int = 1
) -> Camera:
    """A pinhole camera with square pixels.

    Args:
        focal_px: focal length, a number or (B,).
        center_px: principal point x, y.
        hw: height and width of the image.
        batch: how many times the camera is repeated.
    """
    scales = torch.as_tensor(focal_px, dtype=torch.float32).reshape(-1)
    offset = torch.tensor([[0.0, 0.0, center_px[0]], [0.0, 0.0, center_px[1]], [0.0, 0.0, 1.0]], device=scales.device)
    unit = torch.diag(scales.new_tensor([1.0, 1.0, 0.0]))
    matrix = (scales[:, None, None] * unit + offset).expand(max(batch, len(scales)), 3, 3)
    return Camera(matrix, hw, "perspective")


def pixel_camera(hw: tuple[int, int]) -> Camera:
    """An orthographic camera of points that are given in pixels (x_px, y_px, depth): it leaves them where they are.

    What has a depth of 0 or less lies behind it: shift the mesh forward first.
    """
    return Camera(torch.eye(3)[None], hw, "scaled_orthographic")
