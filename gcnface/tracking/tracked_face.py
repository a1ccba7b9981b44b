"""What a tracker says of one face in one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from coarse.held_identity import HeadState
from gcnface.tracking.filters import of_matrix, rotation_vector
from render.rotation import euler_from_rotation, rotation_from_axis_angle


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """A face in a frame. "px" are pixels of the frame, (0, 0) the top-left corner of the top-left one, x right, y down.

    Attributes:
        id: of the person, 1, 2, ... in the order of appearance; a face that is found again has the one it had.
        found: false where it is lost: all else is then what was seen last.
        frame: number of the frame, from 0.
        seconds: time of the frame.
        trust: in [0, 1], how far the networks believe that this is a face.
        rotation: (3,) axis-angle, rad, of the head; zero looks along the camera's axis.
        translation: (3,) mm, of the point between the ears, camera space (x right, y down, z away).
        expression: (Ne,) ARKit blendshapes in [0, 1], named by `names`.
        names: of the blendshapes.
        landmarks468: (468, 3) px; z in px as well, away from the camera, 0 at the model's origin.
        landmarks68: (68, 3) px likewise: the points of 300W-LP and AFLW2000-3D.

    Example:
        >>> import gcnface
        >>> face = gcnface.Tracker()(gcnface.read_photo("examples/portrait.jpg"))[0]
        >>> face.id, face.found, face.landmarks68.shape, face.blendshapes["jawOpen"] < 0.5
        (1, True, (68, 3), True)
    """

    id: int
    found: bool
    frame: int
    seconds: float
    trust: float
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    expression: NDArray[np.float64]
    names: tuple[str, ...]
    landmarks468: NDArray[np.float64]
    landmarks68: NDArray[np.float64]

    def __repr__(self) -> str:
        yaw, pitch, roll = self.euler_deg
        state = "found" if self.found else "lost"
        pose = f"yaw {yaw:.0f}, pitch {pitch:.0f}, roll {roll:.0f}"
        return f"<TrackedFace {self.id} {state} at {self.seconds:.2f} s, {pose}>"

    @property
    def blendshapes(self) -> dict[str, float]:
        """The blendshapes by name, 0 at rest and 1 the full unit."""
        return dict(zip(self.names, self.expression.tolist(), strict=True))

    @property
    def euler_deg(self) -> NDArray[np.float64]:
        """(3,) yaw, pitch, roll: positive turns the nose right, bends it down, leans the head counter-clockwise."""
        rotation = rotation_from_axis_angle(torch.from_numpy(self.rotation)[None])
        return np.degrees(euler_from_rotation(rotation)[0].numpy())

    @property
    def box(self) -> NDArray[np.float64]:
        """(4,) x0, y0, x1, y1 px around the landmarks."""
        return box_of(self.landmarks468)


def box_of(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4,) x0, y0, x1, y1 around points (N, 2) or (N, 3)."""
    return np.concatenate([points[:, :2].min(0), points[:, :2].max(0)])


def axis_angle(state: HeadState) -> NDArray[np.float64]:
    """(3,) rad, of a head's rotation."""
    return rotation_vector(of_matrix(state.rotation))


def yaw_deg(state: HeadState) -> float:
    """Positive turns the nose to the viewer's right."""
    return float(np.degrees(np.arctan2(state.rotation[0, 2], state.rotation[2, 2])))
