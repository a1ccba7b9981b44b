"""One densely aligned face, in the pixels of its photo, and its files, which are written together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from coarse.contour68 import contour68
from coarse.morphable import VIEW_FROM_CAM
from gcnface.dense.picture import pose_picture
from gcnface.io import plain_json
from gcnface.io.atomic import staged
from gcnface.io.images import save_picture
from gcnface.names import ALIGN_OUTPUTS
from gcnface.result.files.gltf import glb_bytes
from gcnface.result.mesh import TexturedMesh
from gcnface.result.quality import FaceQuality
from gcnface.system.isolation import plain_torch
from gcnface.version import __version__
from render.camera import pixel_camera
from render.normals import vertex_normals
from render.rasterize import rasterize
from render.sampling import sample_image
from render.shapes import check_shape

OUTPUTS = tuple(ALIGN_OUTPUTS)
"""What `AlignedFace.save` can write."""

DEPTH_LEVELS = 65535
"""0 is beside the face, 1 its nearest point and this its farthest."""

_PIXELS = "pixels of the photo, (0, 0) the top-left corner of the top-left one, x right, y down"
_MEANING = {
    "euler_degrees": "rotation = R_y(yaw) R_x(pitch) R_z(roll); positive: the nose to the viewer's right, down, the "
    "head leaning counter-clockwise",
    "rotation_matrix": "of the head in model axes: x to the viewer's right, y up, z out of the face; the identity "
    "looks into the camera",
    "scale_px_per_mm": "of the scaled orthographic camera",
    "translation_px": f"where the head's origin, between the ears, lies: x and y in {_PIXELS}; z away from the camera",
    "photo_from_model": "3 x 4: photo_from_model @ (x, y, z, 1) of a point in model mm is its x, y and z in px",
    "misfit_px": "root mean square distance between the face and the posed mean face, weighted as for the pose",
}

_NEAREST_PX = 10.0
"""Where the nearest point is put before the rasteriser, which takes positive depths only."""


@dataclass(frozen=True, eq=False)
class HeadPose:
    """The head as a rigid body before a scaled orthographic camera.

    photo px = scale * (diag(1, -1, -1) @ rotation @ model mm) + translation: model axes are x to the viewer's right, y
    up, z out of the face; photo axes x right, y down, z away from the camera.

    Attributes:
        rotation: (3, 3) proper; the identity looks into the camera.
        euler_deg: (3,) yaw, pitch, roll: rotation = R_y(yaw) R_x(pitch) R_z(roll). Positive turns the nose to the
            viewer's right, bends it down, leans the head counter-clockwise.
        scale: px of the photo a mm.
        translation: (3,) px: where the model's origin (between the ears) lies.
        residual: px of the photo, weighted root mean square distance between the face and the posed mean face.
    """

    rotation: NDArray[np.float32]
    euler_deg: NDArray[np.float32]
    scale: float
    translation: NDArray[np.float32]
    residual: float

    @property
    def photo_from_model(self) -> NDArray[np.float32]:
        """(3, 4): photo_from_model @ (x, y, z, 1) of a point in model mm is its x, y, z in photo px."""
        rotated = self.scale * np.diag(VIEW_FROM_CAM) @ self.rotation
        return np.column_stack([rotated, self.translation]).astype(np.float32)

    def model_from_photo(self, points: NDArray) -> NDArray[np.float32]:
        """Points (N, 3) in photo px upright and in mm: (N, 3) in model space."""
        offset = (points - self.translation) / self.scale
        return (offset * np.array(VIEW_FROM_CAM) @ self.rotation).astype(np.float32)


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """Where every point of a face lies in a photo.

    "px" are pixels of the photo after its EXIF orientation: (0, 0) is the top-left corner of the top-left pixel, x
    right, y down; z is in the same px, away from the camera, 0 at the model's origin between the ears.

    Attributes:
        position_map: (S, S, 3) px of every point of the face chart; row 0 is v = 1; without meaning outside `map_mask`.
        map_mask: (S, S) bool: texels that lie on the face.
        vertices: (N, 3) px: the chart's vertices, then one in each eye and in the mouth, which close the surface.
        faces: (F, 3) into them, counter-clockwise seen from outside.
        uv: (N, 2) on the chart, u right, v up.
        visible: (N,) bool: in the photo, turned to the camera, not hidden by the face itself.
        landmarks68: (68, 3) px: the points of 300W-LP and AFLW2000-3D, on the skin also where the head hides it.
        landmarks468: (468, 3) px.
        landmarks468_visible: (468,) bool as `visible`.
        landmarks68_visible: (68,) bool as `visible`.
        pose: of the head.
        texture: (T, T, 4) the photo's own colours on the chart, sRGB in [0, 1], and 1 where the photo shows that point,
            else 0; where only the mirrored point is shown, the colour is that one's.
        photo: (H, W, 3) float32 sRGB in [0, 1].
        box: (4,) x0, y0, x1, y1 of the detected face, px.
        score: the detector's confidence in [0, 1].
        quality: how far the face may be believed, and why; None when unknown.

    Example:
        >>> import gcnface
        >>> face = gcnface.align("examples/portrait.jpg")
        >>> bool(abs(face.pose.euler_deg).max() < 45)
        True
    """

    position_map: NDArray[np.float32]
    map_mask: NDArray[np.bool_]
    vertices: NDArray[np.float32]
    faces: NDArray[np.int64]
    uv: NDArray[np.float32]
    visible: NDArray[np.bool_]
    landmarks68: NDArray[np.float32]
    landmarks468: NDArray[np.float32]
    landmarks468_visible: NDArray[np.bool_]
    landmarks68_visible: NDArray[np.bool_]
    pose: HeadPose
    texture: NDArray[np.float32]
    photo: NDArray[np.float32] = field(repr=False)
    box: NDArray[np.float32]
    score: float
    quality: FaceQuality | None = None

    def __post_init__(self) -> None:
        side = check_shape("position_map", self.position_map, "S S 3")["S"]
        check_shape("map_mask", self.map_mask, "S S", S=side)
        count = check_shape("vertices", self.vertices, "N 3")["N"]
        check_shape("faces", self.faces, "F 3")
        check_shape("uv", self.uv, "N 2", N=count)
        check_shape("visible", self.visible, "N", N=count)
        check_shape("landmarks68", self.landmarks68, "L 3", L=68)
        check_shape("landmarks468", self.landmarks468, "L 3", L=468)
        check_shape("landmarks468_visible", self.landmarks468_visible, "L", L=468)
        check_shape("landmarks68_visible", self.landmarks68_visible, "L", L=68)
        check_shape("texture", self.texture, "T T 4")
        check_shape("photo", self.photo, "H W 3")

    @property
    def landmarks68_contour(self) -> NDArray[np.float32]:
        """(68, 3) px in 300W's two-dimensional form: the jaw on the visible outline (`coarse.contour68`)."""
        return contour68(self.landmarks468)

    @cached_property
    @plain_torch()
    def depth(self) -> NDArray[np.float32]:
        """(H, W) px: z of the nearest point of the face at every pixel centre of the photo, NaN beside the face."""
        height, width = self.photo.shape[:2]
        depth = np.full((height, width), np.nan, np.float32)
        limit = np.array([width, height])
        low = np.clip(np.floor(self.vertices[:, :2].min(0)), 0, limit).astype(int)
        high = np.clip(np.ceil(self.vertices[:, :2].max(0)), 0, limit).astype(int)
        if (high <= low).any():
            return depth
        nearest = float(self.vertices[:, 2].min())
        screen = self.vertices - np.array([*low, nearest - _NEAREST_PX], np.float32)
        hw = (int(high[1] - low[1]), int(high[0] - low[0]))
        seen = rasterize(torch.from_numpy(screen)[None], torch.from_numpy(self.faces), pixel_camera(hw))
        part = (seen.depth[0] + (nearest - _NEAREST_PX)).numpy()
        depth[low[1] : high[1], low[0] : high[0]] = np.where(seen.mask[0].numpy(), part, np.nan)
        return depth

    @cached_property
    @plain_torch()
    def mesh(self) -> TexturedMesh:
        """The face upright, in mm in model space, in the photo's own colours (light and all)."""
        vertices = self.pose.model_from_photo(self.vertices)
        rgb = np.ascontiguousarray(self.texture[..., :3], np.float32)
        place = torch.from_numpy(np.stack([self.uv[:, 0], 1 - self.uv[:, 1]], 1) * len(rgb)).float()
        colors = sample_image(torch.from_numpy(rgb).permute(2, 0, 1)[None], place[None])[0]
        return TexturedMesh(
            vertices=vertices,
            faces=self.faces,
            vertex_rgb=colors.numpy(),
            uv=self.uv,
            uv_faces=self.faces,
            texture=rgb,
            normals=vertex_normals(torch.from_numpy(vertices)[None], torch.from_numpy(self.faces))[0].numpy(),
            landmarks68=self.pose.model_from_photo(self.landmarks68),
            landmarks468=self.pose.model_from_photo(self.landmarks468),
        )

    @plain_torch()
    def save(self, folder: str | Path, name: str, outputs: Sequence[str] = OUTPUTS) -> list[Path]:
        """Write the chosen outputs into a folder, all of them or none: NAME_kpt.txt, NAME_pose.json, and so on.

        Args:
            folder: created when missing.
            name: what the files' names begin with.
            outputs: any of `OUTPUTS`.

        Returns:
            The paths written.

        Raises:
            ValueError: an unknown output.
            OutputError: the folder cannot be written to.
        """
        unknown = [output for output in outputs if output not in OUTPUTS]
        if unknown:
            raise ValueError(f"unknown output {', '.join(unknown)}; expected some of {', '.join(OUTPUTS)}")
        with staged(Path(folder)) as stage:
            for output in outputs:
                _WRITERS[output](self, *(stage / file for file in file_names(name, [output])))
        return [Path(folder) / file for file in file_names(name, outputs)]


