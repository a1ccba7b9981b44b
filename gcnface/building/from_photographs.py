"""Second half of the face model's build: what is learned from photographs, landmark places and the albedo.

python -m gcnface.building.from_photographs geometry.npz --data runs/faces -o OUT.npz
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from coarse.face_model import FaceModel, load_face_model, save_face_model
from coarse.fitting import fit_landmarks
from coarse.morphable import MorphableModel
from gcnface.building.albedo import AlbedoLearning, learn_albedo
from gcnface.building.landmark_correction import correct_landmarks
from gcnface.data.faces import PreparedFaces, load_prepared

FACES_FOR_LANDMARKS = 1000


def learn_from_photographs(model: FaceModel, faces: PreparedFaces, count: int, settings: AlbedoLearning) -> FaceModel:
    """Correct the landmarks and learn the albedo on training people.

    Args:
        model: geometry alone.
        faces: prepared faces.
        count: faces for the albedo, half of them real photographs where there are enough.
        settings: of the albedo.
    """
    training = np.nonzero(~faces.validation)[0]
    landmarks = faces.crop_landmarks()
    model = correct_landmarks(model, landmarks[_spread(training, FACES_FOR_LANDMARKS)])
    real, drawn = training[~faces.drawn[training]], training[faces.drawn[training]]
    rows = np.concatenate([_spread(real, count // 2), _spread(drawn, count - min(count // 2, len(real)))])
    fits = fit_landmarks(MorphableModel(model), landmarks[rows])
    return learn_albedo(model, faces, rows, fits, settings)


def _spread(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` of the rows, evenly spread."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("geometry", type=Path, help="face model without albedo")
    parser.add_argument("--data", type=Path, required=True, help="prepared faces (`gcnface prepare`)")
    parser.add_argument("--count", type=int, default=1200, help="faces for the albedo")
    parser.add_argument("--components", type=int, default=AlbedoLearning.components)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(2)
    faces = load_prepared(args.data)
    settings = AlbedoLearning(components=args.components)
    save_face_model(learn_from_photographs(load_face_model(args.geometry), faces, args.count, settings), args.output)


if __name__ == "__main__":
    main()
