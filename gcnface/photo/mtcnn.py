"""Find faces: MTCNN of facenet-pytorch (its weights lie inside the package), on a photo of bounded size."""

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcnface.photo.crop import TEMPLATE_POINTS5_PX, part_around, similarity_from_points, warp_points
from gcnface.photo.detection import SMALLEST_PHOTO_PX, Detection
from gcnface.photo.search import SearchPass, overlap, prepared
from render.devices import check_device

FIRST_PASS = SearchPass(side_px=640, face_px=48)
THOROUGH_PASS = SearchPass(side_px=1600, face_px=24, enlarge=2.0)
RETRY_PASSES = (
    SearchPass(side_px=1280, face_px=24, enlarge=2.0),
    SearchPass(side_px=640, face_px=40, border=0.3, enlarge=4.0),
    SearchPass(side_px=2560, face_px=20, enlarge=3.0),
)
TURNED_PASSES = tuple(SearchPass(side_px=640, face_px=48, enlarge=2.0, quarter_turns=turns) for turns in (1, 3, 2))

SMALLEST_FACE_PX = 14
"""Side of the smallest face's box. Four portraits scaled down keep their 68 points within
5 % of the distance of the eyes down to a box of 14 px, where the whole picture has 28; at 12 px and below they do not,
and at 6 px the points are off by up to half that distance."""

BORDERED_PASS = SearchPass(side_px=480, face_px=40, border=0.45, enlarge=4.0)
"""The second look at a face at the edge of its photo, at what lies around it."""
AROUND, SAME_FACE = 0.7, 0.3
"""How much of a face's size is looked at around it; overlap (intersection over union) of two boxes of one face."""
NEEDED_PX: NDArray[np.float64] = np.array([[28.0, 19.0], [196.0, 19.0], [28.0, 205.0], [196.0, 205.0]])
"""(4, 2) crop px: corners of what must lie in the photo for points to be right without a border: the 468-point
mesh, frontal, with a tenth of its size more at either side and above; a chin at the edge does no harm."""
LEAST_SCORE, SURE_SCORE = 0.9, 0.99
SURE_DOUBT = 0.3
TURN_MARGIN = 0.05


