"""Who is who: faces that a detector finds, faces that are held, faces that were lost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gcnface.photo.detection import Detection, overlap
from gcnface.tracking.hold import size_of
from gcnface.tracking.person import Person
from gcnface.tracking.tracked_face import box_of

Floats = NDArray[np.float64]

SAME_PLACE = 0.25
"""Intersection over union of two boxes of one face, at least; a detector's box reaches above the landmarks'."""
ONE_FACE = 0.2
"""Two held faces whose landmarks are nearer than this share of their size are one."""
SAME_PERSON = 0.5
"""Cosine of two embeddings of one person, at least, where nothing else speaks for it."""
STRANGER = 0.25
"""Cosine below which a held face is not the person's."""
NEAR_S = 1.0
"""So soon after a loss the place speaks for the person as well."""


def matched(found: Sequence[Detection], held: Sequence[Person]) -> dict[int, int]:
    """Which detection (value) lies where which held face (key) is, by index; the largest overlap first."""
    boxes = [box_of(person.hold.points) for person in held if person.hold is not None]
    shares = [[overlap(box, face.box.astype(np.float64)) for face in found] for box in boxes]
    pairs = sorted((-share, i, k) for i, row in enumerate(shares) for k, share in enumerate(row))
    chosen: dict[int, int] = {}
    for less, i, k in pairs:
        if -less >= SAME_PLACE and i not in chosen and k not in chosen.values():
            chosen[i] = k
    return chosen


def doubled(held: Sequence[Person]) -> tuple[Person, Person] | None:
    """Two persons that hold one face, if any do."""
    for i, one in enumerate(held):
        for other in held[i + 1 :]:
            assert one.hold is not None
            assert other.hold is not None
            apart = np.linalg.norm(one.hold.points[:, :2] - other.hold.points[:, :2], axis=1).mean()
            if apart < ONE_FACE * size_of(one.hold.points):
                return one, other
    return None


def recognized(embedding: Floats, box: Floats, seconds: float, lost: Sequence[Person]) -> Person | None:
    """The lost person whom a face shows: the one most like it, or one who was lost here just now."""
    known = [person for person in lost if person.embedding is not None]
    best = max(known, key=lambda person: person.likeness(embedding), default=None)
    if best is not None and best.likeness(embedding) >= SAME_PERSON:
        return best
    for person in lost:
        assert person.last is not None
        soon = seconds - person.seconds[-1] <= NEAR_S
        if soon and overlap(person.last.box, box) >= SAME_PLACE and person.likeness(embedding) >= STRANGER:
            return person
    return None


def exchanged(persons: Sequence[Person], embeddings: Sequence[Floats]) -> list[tuple[Person, Person]]:
    """Pairs of held persons, each of whom holds the other's face."""
    pairs = []
    for i, one in enumerate(persons):
        for k in range(i + 1, len(persons)):
            other = persons[k]
            if one.embedding is None or other.embedding is None:
                continue
            straight = one.likeness(embeddings[i]) + other.likeness(embeddings[k])
            crossed = one.likeness(embeddings[k]) + other.likeness(embeddings[i])
            if crossed > straight + 2 * (SAME_PERSON - STRANGER):
                pairs.append((one, other))
    return pairs