def file_names(name: str, outputs: Sequence[str] = OUTPUTS) -> list[str]:
    """Names of the files that these outputs make."""
    return [name + ending for output in outputs for ending in FILE_ENDINGS[output]]


def pose_summary(face: AlignedFace) -> dict[str, Any]:
    """The content of NAME_pose.json."""
    pose = face.pose
    yaw, pitch, roll = (round(float(angle), 3) for angle in pose.euler_deg)
    return {
        "euler_degrees": {"yaw": yaw, "pitch": pitch, "roll": roll},
        "rotation_matrix": _rounded(pose.rotation, 6),
        "scale_px_per_mm": round(pose.scale, 6),
        "translation_px": _rounded(pose.translation, 3),
        "photo_from_model": _rounded(pose.photo_from_model, 6),
        "misfit_px": round(pose.residual, 3),
        "photo_hw": list(face.photo.shape[:2]),
        "face_box_px": _rounded(face.box, 1),
        "detection_score": round(face.score, 4),
        "quality": face.quality.summary() if face.quality else None,
        "meaning": _MEANING,
        "gcnface": __version__,
    }


@dataclass(frozen=True, eq=False)
class DepthLevels:
    """Depth as a 16-bit picture (H, W): depth = near_px + (level - 1) * step_px, and level 0 beside the face."""

    levels: NDArray[np.uint16]
    near_px: float
    step_px: float