class MtcnnDetector:
    """MTCNN (Zhang et al. 2016, "Joint Face Detection and Alignment Using Multi-task Cascaded Networks").

    The photo is scaled down first, since time grows with its pixels; when nothing is found, finer, padded and turned
    looks follow. A face at the edge of its photo is looked at again with a border around it, since the points of a cut
    face are far off while its score is high. Networks are loaded at the first photo.
    """

    def __init__(self, device: str = "cpu") -> None:
        check_device(device)
        self.device = device

    def detect(self, photo: NDArray[np.float32], *, thorough: bool = False) -> list[Detection]:
        """Faces in a photo, the largest first; an empty list when there is none, or none that is large enough.

        Args:
            photo: (H, W, 3) float32 sRGB in [0, 1].
            thorough: look for small faces even when a large one is found (for photos of groups).

        Raises:
            ValueError: the photo has another shape.
        """
        if photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
            raise ValueError(f"a photo (H, W, 3) is expected, found shape {photo.shape}")
        if min(photo.shape[:2]) < SMALLEST_PHOTO_PX:
            return []
        for search in (THOROUGH_PASS if thorough else FIRST_PASS, *RETRY_PASSES):
            found = self._search(photo, search)
            if found:
                break
        return [self.with_border(photo, face) for face in self._righted(photo, found)]

    def with_border(self, photo: NDArray[np.float32], face: Detection) -> Detection:
        """A face at the edge of the photo as MTCNN finds it with a border; any other as it is."""
        height, width = photo.shape[:2]
        needed = _needed(face)
        if (needed >= 0).all() and (needed <= (width, height)).all():
            return face
        part, low = part_around(photo, face.box, AROUND * max(face.box[2:] - face.box[:2]))
        upright = replace(BORDERED_PASS, quarter_turns=round(-_roll_in_quarters(face)) % 4)
        found = [other.moved(*low) for other in self._search(part, upright)]
        overlaps = [overlap(other.box, face.box, (width, height)) for other in found]
        return found[int(np.argmax(overlaps))] if max(overlaps, default=0.0) >= SAME_FACE else face

    def _righted(self, photo: NDArray[np.float32], found: list[Detection]) -> list[Detection]:
        """The faces found, or those of the photo turned by quarters when that shows a much more credible face.

        MTCNN finds something in a photo that lies on its side as well: with a lower score, a large roll or crooked
        points. An upright face is kept unless a turn is better by a margin.
        """
        best, least = found, _doubt(found[0]) if found else np.inf
        if found and found[0].score >= SURE_SCORE and least < SURE_DOUBT:
            return found
        for search in TURNED_PASSES:
            rotated = self._search(photo, search)
            doubt = _doubt(rotated[0], search.quarter_turns) + TURN_MARGIN if rotated else np.inf
            if doubt < least:
                best, least = rotated, doubt
        return best

    def _search(self, photo: NDArray[np.float32], search: SearchPass) -> list[Detection]:
        image, photo_from_image = prepared(photo, search)
        if min(image.shape[:2]) * (12 / search.face_px) < 12:  # MTCNN fails where its image pyramid would be empty
            return []
        self._mtcnn.min_face_size = search.face_px
        boxes, scores, points5s = self._mtcnn.detect(image, landmarks=True)
        if boxes is None:
            return []
        found: list[Detection] = []
        for box, score, points5 in zip(boxes, scores, points5s, strict=True):
            corners = warp_points(np.asarray(box.tolist()).reshape(2, 2), photo_from_image)
            rectangle = np.concatenate([corners.min(0), corners.max(0)])
            if float(score) >= LEAST_SCORE and min(rectangle[2:] - rectangle[:2]) >= SMALLEST_FACE_PX:
                points = warp_points(np.asarray(points5.tolist()), photo_from_image)
                found.append(Detection(rectangle, float(score), points))
        return sorted(found, key=lambda detection: -detection.area)

    @cached_property
    def _mtcnn(self) -> Any:  # noqa: ANN401
        return load_mtcnn(self.device)


def load_mtcnn(device: str) -> Any:  # noqa: ANN401
    """facenet-pytorch's MTCNN, with its three networks `pnet`, `rnet` and `onet`."""
    from refine.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    from facenet_pytorch import MTCNN

    return MTCNN(keep_all=True, device=device)


def _doubt(detection: Detection, quarter_turns: int = 0) -> float:
    """How little the points look like an upright face in the photo after so many quarter turns: 0 for a perfect one.

    One tenth a quarter turn of roll (squared), and the points' misfit to an average face in eye distances.
    """
    matrix = similarity_from_points(detection.points5, TEMPLATE_POINTS5_PX)
    residual = np.linalg.norm(warp_points(detection.points5, matrix) - TEMPLATE_POINTS5_PX, axis=1).mean() / 64
    roll = (_roll_in_quarters(detection) + quarter_turns + 2) % 4 - 2
    return float(1 - detection.score + 0.1 * roll**2 + residual)


def _roll_in_quarters(detection: Detection) -> float:
    """By how many quarters the crop is turned to set the face upright, -2..2."""
    matrix = similarity_from_points(detection.points5, TEMPLATE_POINTS5_PX)
    return float(np.arctan2(matrix[1, 0], matrix[0, 0]) / (np.pi / 2))


def _needed(face: Detection) -> NDArray[np.float32]:
    """(6, 2) photo px: corners of the box and of what must be seen around the points."""
    photo_from_crop = np.asarray(np.linalg.inv(similarity_from_points(face.points5, TEMPLATE_POINTS5_PX)), np.float64)
    return np.concatenate([face.box.reshape(2, 2), warp_points(NEEDED_PX, photo_from_crop)])
