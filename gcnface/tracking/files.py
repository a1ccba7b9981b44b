"""NAME.glb, NAME.csv and NAME.npz of a track."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import SupportsFloat

import numpy as np
from numpy.typing import NDArray

from coarse.morphable import VIEW_FROM_CAM
from gcnface.io.atomic import staged, writing
from gcnface.result.files.gltf import METERS_PER_MM, glb_bytes
from gcnface.result.files.gltf_animation import HeadAnimation
from gcnface.tracking.track import TRACK_FORMATS, Track

_POSE = ("yaw_deg", "pitch_deg", "roll_deg", "x_mm", "y_mm", "z_mm")


def save_track(track: Track, path: Path, name: str | None, formats: Sequence[str]) -> list[Path]:
    """Write a track; see `Track.save`."""
    if name is None and path.suffix and not path.is_dir():
        kind = path.suffix.lower().removeprefix(".")
        if kind not in TRACK_FORMATS:
            known = ", ".join(f".{kind}" for kind in TRACK_FORMATS)
            raise ValueError(f"{path}: a track cannot be saved as {path.suffix}; use {known}, or give a folder")
        folder, files = path.parent, {kind: path.name}
    else:
        unknown = [kind for kind in formats if kind not in TRACK_FORMATS]
        if unknown:
            raise ValueError(f"unknown format {', '.join(unknown)}; expected some of {', '.join(TRACK_FORMATS)}")
        folder, files = path, {kind: f"{name or f'face{track.id}'}.{kind}" for kind in formats}
    with staged(folder) as stage:
        write_files(track, stage, files)
    return [folder / file for file in files.values()]


def write_files(track: Track, folder: Path, files: dict[str, str]) -> None:
    """Write the files of a track, by format, into a folder."""
    for kind, file in files.items():
        with writing(folder / file):
            _WRITERS[kind](track, folder / file)


def write_glb(track: Track, path: Path) -> None:
    """The head at rest in metres, its node and its blendshapes animated, before the video's camera.

    Raises:
        ValueError: the face's blendshapes are not known.
    """
    face = track.face.neutral()
    targets = tuple(face.mesh.morph_targets or ())
    order = [track.names.index(target.name) for target in targets]
    about = {**dict(face.provenance), "video_frames": track.video_frames}
    animation = _animation(track, order)
    data = glb_bytes(face.mesh, name=path.stem, provenance=about, targets=targets, animation=animation)
    path.write_bytes(data)


def _animation(track: Track, order: Sequence[int]) -> HeadAnimation:
    height, width = track.frame_hw
    return HeadAnimation(
        seconds=track.seconds,
        weights=track.expression[:, order],
        rotation=np.roll(track.rotation, -1, axis=1),
        translation=track.translation * np.array(VIEW_FROM_CAM) * METERS_PER_MM,
        shown=track.shown,
        end=track.video_seconds,
        yfov_rad=float(2 * np.arctan(height / 2 / track.camera.focal_px)),
        aspect=width / height,
    )


def write_csv(track: Track, path: Path) -> None:
    """A line a frame that shows the face."""
    header = ["frame", "seconds", "face", "trust", *_POSE, *track.names]
    header += [f"{axis}{k}_px" for k in range(68) for axis in "xy"]
    euler, points = track.euler_deg, track.landmarks68
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for k, frame in enumerate(track.frames):
            numbers = (euler[k], track.translation[k], track.expression[k], points[k, :, :2].ravel())
            row = [_short(value) for part in numbers for value in part]
            writer.writerow([int(frame), f"{track.seconds[k]:.6f}", track.id, _short(track.trust[k]), *row])


def write_npz(track: Track, path: Path) -> None:
    """Everything as arrays."""
    arrays: dict[str, NDArray] = {
        "frame": track.frames,
        "seconds": track.seconds,
        "trust": track.trust.astype(np.float32),
        "rotation_wxyz": track.rotation.astype(np.float32),
        "axis_angle": track.axis_angle.astype(np.float32),
        "euler_deg": track.euler_deg.astype(np.float32),
        "translation_mm": track.translation.astype(np.float32),
        "expression": track.expression.astype(np.float32),
        "expression_names": np.array(track.names),
        "landmarks68_px": track.landmarks68,
        "landmarks468_px": track.landmarks468,
        "identity": track.face.identity,
        "focal_px": np.array(track.camera.focal_px),
        "center_px": track.camera.center_px,
        "frame_hw": np.array(track.frame_hw),
        "face": np.array(track.id),
    }
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _short(value: SupportsFloat) -> str:
    return f"{float(value):.4f}".rstrip("0").rstrip(".")


_WRITERS: dict[str, Callable[[Track, Path], None]] = {"glb": write_glb, "csv": write_csv, "npz": write_npz}
