"""From a detection to the crop of a face, through the face's dense points.

The five points of a detector give a first crop; of profiles, of faces that lie on their side, and where the detector is
wrong, a bad one, and every network after it sees a face that it does not know. So the position map network looks at the
crop's window, and its dense points, also the hidden ones, ask for another crop: the one that the networks were trained
on. That is looked at again until it stands. Where points and box contradict each other, or what is seen is doubtful,
other beginnings are looked at as well: poses of a head that explain the detection, the box alone at four rolls, other
detections of the same face. The pose network, which is small and knows heads at any turn, moves them to the heads near
them and says which are worth a look. The least doubtful look is the face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.face_model import FaceModel
from coarse.position_map import PositionMapLayout
from coarse.position_network import PositionMapNetwork, load_position_map_network
from gcnface.photo.crop import FaceCrop, crop_at
from gcnface.photo.detection import Detection
from gcnface.stages.first_crops import Start, coincide, lies_in_box, may_be_frontal, other_crops, points_crop
from gcnface.stages.looks import Evidence, Look, Viewer, crop_distance_px
from gcnface.stages.pose_finder import PoseFinder, load_pose_finder

STANDS_PX, STANDS_AT_ONCE_PX = 1.5, 3.0
"""A crop stands when its dense points ask for one this near, in px of the crop's 224; that of sure points within the
second: on frontal portraits it is off by 0.8 px, at most 1.4."""
NEAR_PX = 6.0
"""The networks that follow are trained on crops that lie this far off and further: of a face that may look into the
camera the detector's own crop is kept within it."""
MOST_LOOKS, FINALISTS, BEGINNINGS = 3, 2, 3
"""How often a crop is cut anew, how many of several are gone after, and how many that the pose network found are looked
at."""
SURE_DOUBT = 0.8
"""Other beginnings are looked at where the first leads to more doubt than this."""
TURNED_DEG = 25.0
"""Heads turned further are looked at in the mirror too: it takes off a twelfth of the error of profiles."""
SAME_PX, OTHER_PX = 6.0, 20.0
"""Crops this near to each other lead to the same; this far apart they show another face."""


@dataclass(frozen=True, eq=False)
class AlignedCrop:
    """A face cut out of a photo by its dense points.

    Attributes:
        crop: the crop; its box and points are the detector's, `crop_from_photo` is the final one.
        window: (1, 3, 256, 256) sRGB, the crop with 16 px more on every side.
        position_map: (1, 3, S, S) of that window, on the network's device.
        evidence: for it, see `Evidence`; its `euler_deg` is the head's pose in the photo.
        origin: which beginning led here: "points", "pose", "box at 90 degrees", "rival".
        looks: windows that the network was asked about.
        second_doubt: doubt of the best other face that was found in the same detection; infinite when there is none.
    """

    crop: FaceCrop
    window: Tensor
    position_map: Tensor
    evidence: Evidence
    origin: str
    looks: int
    second_doubt: float

    @property
    def score(self) -> float:
        """In (0, 1], the higher the better: 1 over 1 plus the doubt."""
        return 1 / (1 + self.evidence.doubt)

    @property
    def stands(self) -> bool:
        """Whether the crop would be cut there again."""
        return self.evidence.moved_px < STANDS_AT_ONCE_PX


