"""Turned copies of photographs: fitted faces with their own colours, drawn at large yaws over other photographs.

Annotated photographs look into the camera; the regressor must also know profiles. As in 300W-LP (Zhu et al. 2016) the
copies come from the photographs themselves, but by drawing the whole fitted head, so that the landmarks, hidden ones
included, are exact.

    python -m gcnface.building.turned --faces FOLDER --cache runs/regressor -o runs/turned
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.coefficients import Coefficients
from coarse.face_model import LANDMARKS5_FROM_468, FaceModel, load_face_model
from coarse.fitting import fit_landmarks
from coarse.morphable import MorphableModel, crop_camera
from gcnface.alignment import TEMPLATE_POINTS5_PX, similarity_from_points
from gcnface.observation import observe_vertices
from gcnface.training.faces import CANVAS_MARGIN_PX, CANVAS_PX, PreparedFaces, prepare_faces
from render.color import srgb_from_linear
from render.interpolate import interpolate
from render.rasterize import rasterize
from render.rotation import axis_angle_from_rotation, rotation_from_axis_angle, rotation_from_euler

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Turning:
    """Ranges of the random turns."""

    yaw_rad: tuple[float, float] = (0.3, 1.35)
    pitch_rad: float = 0.25
    roll_rad: float = 0.15
    count: int = 4000
    """At most so many copies."""
    seed: int = 0


def turned_copy(
    network: MorphableModel, fit: Coefficients, vertex_rgb: Tensor, background: NDArray[np.uint8], turn: Tensor
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draw one face turned.

    Args:
        network: finest level of the face model.
        fit: coefficients of the face in its own photo (batch of one).
        vertex_rgb: (V, 3) sRGB.
        background: (288, 288, 3) canvas of another photo.
        turn: (1, 3, 3) rotation put before the head's own.

    Returns:
        A canvas (288, 288, 3) and its landmarks (468, 3) in canvas px, aligned as a detector would align them.
    """
    rotation = turn @ rotation_from_axis_angle(fit.rotation)
    posed = replace(fit, rotation=axis_angle_from_rotation(rotation))
    landmarks_cam = network.landmarks_cam(posed)
    points = crop_camera().project(landmarks_cam)[0, :, :2].numpy()
    five = np.stack([points[list(index)].mean(0) for index in LANDMARKS5_FROM_468])
    canvas_from_crop = similarity_from_points(five, TEMPLATE_POINTS5_PX + CANVAS_MARGIN_PX)
    camera = crop_camera().transformed(torch.from_numpy(canvas_from_crop).float(), (CANVAS_PX, CANVAS_PX))
    face = network(posed)
    fragments = rasterize(camera.project(face.verts_cam), network.faces, camera.hw)
    behind = torch.from_numpy(background.astype(np.float32) / 255)[None]
    drawn = interpolate(vertex_rgb, network.faces, fragments)
    picture = torch.where(fragments.mask[..., None], drawn, behind)[0]
    screen = camera.project(landmarks_cam)[0]
    depth = (screen[:, 2:] - posed.translation[0, 2]) * float(np.sqrt(np.linalg.det(canvas_from_crop[:2, :2])))
    landmarks = torch.cat([screen[:, :2], depth], dim=1)
    return (picture * 255).round().byte().numpy(), landmarks.numpy()


def complete_colours(
    model: FaceModel, network: MorphableModel, fit: Coefficients, crop: Tensor, parsing: Tensor
) -> Tensor:
    """(V, 3) sRGB: the photo's colours where seen, mirrored where the mirror was seen, the model's mean elsewhere."""
    face = network(fit)
    seen = observe_vertices(model, face, crop, parsing, crop_camera())
    own, mirror = seen.confidence[0], torch.from_numpy(model.mirror.astype(np.int64))
    colours = seen.linear[0]
    tone = (own[:, None] * colours).sum(0) / (own[:, None] * face.albedo[0]).sum(0).clamp(min=1e-3)
    mirrored = (1 - own) * own[mirror]
    rest = (1 - own) * (1 - own[mirror])
    mixed = own[:, None] * colours + mirrored[:, None] * colours[mirror] + rest[:, None] * face.albedo[0] * tone
    return srgb_from_linear(mixed.clamp(0, 1))


def turn_faces(model: FaceModel, faces: PreparedFaces, output: Path, settings: Turning = Turning()) -> None:
    """Write one turned copy of each of `count` training faces to `output`: canvases.npy and landmarks.npy."""
    rng = np.random.default_rng(settings.seed)
    rows = rng.permutation(np.nonzero(~faces.validation)[0])[: settings.count]
    network = MorphableModel(model)
    fits = fit_landmarks(network, faces.crop_landmarks()[rows])
    output.mkdir(parents=True, exist_ok=True)
    shape = (len(rows), CANVAS_PX, CANVAS_PX, 3)
    canvases = np.lib.format.open_memmap(output / "canvases.npy", "w+", np.uint8, shape)
    landmarks = np.zeros((len(rows), 468, 3), np.float32)
    for i, row in enumerate(rows):
        fit = fits[i : i + 1]
        with torch.no_grad():
            colours = complete_colours(model, network, fit, faces.crop(row), faces.parsing(row))
            yaw = rng.choice([-1, 1]) * rng.uniform(*settings.yaw_rad)
            pitch, roll = rng.normal(0, settings.pitch_rad), rng.normal(0, settings.roll_rad)
            turn = rotation_from_euler(*(torch.tensor([float(a)]) for a in (yaw, pitch, roll)))
            background = faces.canvases[rows[rng.integers(len(rows))]]
            canvases[i], landmarks[i] = turned_copy(network, fit, colours, background, turn)
        if i % 500 == 499:
            _log.info("turned %d of %d faces", i + 1, len(rows))
    np.save(output / "landmarks.npy", landmarks)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="folder of annotated photographs")
    parser.add_argument("--cache", type=Path, required=True, help="cache of prepared faces")
    parser.add_argument("--count", type=int, default=Turning.count, help="at most so many copies")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    faces = prepare_faces(args.faces, args.cache)
    turn_faces(load_face_model(), faces, args.output, Turning(count=args.count))


if __name__ == "__main__":
    main()