def depth_levels(depth: NDArray[np.float32]) -> DepthLevels:
    """Levels of a depth map (H, W) in px, NaN beside the face."""
    on_face = np.isfinite(depth)
    if not on_face.any():
        return DepthLevels(np.zeros(depth.shape, np.uint16), 0.0, 0.0)
    near, far = float(depth[on_face].min()), float(depth[on_face].max())
    step = max(far - near, 1e-6) / (DEPTH_LEVELS - 1)
    levels = 1 + np.rint((np.where(on_face, depth, near).astype(np.float64) - near) / step)
    return DepthLevels(np.where(on_face, levels, 0).astype(np.uint16), near, step)


def _write_points(face: AlignedFace, *paths: Path) -> None:
    """X, y and z of a point in each line."""
    for path, points in zip(paths, (face.landmarks68, face.landmarks468), strict=True):
        np.savetxt(path, points, fmt="%.3f")


def _write_pose(face: AlignedFace, path: Path) -> None:
    _write_json(pose_summary(face), path)


def _write_depth(face: AlignedFace, picture: Path, meaning: Path) -> None:
    """A picture of 16 bits, and what its levels mean."""
    depth = depth_levels(face.depth)
    _write_picture(depth.levels, picture)
    summary = {
        "near_px": depth.near_px,
        "step_px": depth.step_px,
        "px_per_mm": face.pose.scale,
        "meaning": "level 0 is beside the face, otherwise depth in px of the photo = near_px + (level - 1) * step_px, "
        "away from the camera, 0 at the head's origin between the ears; divide by px_per_mm for mm",
    }
    _write_json(summary, meaning)


def _write_position_map(face: AlignedFace, path: Path) -> None:
    np.save(path, face.position_map.astype(np.float32), allow_pickle=False)


def _write_texture(face: AlignedFace, path: Path) -> None:
    _write_picture(np.rint(np.clip(face.texture, 0, 1) * 255).astype(np.uint8), path)


def _write_mesh(face: AlignedFace, path: Path) -> None:
    name = path.stem.removesuffix("_mesh")
    path.write_bytes(glb_bytes(face.mesh, name=name, provenance={"gcnface": __version__}))


def _write_overlay(face: AlignedFace, path: Path) -> None:
    _write_picture(
        pose_picture(face.photo, face.landmarks68, face.landmarks68_visible, face.pose.photo_from_model), path
    )


def _write_picture(pixels: NDArray, path: Path) -> None:
    save_picture(Image.fromarray(pixels), path, "PNG")


def _write_json(content: dict[str, Any], path: Path) -> None:
    path.write_text(plain_json.written(content, indent=2) + "\n", encoding="utf-8")


def _rounded(values: NDArray, digits: int) -> list:
    """Numbers as JSON lists."""
    return np.round(np.asarray(values, np.float64), digits).tolist()


_WRITERS: dict[str, Callable[..., None]] = {
    "kpt": _write_points,
    "pose": _write_pose,
    "depth": _write_depth,
    "position-map": _write_position_map,
    "texture": _write_texture,
    "mesh": _write_mesh,
    "overlay": _write_overlay,
}

FILE_ENDINGS = {
    "kpt": ("_kpt.txt", "_kpt468.txt"),
    "pose": ("_pose.json",),
    "depth": ("_depth.png", "_depth.json"),
    "position-map": ("_position_map.npy",),
    "texture": ("_texture.png",),
    "mesh": ("_mesh.glb",),
    "overlay": ("_overlay.png",),
}
"""What follows NAME in the files of each output."""
