"""The files of one densely aligned face, written together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gcnface.dense.aligned_face import OUTPUTS, AlignedFace
from gcnface.dense.picture import pose_picture
from gcnface.io import plain_json
from gcnface.io.atomic import staged
from gcnface.io.images import save_picture
from gcnface.result.files.gltf import glb_bytes
from gcnface.version import __version__

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


def file_names(name: str, outputs: Sequence[str] = OUTPUTS) -> list[str]:
    """Names of the files that these outputs make."""
    return [name + ending for output in outputs for ending in FILE_ENDINGS[output]]


def save_alignment(face: AlignedFace, folder: Path, name: str, outputs: Sequence[str]) -> list[Path]:
    """Write the outputs; see `AlignedFace.save`."""
    unknown = [output for output in outputs if output not in OUTPUTS]
    if unknown:
        raise ValueError(f"unknown output {', '.join(unknown)}; expected some of {', '.join(OUTPUTS)}")
    with staged(folder) as stage:
        for output in outputs:
            _WRITERS[output](face, stage, name)
    return [folder / file for file in file_names(name, outputs)]


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
        "meaning": _MEANING,
        "gcnface": __version__,
    }


@dataclass(frozen=True, eq=False)
class DepthLevels:
    """Depth as a 16-bit picture: depth = near_px + (level - 1) * step_px.

    Attributes:
        levels: (H, W) uint16, 0 beside the face.
        near_px: depth of level 1.
        step_px: from one level to the next.
    """

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


def _write_points(face: AlignedFace, folder: Path, name: str) -> None:
    """NAME_kpt.txt and NAME_kpt468.txt: x, y and z of a point in each line."""
    for ending, points in (("_kpt.txt", face.landmarks68), ("_kpt468.txt", face.landmarks468)):
        np.savetxt(folder / f"{name}{ending}", points, fmt="%.3f")


def _write_pose(face: AlignedFace, folder: Path, name: str) -> None:
    _write_json(pose_summary(face), folder / f"{name}_pose.json")


def _write_depth(face: AlignedFace, folder: Path, name: str) -> None:
    """NAME_depth.png, 16 bits, and NAME_depth.json, which says what the levels mean."""
    picture = depth_levels(face.depth)
    save_picture(Image.fromarray(picture.levels), folder / f"{name}_depth.png", "PNG")
    summary = {
        "near_px": picture.near_px,
        "step_px": picture.step_px,
        "px_per_mm": face.pose.scale,
        "meaning": "level 0 is beside the face, otherwise depth in px of the photo = near_px + (level - 1) * step_px, "
        "away from the camera, 0 at the head's origin between the ears; divide by px_per_mm for mm",
    }
    _write_json(summary, folder / f"{name}_depth.json")


def _write_position_map(face: AlignedFace, folder: Path, name: str) -> None:
    np.save(folder / f"{name}_position_map.npy", face.position_map.astype(np.float32), allow_pickle=False)


def _write_texture(face: AlignedFace, folder: Path, name: str) -> None:
    pixels = np.rint(np.clip(face.texture, 0, 1) * 255).astype(np.uint8)
    save_picture(Image.fromarray(pixels, "RGBA"), folder / f"{name}_texture.png", "PNG")


def _write_mesh(face: AlignedFace, folder: Path, name: str) -> None:
    content = glb_bytes(face.mesh, name=name, provenance={"gcnface": __version__})
    (folder / f"{name}_mesh.glb").write_bytes(content)


def _write_overlay(face: AlignedFace, folder: Path, name: str) -> None:
    save_picture(Image.fromarray(pose_picture(face)), folder / f"{name}_overlay.png", "PNG")


def _write_json(content: dict[str, Any], path: Path) -> None:
    path.write_text(plain_json.written(content, indent=2) + "\n", encoding="utf-8")


def _rounded(values: NDArray, digits: int) -> list:
    """Numbers as JSON lists."""
    return np.round(np.asarray(values, np.float64), digits).tolist()


_WRITERS: dict[str, Callable[[AlignedFace, Path, str], None]] = {
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