class FaceAligner:
    """Detections to crops.

    Args:
        viewer: looks through the position map network.
        finder: moves other beginnings to the heads near them before they are looked at; None looks at all of them.
    """

    def __init__(self, viewer: Viewer, finder: PoseFinder | None = None) -> None:
        self.viewer, self.finder = viewer, finder

    @classmethod
    def of(cls, model: FaceModel, network: PositionMapNetwork, device: torch.device | str = "cpu") -> FaceAligner:
        """One that looks through a network of the shipped face model's chart, with the shipped pose network.

        Raises:
            WeightsError: the pose network's weights are missing or damaged.
        """
        viewer = Viewer(model.landmarks468(model.mean), network.layout, network, device)
        return cls(viewer, load_pose_finder(model, viewer.head, device))

    def __call__(self, photo: NDArray[np.float32], face: Detection, rivals: Sequence[Detection] = ()) -> AlignedCrop:
        """The crop of a detected face.

        Args:
            photo: (H, W, 3) float32 sRGB in [0, 1].
            face: found in it.
            rivals: other detections of the same face.
        """
        search, head = _Search(self.viewer, photo, face), self.viewer.head
        if not coincide(face):
            first = search.look([("points", points_crop(face))])
            found = first[0].evidence
            cut = found.shown < 1 and may_be_frontal(face) and found.bears_out_detector
            still = NEAR_PX if may_be_frontal(face) else STANDS_AT_ONCE_PX
            if cut or (found.moved_px < still and found.doubt < SURE_DOUBT):
                return search.aligned()
            search.follow(first)
        if not search.seen or search.best.evidence.doubt > SURE_DOUBT:
            starts = other_crops(head, face, rivals)
            if self.finder is not None:
                heads = self.finder(photo, [*search.starts, *starts])
                starts = [one.start for one in heads if lies_in_box(face, one.start)][:BEGINNINGS] or starts
            search.follow(search.look(starts))
        return search.aligned()


def load_face_aligner(model: FaceModel, device: torch.device | str = "cpu") -> FaceAligner:
    """An aligner with the shipped network, for the shipped face model.

    Raises:
        WeightsError: the weights are missing or damaged.
    """
    return FaceAligner.of(model, load_position_map_network(PositionMapLayout(model)).to(device), device)


class _Search:
    """The looks at one face so far."""

    def __init__(self, viewer: Viewer, photo: NDArray[np.float32], face: Detection) -> None:
        self.viewer, self.photo, self.face = viewer, photo, face
        self.seen: list[Look] = []

    @property
    def best(self) -> Look:
        """The least doubtful look."""
        return min(self.seen, key=_doubt)

    @property
    def starts(self) -> list[Start]:
        """The crops that were looked at."""
        return [(look.origin, look.crop_from_photo) for look in self.seen]

    def look(self, crops: Sequence[Start]) -> list[Look]:
        """Look at crops, in one call of the network."""
        looks = self.viewer(self.photo, self.face, crops)
        self.seen += looks
        return looks

    def follow(self, looks: Sequence[Look]) -> None:
        """Look at the crops that the dense points of looks ask for, and so on, until these stand."""
        for _ in range(MOST_LOOKS - 1):
            crops = self._onwards(looks)
            if not crops:
                return
            looks = self.look(crops)

    def _onwards(self, looks: Sequence[Look]) -> list[Start]:
        """Crops that are asked for; of those that lead to the same, and of all, only the least doubtful."""
        stand = [look.crop_from_photo for look in self.seen if look.evidence.moved_px < STANDS_PX]
        kept: list[Start] = []
        for look in sorted(looks, key=_doubt)[:FINALISTS]:
            asked, known = look.next_crop_from_photo, [*stand, *(matrix for _, matrix in kept)]
            if look.evidence.moved_px >= STANDS_PX and all(crop_distance_px(asked, other) > SAME_PX for other in known):
                kept.append((look.origin, asked))
        return kept

    def aligned(self) -> AlignedCrop:
        """The best look."""
        best = self.best
        turned = abs(float(best.evidence.euler_deg[0])) > TURNED_DEG
        others = [look for look in self.seen if crop_distance_px(look.crop_from_photo, best.crop_from_photo) > OTHER_PX]
        return AlignedCrop(
            crop=crop_at(self.photo, self.face, best.crop_from_photo),
            window=best.window,
            position_map=self.viewer.twice(best) if turned else best.position_map,
            evidence=best.evidence,
            origin=best.origin,
            looks=len(self.seen),
            second_doubt=min((_doubt(look) for look in others), default=float("inf")),
        )


def _doubt(look: Look) -> float:
    return look.evidence.doubt
