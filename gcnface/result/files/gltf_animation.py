"""A head that moves in a GLB file: weights of morph targets, rotation and translation of its node, before a camera.

Specification: Khronos glTF 2.0, sections 3.10 (cameras), 3.11 (animations); 3.5.3 says that a scale of 0 hides a node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcnface.result.files.gltf_buffer import Buffer

SMALLEST_WEIGHT = 0.004
"""Weights below are written as 0: nobody sees them, and most of a face is at rest most of the time."""

_NEAREST_M = 0.01


@dataclass(frozen=True, eq=False)
class HeadAnimation:
    """How a head moves before a camera that stands at the origin and looks along -z.

    Attributes:
        seconds: (N,) ascending, from 0.
        weights: (N, T) of the morph targets.
        rotation: (N, 4) unit quaternions x, y, z, w, neighbors on one side of the sphere.
        translation: (N, 3) m, x right, y up, z to the viewer.
        shown: (K, 2) seconds from and to which the head is shown; elsewhere it is hidden.
        end: seconds that the video has.
        yfov_rad: height of the camera's view.
        aspect: its width over its height.
    """

    seconds: NDArray[np.float64]
    weights: NDArray[np.float64]
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    shown: NDArray[np.float64]
    end: float
    yfov_rad: float
    aspect: float

    def __post_init__(self) -> None:
        count = len(self.seconds)
        if not count or not (np.diff(self.seconds.astype(np.float32)) > 0).all() or self.seconds[0] < 0:
            raise ValueError("seconds must grow from frame to frame, from 0 or later")
        for name in ("weights", "rotation", "translation"):
            if len(getattr(self, name)) != count:
                raise ValueError(f"{name} has {len(getattr(self, name))} rows for {count} times")


def animated(document: dict[str, Any], buffer: Buffer, animation: HeadAnimation) -> dict[str, Any]:
    """A document whose first node moves, with the camera as a node more.

    Args:
        document: a glTF document of one node with a mesh.
        buffer: takes the frames.
        animation: the movement.
    """
    times = buffer.accessor(_column(animation.seconds), bounds=True)
    tracks = {
        "weights": (times, _weights(buffer, animation.weights), "LINEAR"),
        "rotation": (times, buffer.accessor(animation.rotation.astype(np.float32)), "LINEAR"),
        "translation": (times, buffer.accessor(animation.translation.astype(np.float32)), "LINEAR"),
    }
    seconds, shown = _visibility(animation)
    if len(seconds) > 1:
        scale = np.repeat(_column(shown), 3, axis=1)
        tracks["scale"] = (buffer.accessor(_column(seconds), bounds=True), buffer.accessor(scale), "STEP")
    samplers = [{"input": time, "output": value, "interpolation": how} for time, value, how in tracks.values()]
    channels = [{"sampler": k, "target": {"node": 0, "path": path}} for k, path in enumerate(tracks)]
    node = {
        **document["nodes"][0],
        "rotation": animation.rotation[0].astype(np.float32).tolist(),
        "translation": animation.translation[0].astype(np.float32).tolist(),
    }
    view = {"yfov": animation.yfov_rad, "aspectRatio": animation.aspect, "znear": _NEAREST_M}
    return {
        **document,
        "scenes": [{**document["scenes"][0], "nodes": [0, 1]}],
        "nodes": [node, {"name": "camera", "camera": 0}],
        "cameras": [{"name": "camera", "type": "perspective", "perspective": view}],
        "animations": [{"name": node["name"], "samplers": samplers, "channels": channels}],
    }


def _column(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)[:, None]


def _weights(buffer: Buffer, weights: NDArray[np.float64]) -> int:
    """The accessor of all weights, frame by frame; sparse where that is smaller."""
    flat = np.where(np.abs(weights) < SMALLEST_WEIGHT, 0, weights).astype(np.float32).reshape(-1, 1)
    rows = np.flatnonzero(flat[:, 0])
    index_bytes = 2 if len(flat) <= 65536 else 4
    if len(rows) and len(rows) * (4 + index_bytes) < 4 * len(flat):
        return buffer.sparse(rows, flat[rows], len(flat))
    return buffer.accessor(flat)


def _visibility(animation: HeadAnimation) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times (K,) from which on the head is shown, 1, or hidden, 0; one alone where it is always shown."""
    steps: dict[float, float] = {0.0: 0.0}
    for begin, end in animation.shown.astype(np.float32).tolist():
        steps[begin] = 1.0
        if end < np.float32(animation.end):
            steps[end] = 0.0
    times = sorted(steps)
    return np.array(times), np.array([steps[time] for time in times])
