"""One person's way through a video, and its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from coarse.held_identity import PinholeCamera
from gcnface.result.reconstruction import Reconstruction
from gcnface.tracking.filters import matrix_of, rotation_vector
from render.rotation import euler_from_rotation

TRACK_FORMATS = ("glb", "csv", "npz")
"""What `Track.save` writes."""

LARGEST_GAP_S = 0.2
"""Where the face is not seen for longer, the animation hides it."""


@dataclass(frozen=True, eq=False)
class Track:
    """A person in the N frames that show the face. "px" are pixels of the frames, x right, y down.

    Attributes:
        id: as in `TrackedFace`.
        frames: (N,) numbers of the frames, from 0.
        seconds: (N,) their times.
        trust: (N,) in [0, 1].
        rotation: (N, 4) unit quaternions w, x, y, z of the head, each on the side of the one before.
        translation: (N, 3) mm, the point between the ears in camera space (x right, y down, z away).
        expression: (N, Ne) blendshapes in [0, 1].
        landmarks468: (N, 468, 3) px; z away from the camera, 0 at the model's origin.
        landmarks68: (N, 68, 3) px likewise: the points of 300W-LP and AFLW2000-3D.
        names: of the blendshapes.
        face: identity and texture, pooled.
        camera: of the video.
        frame_hw: height and width of the frames.
        video_frames: how many frames the video has.
        video_seconds: time of its last one.

    Example:
        >>> import gcnface
        >>> tracker, frame = gcnface.Tracker(gcnface.TrackerOptions(texture_size=256)), "examples/portrait.jpg"
        >>> pixels = gcnface.read_photo(frame)
        >>> faces = [tracker(pixels, seconds=number / 30) for number in range(6)]
        >>> track = tracker.finish()[0]
        >>> track.expression.shape, [path.name for path in track.save("head.glb")]
        ((6, 52), ['head.glb'])
    """

    id: int
    frames: NDArray[np.int64]
    seconds: NDArray[np.float64]
    trust: NDArray[np.float64]
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    expression: NDArray[np.float64]
    landmarks468: NDArray[np.float32]
    landmarks68: NDArray[np.float32]
    names: tuple[str, ...]
    face: Reconstruction
    camera: PinholeCamera
    frame_hw: tuple[int, int]
    video_frames: int
    video_seconds: float

    def __repr__(self) -> str:
        return f"<Track of face {self.id}: {len(self.frames)} of {self.video_frames} frames>"

    @property
    def axis_angle(self) -> NDArray[np.float64]:
        """(N, 3) rad: the rotation as axis times angle."""
        return np.stack([rotation_vector(q) for q in self.rotation])

    @property
    def euler_deg(self) -> NDArray[np.float64]:
        """(N, 3) yaw, pitch, roll: positive turns the nose right, bends it down, leans the head counter-clockwise."""
        rotation = np.stack([matrix_of(q) for q in self.rotation])
        return np.degrees(euler_from_rotation(torch.from_numpy(rotation)).numpy())

    @property
    def shown(self) -> NDArray[np.float64]:
        """(K, 2) seconds from and to which the face is seen, but for gaps of up to `LARGEST_GAP_S`."""
        gaps = np.flatnonzero(np.diff(self.seconds) > LARGEST_GAP_S)
        gaps = gaps[np.diff(self.frames)[gaps] > 1]
        begins, ends = [0, *(gaps + 1)], [*gaps, len(self.seconds) - 1]
        return np.column_stack([self.seconds[begins], self.seconds[ends]])

    def save(self, path: str | Path, name: str | None = None, formats: Sequence[str] = TRACK_FORMATS) -> list[Path]:
        """Write one file, "head.glb", "head.csv" or "head.npz", or several formats into a folder; all appear, or none.

        Args:
            path: a file with one of these suffixes, or a folder; created when missing.
            name: what the files in the folder are called, by default "face1" of the person 1.
            formats: of the folder, some of `TRACK_FORMATS`.

        Returns:
            The paths written.

        Raises:
            ValueError: an unknown suffix or format.
            OutputError: the folder cannot be written to.
        """
        from gcnface.tracking.files import save_track

        return save_track(self, Path(path), name, formats)
