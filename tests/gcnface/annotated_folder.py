"""A tiny folder of annotated photographs, laid out as the real one."""

import csv

import cv2
import numpy as np

from gcnface.options import PrepareOptions
from gcnface.photo.crop import TEMPLATE_POINTS5_PX, warp_points
from gcnface.preparing.dataset import prepare

PHOTO_PX = 240
PHOTO_FROM_CROP = np.array([[0.8, 0, 30.0], [0, 0.8, 25.0], [0, 0, 1]])
"""So small that the stored crop of 288 px reaches beyond the photo."""

SKIN, LIPS, HAIR = 1, 12, 17
"""Classes of the teacher that the made-up label maps use."""

HELD_OUT = "00007"
"""A name whose CRC-32 is 0 modulo 10."""

PEOPLE = ("anna", "anna", "bert", HELD_OUT)
DRAWN = ("00000", "00001", "00026")
"""The last is held out."""


def photo_and_labels(seed):
    """(240, 240, 3) uint8 RGB and (240, 240) uint8: an ellipse of skin with lips under hair, before noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:PHOTO_PX, :PHOTO_PX] + 0.5
    photo = rng.integers(0, 60, (PHOTO_PX, PHOTO_PX, 3)).astype(np.uint8)
    labels = np.zeros((PHOTO_PX, PHOTO_PX), np.uint8)
    for name, color, inside in (
        (HAIR, (60, 40, 20), ((x - 120) / 80) ** 2 + ((y - 110) / 100) ** 2 < 1),
        (SKIN, (220, 170, 140), ((x - 120) / 65) ** 2 + ((y - 130) / 85) ** 2 < 1),
        (LIPS, (180, 60, 70), ((x - 120) / 22) ** 2 + ((y - 148) / 8) ** 2 < 1),
    ):
        photo[inside], labels[inside] = color, name
    return photo, labels


def landmarks468(rng):
    """(468, 3) photo px: five points of the template first, then anywhere on the face."""
    points = rng.uniform(-60, 60, (468, 3)) + [112, 120, 0]
    points[:5, :2] = TEMPLATE_POINTS5_PX
    return warp_points(points, PHOTO_FROM_CROP)


def write_annotated_folder(folder):
    """Write it to `folder` and return it."""
    names = {"photos": [f"p{i}.png" for i in range(len(PEOPLE))], "synthetic": [f"{stem}.png" for stem in DRAWN]}
    for kind, files in names.items():
        for part in (kind, f"{kind}_parsing"):
            (folder / part).mkdir(parents=True)
        points = []
        for index, name in enumerate(files):
            photo, labels = photo_and_labels(index)
            cv2.imwrite(str(folder / kind / name), photo[..., ::-1])
            cv2.imwrite(str(folder / f"{kind}_parsing" / name), labels)
            points.append(landmarks468(np.random.default_rng(index)))
        points5 = np.stack([warp_points(TEMPLATE_POINTS5_PX, PHOTO_FROM_CROP)] * len(files))
        np.savez(folder / f"{kind}_landmarks.npz", name=np.array(files), points5=points5, landmarks468=np.stack(points))
    with (folder / "photos.csv").open("w", newline="") as table:
        writer = csv.DictWriter(table, ["file", "identity", "source", "licence"])
        writer.writeheader()
        for name, identity in zip(names["photos"], PEOPLE, strict=True):
            writer.writerow({"file": name, "identity": identity, "source": "drawn", "licence": "CC0"})
    return folder


def write_prepared_faces(folder, parsing="stored"):
    """The same as a data set in `folder`, which is returned."""
    annotated = write_annotated_folder(folder / "annotated")
    prepare(
        PrepareOptions(
            photos=[str(annotated)], output=folder / "data", parsing=parsing, embed=False, min_face_px=1, quiet=True
        )
    )
    return folder / "data"
