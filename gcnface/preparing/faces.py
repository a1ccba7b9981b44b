"""From sources to aligned, annotated faces; or to the reason why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from coarse.face_model import LANDMARKS5_FROM_468
from gcnface.data.faces import CANVAS_MARGIN_PX, CANVAS_PX, UNKNOWN
from gcnface.errors import GcnfaceError
from gcnface.io.images import open_picture, read_photo
from gcnface.options import PrepareOptions
from gcnface.photo.crop import (
    TEMPLATE_POINTS5_PX,
    similarity_from_points,
    similarity_scale,
    warp_image,
    warp_inside,
    warp_labels,
    warp_points,
)
from gcnface.photo.mtcnn import MtcnnDetector
from gcnface.photo.parsing import FaceParser, load_parser
from gcnface.preparing.labels import CLASS_OF_TEACHER_CLASS
from gcnface.preparing.landmarkers import Landmarker, LandmarkSource
from gcnface.preparing.sources import Annotation, Source, annotation_of
from refine.facenet import CROP224_WINDOW_PX, FaceNet, embed_crop224, load_facenet

BATCH = 8
"""Canvases that the parser and FaceNet see at once."""
LEAST_SCORE = 0.5
"""Of the landmark network; its answers are above 0.999 on faces and below 0.1 elsewhere."""
MOST_DISAGREEMENT_PX = 9.0
"""Mean distance, in crop px (64 between the eyes), of the five points from those that the landmarks imply; it is 2.7 in
the median over 3,809 faces, 5.3 for the worst one in a hundred and 14.7 for the worst."""
FAILED = "failed"
"""The reason of a failure that nobody foresaw; such photos are tried again."""
_WINDOW_PX = CROP224_WINDOW_PX[2] - CROP224_WINDOW_PX[0]


@dataclass(frozen=True)
class Drop:
    """Why a photo gives no face: a reason that many share, and what is special to this one."""

    file: str
    reason: str
    detail: str = ""


class DroppedError(Exception):
    """Ends the work on one photo; its arguments are a reason and a detail, as `Drop` has them."""


@dataclass(frozen=True)
class PreparedFace:
    """One face; attributes as those of `gcnface.data.faces.PreparedFaces`, one row."""

    source: Source
    canvas: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    landmarks68: NDArray[np.float32]
    canvas_from_photo: NDArray[np.float64]
    embedding: NDArray[np.float32] | None = None


class FacePreparer:
    """Looks at photos; networks are loaded when they are needed first.

    Args:
        options: how; the output is not looked at.
        landmarks: where they come from when the source has none.
    """

    def __init__(self, options: PrepareOptions, landmarks: LandmarkSource) -> None:
        self.options, self.landmarks, self._detector = options, landmarks, MtcnnDetector()

    @cached_property
    def _landmarker(self) -> Landmarker:
        return self.landmarks.load()

    @cached_property
    def _parser(self) -> FaceParser:
        return load_parser()

    @cached_property
    def _facenet(self) -> FaceNet:
        return load_facenet()

    def __call__(self, sources: Sequence[Source]) -> tuple[list[PreparedFace], list[Drop]]:
        """The faces of those photos that give one, in order, and why the others do not."""
        faces: list[PreparedFace] = []
        drops: list[Drop] = []
        if any(source.annotation is None or source.annotation.landmarks468 is None for source in sources):
            _ = self._landmarker  # if it is missing, that is no photo's fault
        for source in sources:
            try:
                faces.append(self._cut(source))
            except DroppedError as error:
                drops.append(Drop(str(source.file), *error.args))
            except GcnfaceError as error:
                drops.append(Drop(str(source.file), "unreadable", str(error)))
            except Exception as error:
                drops.append(Drop(str(source.file), FAILED, " ".join(f"{type(error).__name__}: {error}".split())))
        batches = (faces[start : start + BATCH] for start in range(0, len(faces), BATCH))
        return [face for batch in batches for face in self._seen(batch)], drops

    def _cut(self, source: Source) -> PreparedFace:
        """A face without what the networks say of its canvas; its labels tell only what lies outside the photo."""
        if source.dropped:
            raise DroppedError(source.dropped)
        if self.options.parsing == "stored" and source.labels is None:
            raise DroppedError("no label map", "nothing is stored; use --parsing shipped")
        photo = read_photo(source.file)
        annotation = annotation_of(source) or self._detected(photo)
        matrix = similarity_from_points(annotation.points5, TEMPLATE_POINTS5_PX + CANVAS_MARGIN_PX)
        size_px = _WINDOW_PX / similarity_scale(matrix)
        if size_px < self.options.min_face_px:
            raise DroppedError("face too small", f"{size_px:.0f} px, at least {self.options.min_face_px} are needed")
        points = self._landmarks(photo, annotation, matrix)
        hw = (CANVAS_PX, CANVAS_PX)
        canvas = np.rint(warp_image(photo, matrix, hw) * 255).astype(np.uint8)
        labels = np.zeros(hw, np.uint8)
        if self.options.parsing == "stored":
            labels = _stored_labels(source, photo.shape[:2], matrix)
        labels[~warp_inside(photo.shape[:2], matrix, hw)] = UNKNOWN
        points68 = np.full((68, 2), np.nan, np.float32)
        if annotation.landmarks68 is not None:
            points68 = warp_points(annotation.landmarks68, matrix)
        return PreparedFace(source, canvas, labels, warp_points(points, matrix), points68, matrix)

    def _detected(self, photo: NDArray[np.float32]) -> Annotation:
        found = self._detector.detect(photo)
        if not found:
            raise DroppedError("no face")
        return Annotation(found[0].points5)

    def _landmarks(
        self, photo: NDArray[np.float32], annotation: Annotation, canvas_from_photo: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """(468, 3) photo px, the source's own or found anew and then checked."""
        if annotation.landmarks468 is not None:
            return annotation.landmarks468
        corners = np.array(CROP224_WINDOW_PX, np.float64).reshape(2, 2) + CANVAS_MARGIN_PX
        photo_from_canvas = np.linalg.inv(canvas_from_photo).astype(np.float64)
        center = warp_points(corners.mean(0, keepdims=True), photo_from_canvas)[0]
        half = _WINDOW_PX / similarity_scale(canvas_from_photo) / 2
        found = self._landmarker(photo, annotation.points5, np.concatenate([center - half, center + half]))
        if found.score < LEAST_SCORE:
            raise DroppedError("landmark network sees no face", f"its score is {found.score:.2f}")
        implied = np.stack([found.points[list(group), :2].mean(0) for group in LANDMARKS5_FROM_468])
        apart = np.linalg.norm(implied - annotation.points5, axis=1).mean() * similarity_scale(canvas_from_photo)
        if apart > MOST_DISAGREEMENT_PX:
            raise DroppedError("landmarks disagree with the five points", f"by {apart:.1f} px of the crop on average")
        return found.points

    def _seen(self, faces: Sequence[PreparedFace]) -> list[PreparedFace]:
        """The faces with label maps of the parser and embeddings, as the options want them."""
        images = torch.from_numpy(np.stack([face.canvas for face in faces])).permute(0, 3, 1, 2).float() / 255
        labels = [face.labels for face in faces]
        if self.options.parsing == "shipped":
            classes = self._parser.parse(images).argmax(1).numpy().astype(np.uint8)
            labels = [np.where(old == UNKNOWN, old, new) for old, new in zip(labels, classes, strict=True)]
        embeddings: list[NDArray[np.float32] | None] = [None] * len(faces)
        if self.options.embed:
            inside = slice(CANVAS_MARGIN_PX, -CANVAS_MARGIN_PX)
            with torch.no_grad():
                embeddings = list(embed_crop224(self._facenet, images[:, :, inside, inside]).numpy())
        rows = zip(faces, labels, embeddings, strict=True)
        return [replace(face, labels=label_map, embedding=embedding) for face, label_map, embedding in rows]


def _stored_labels(source: Source, hw: tuple[int, ...], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The stored map of CelebAMask-HQ's classes, in ours, on the canvas."""
    assert source.labels is not None
    with open_picture(source.labels) as picture:
        stored = np.asarray(picture)
    if stored.shape != tuple(hw) or stored.max() >= len(CLASS_OF_TEACHER_CLASS):
        raise DroppedError("label map does not fit", f"{source.labels}: one class below 19 for each px is expected")
    return warp_labels(CLASS_OF_TEACHER_CLASS[stored], matrix, (CANVAS_PX, CANVAS_PX))
