"""Find faces of any size and any roll: YuNet over pictures of bounded size, then a closer look where it is unsure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gcnface.photo.closer_look import Candidate, CloserLook, in_photo
from gcnface.photo.detection import SMALLEST_PHOTO_PX, Detection
from gcnface.photo.search import SearchPass, overlap, prepared
from gcnface.photo.yunet_network import YunetNetwork

SEEN_FACE_PX = 10
"""The smallest face that YuNet was trained on."""
FIRST_PASS = SearchPass(side_px=320, face_px=SEEN_FACE_PX, enlarge=4.0)
FINER_PASSES = tuple(SearchPass(side_px=side, face_px=SEEN_FACE_PX, enlarge=3.0) for side in (640, 1280, 2560))
BORDERED_PASS = SearchPass(side_px=320, face_px=SEEN_FACE_PX, border=0.45, enlarge=4.0)
TURNED_SIDE_PX = 1280
"""Turned looks are no finer than this."""

SMALLEST_FACE_PX = 14
"""Root of the area of the smallest face's box."""
CANDIDATE_SCORE, LEAST_SCORE = 0.3, 0.7
"""What is worth a closer look, and what a face must score in it. A face of 60 px that lies on its side scores .28 or
more in 95 of 100 portraits in the look at the photo; upright again, any portrait has .92."""
PLAIN_SCORE, PLAIN_PX, PLAIN_ROLL_RAD = 0.92, (36.0, 250.0), np.deg2rad(8)
"""An upright face that needs no closer look: its score, its size in the look, and what it may lean. Larger and smaller
ones have worse points, and no turned one of 31 portraits scored .92 at these sizes."""
AROUND = 0.1
"""Of a face's size: what must lie in the photo at either side and above; a chin at the edge does no harm."""
READY_PX = 36.0
"""Smaller faces wait for a finer look, which shows them better."""
LARGE_SHARE = 0.2
"""Of the photo's longer side: beside a face of this size nothing is sought that the first look does not show."""
TURNED_RAD = np.deg2rad(35)
"""Where a face leans by this much, others may, and all turns are looked at."""
SAME_FACE, MOST_CANDIDATES = 0.3, 300
"""Overlap (intersection over union) of two boxes of one face; how many a look may show, the most credible ones."""


@dataclass
class _Hunt:
    """What is known of a photo: faces, what was looked at in vain, and what is too small to be looked at yet."""

    photo: NDArray[np.float32]
    faces: list[Detection]
    refused: list[Detection]
    waiting: list[Candidate]

    def is_known(self, face: Detection, among: list[Detection]) -> bool:
        """Whether the same face is among others."""
        wh = (self.photo.shape[1], self.photo.shape[0])
        return any(overlap(face.box, other.box, wh) > SAME_FACE for other in among)


class YunetDetector:
    """YuNet at any roll.

    A look at 320 px suffices for a portrait. Finer looks follow where faces are small or none is found, turned ones
    where none is found or one of them leans. What is not plainly an upright face amid the photo is looked at closer.
    """

    def detect(self, photo: NDArray[np.float32], *, thorough: bool = False) -> list[Detection]:
        """Faces in a photo, the largest first; an empty list when there is none, or none that is large enough.

        Args:
            photo: (H, W, 3) float32 sRGB in [0, 1].
            thorough: look for small and turned faces even when a large upright one is found.

        Raises:
            ValueError: the photo has another shape.
            WeightsError: the network's file is missing or another one.
        """
        if photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
            raise ValueError(f"a photo (H, W, 3) is expected, found shape {photo.shape}")
        if min(photo.shape[:2]) < SMALLEST_PHOTO_PX:
            return []
        hunt = _Hunt(photo, [], [], [])
        side_px = self._upright(hunt, thorough)
        if not hunt.faces:
            self._look(hunt, BORDERED_PASS, last=True)
        if thorough or not hunt.faces or any(abs(face.roll_rad) > TURNED_RAD for face in hunt.faces):
            for turns in (1, 3, 2):
                turned = SearchPass(min(side_px, TURNED_SIDE_PX), SEEN_FACE_PX, enlarge=4.0, quarter_turns=turns)
                self._look(hunt, turned, last=True)
        return sorted(hunt.faces, key=lambda face: -face.area)

    def _upright(self, hunt: _Hunt, thorough: bool) -> int:
        """Ever finer looks, as far as they promise something; the side of the last, px."""
        side = max(hunt.photo.shape[:2])
        self._look(hunt, FIRST_PASS, last=False)
        if not thorough and not hunt.waiting and any(face.area > (LARGE_SHARE * side) ** 2 for face in hunt.faces):
            return FIRST_PASS.side_px
        for search in FINER_PASSES:
            last = side <= search.side_px or search is FINER_PASSES[-1]
            self._look(hunt, search, last=last)
            if last or (hunt.faces and not hunt.waiting and not thorough):
                break
        return search.side_px

    def _look(self, hunt: _Hunt, search: SearchPass, *, last: bool) -> None:
        """One pass; small faces wait for a finer one unless it is the last."""
        hunt.waiting = []
        for seen in self._seen(hunt.photo, search):
            if hunt.is_known(seen.face, hunt.faces) or hunt.is_known(seen.face, hunt.refused):
                continue
            if _is_plain(hunt.photo, seen):
                hunt.faces.append(seen.face)
            elif last or seen.seen_px >= READY_PX:
                self._decide(hunt, seen)
            else:
                hunt.waiting.append(seen)

    def _decide(self, hunt: _Hunt, seen: Candidate) -> None:
        """Whether a closer look shows a face that is not known yet."""
        closer = self._closer_look(hunt.photo, seen)
        if closer is None or closer.face.score < LEAST_SCORE or closer.size < SMALLEST_FACE_PX:
            hunt.refused.append(seen.face)
        elif not hunt.is_known(closer.face, hunt.faces):
            hunt.faces.append(closer.face)

    def _seen(self, photo: NDArray[np.float32], search: SearchPass) -> list[Candidate]:
        image, photo_from_image = prepared(photo, search)
        found = self._network(image, CANDIDATE_SCORE)[:MOST_CANDIDATES]
        return [in_photo(each, photo_from_image) for each in found]

    @cached_property
    def _network(self) -> YunetNetwork:
        return YunetNetwork()

    @cached_property
    def _closer_look(self) -> CloserLook:
        return CloserLook(YunetNetwork())


def _is_plain(photo: NDArray[np.float32], seen: Candidate) -> bool:
    """Whether a face is upright and sure, of a size that YuNet's points are good at, and away from the photo's edge."""
    around = AROUND * seen.size
    needed = seen.face.box + np.array([-around, -around, around, 0])
    inside = bool((needed >= 0).all() and (needed[2:] <= photo.shape[1::-1]).all())
    sure = seen.face.score >= PLAIN_SCORE and abs(seen.face.roll_rad) <= PLAIN_ROLL_RAD
    return inside and sure and PLAIN_PX[0] <= seen.seen_px <= PLAIN_PX[1] and seen.size >= SMALLEST_FACE_PX
