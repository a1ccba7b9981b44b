"""Crops and label maps for the parser: cut once from a folder of annotated photographs, kept in a cache.

The folder is laid out as: ``photos/``, ``photos.csv`` (file, identity, ...), ``photos_landmarks.npz`` (name, points5),
``photos_parsing/NAME.png`` (19 classes of CelebAMask-HQ), and the same for ``synthetic`` without the table.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gcnface.alignment import (
    CROP_SIDE_PX,
    TEMPLATE_POINTS5_PX,
    similarity_from_points,
    warp_image,
    warp_inside,
    warp_labels,
    warp_points,
)
from gcnface.io.images import read_photo
from gcnface.preparing.labels import CLASS_OF_TEACHER_CLASS
from gcnface.training.faces import CANVAS_MARGIN_PX, CANVAS_PX, UNKNOWN, PreparedFaces, is_validation


@dataclass(frozen=True)
class AnnotatedPhoto:
    """One photograph of the folder: its files, its five points (5, 2) in px, its identity, and whether it is drawn."""

    photo: Path
    parsing: Path
    points5: NDArray[np.float32]
    identity: str
    drawn: bool


def annotated_photos(faces: Path) -> Iterator[AnnotatedPhoto]:
    """All photographs of the folder that have landmarks and a label map.

    Raises:
        FileNotFoundError: the folder is not laid out as this module says.
    """
    with (faces / "photos.csv").open(newline="") as table:
        identities = {row["file"]: row["identity"] for row in csv.DictReader(table)}
    for kind in ("photos", "synthetic"):
        rows = np.load(faces / f"{kind}_landmarks.npz")
        for name, points5 in zip(rows["name"].tolist(), rows["points5"], strict=True):
            parsing = faces / f"{kind}_parsing" / f"{Path(name).stem}.png"
            identity = identities[name] if kind == "photos" else Path(name).stem
            if parsing.exists():
                yield AnnotatedPhoto(faces / kind / name, parsing, points5, identity, kind == "synthetic")


def stored_from_photo(sample: AnnotatedPhoto) -> NDArray[np.float64]:
    """(3, 3) takes homogenous photo px to px of the cached crop."""
    margin = (CANVAS_PX - CROP_SIDE_PX) / 2
    shift = np.array([[1, 0, margin], [0, 1, margin], [0, 0, 1.0]])
    return shift @ similarity_from_points(sample.points5, TEMPLATE_POINTS5_PX)


def stored_crop(sample: AnnotatedPhoto) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The (288, 288, 3) image and the (288, 288) labels of one photograph."""
    matrix = stored_from_photo(sample)
    hw = (CANVAS_PX, CANVAS_PX)
    photo = read_photo(sample.photo)
    with Image.open(sample.parsing) as label_map:
        teacher = np.asarray(label_map)
    image = warp_image(photo, matrix, hw)
    labels = warp_labels(CLASS_OF_TEACHER_CLASS[teacher], matrix, hw)
    labels[~warp_inside(photo.shape[:2], matrix, hw)] = UNKNOWN
    return np.rint(image * 255).astype(np.uint8), labels


def prepare_samples(faces: Path, cache: Path) -> PreparedFaces:
    """Cut every crop of the folder once (about 20 s for 3,800) and map the result; later calls only map it.

    Args:
        faces: the annotated folder.
        cache: folder for three files, about 1.3 GB.

    Raises:
        FileNotFoundError: the annotated folder is not laid out as this module says.
    """
    if not (cache / "samples.npz").exists():
        cache.mkdir(parents=True, exist_ok=True)
        samples = list(annotated_photos(faces))
        shape = (len(samples), CANVAS_PX, CANVAS_PX)
        images = np.lib.format.open_memmap(cache / "images.npy", "w+", np.uint8, (*shape, 3))
        labels = np.lib.format.open_memmap(cache / "labels.npy", "w+", np.uint8, shape)
        for index, sample in enumerate(samples):
            images[index], labels[index] = stored_crop(sample)
        images.flush()
        labels.flush()
        np.savez(
            cache / "samples.npz",
            names=np.array([sample.photo.name for sample in samples]),
            drawn=np.array([sample.drawn for sample in samples]),
            validation=np.array([is_validation(sample.identity) for sample in samples]),
            identities=np.array([sample.identity for sample in samples]),
        )
    table = np.load(cache / "samples.npz")
    images, labels = (np.load(cache / f"{name}.npy", mmap_mode="r") for name in ("images", "labels"))
    found: dict[tuple[bool, str], NDArray[np.float32]] = {}
    for drawn, kind in ((False, "photos"), (True, "synthetic")):
        data = np.load(faces / f"{kind}_landmarks.npz")
        for name, points5, points in zip(data["name"], data["points5"], data["landmarks468"], strict=True):
            canvas_from_photo = similarity_from_points(points5, TEMPLATE_POINTS5_PX + CANVAS_MARGIN_PX)
            found[drawn, str(name)] = warp_points(points, canvas_from_photo)
    landmarks = np.stack([found[key] for key in zip(table["drawn"].tolist(), table["names"].tolist(), strict=True)])
    if "identities" in table:
        identities = table["identities"]
    else:
        identities = np.array([sample.identity for sample in annotated_photos(faces)])
    return PreparedFaces(
        images, labels, landmarks, table["names"], table["drawn"], table["validation"], identities
    )
