"""One person of a video: the hold on the face while it is seen, and what is known of the person."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coarse.face_model import FaceModel
from coarse.held_identity import MARKUP68, MESH468, POINTS, HeldIdentity, PinholeCamera
from gcnface.photo.detection import Detection
from gcnface.tracking.hold import FaceHold, five_of, trust_of
from gcnface.tracking.log import RowLog
from gcnface.tracking.looking import Look
from gcnface.tracking.pooling import IdentityPool, KeyFrames, key_score, sharpness
from gcnface.tracking.tracked_face import TrackedFace, axis_angle, box_of, yaw_deg

Floats = NDArray[np.float64]

SETTLED, SELDOM = 8, 15
"""After so many frames the identity that is held follows the pooled one only every so many."""
EVERY_KEY = 3
"""Frames between two that are weighed as key frames."""
EMBEDDING_SHARE = 0.2
"""Of a new embedding in the person's mean."""


class Person:
    """A person, followed as long as the face is seen.

    Attributes:
        hold: on the face; None while it is lost.
        last: what was told of the face last.
        frames: numbers of the frames in which it was seen; `seconds`, `trusts` and the rows of `log` (P points in px,
            z relative to the head, and the blendshapes that were expected) belong to them.
        embedding: (512,) FaceNet's mean, unit length; None as long as there is none.
        misses: looks of the detector in a row that have not confirmed the face.
        strange: looks of FaceNet in a row that have taken it for another's.

    Args:
        number: the id.
        model: the face model.
        camera: of the video.
    """

    def __init__(self, number: int, model: FaceModel, camera: PinholeCamera) -> None:
        self.number, self.model, self.camera = number, model, camera
        self.pool, self.key_frames = IdentityPool(), KeyFrames()
        self.log = RowLog(POINTS * 3 + len(model.expression_names))
        self.frames: list[int] = []
        self.seconds: list[float] = []
        self.trusts: list[float] = []
        self.embedding: Floats | None = None
        self.hold: FaceHold | None = None
        self.last: TrackedFace | None = None
        self.misses = self.strange = 0
        self._held: HeldIdentity | None = None

    def see(self, hold: FaceHold, look: Look, pixels: NDArray[np.uint8], frame: int, seconds: float) -> bool:
        """Take in what the window of a hold shows; false where the face is not there: then it is lost."""
        held = self._held or HeldIdentity(self.model, look.identity)
        if not hold.take(look, held, seconds, pixels.shape[:2]):
            self.lose()
            return False
        self.hold, self._held = hold, held
        self.pool.add(look.identity, look.confidence, yaw_deg(hold.state))
        if self.pool.count <= SETTLED or self.pool.count % SELDOM == 0:
            self._held = HeldIdentity(self.model, self.pool.identity())
        self._note(look, frame, seconds)
        if len(self.frames) % EVERY_KEY == 1:
            self._offer(hold, look, pixels, seconds)
        return True

    def lose(self) -> None:
        """The face is seen no more."""
        self.hold, self.misses, self.strange = None, 0, 0

    def exchange(self, other: Person) -> None:
        """Two persons have been taken for each other: each takes the face that the other holds."""
        self.hold, other.hold = other.hold, self.hold

    def report(self, frame: int, seconds: float) -> TrackedFace:
        """The face as it is in a frame, or as it was when it was lost."""
        assert self.last is not None
        if self.hold is None:
            kept = {name: getattr(self.last, name) for name in _KEPT}
            return TrackedFace(found=False, frame=frame, seconds=seconds, **kept)
        return self.last

    def remember(self, embedding: Floats) -> None:
        """Take an embedding (512,) into the person's mean."""
        mean = embedding if self.embedding is None else self.embedding * (1 - EMBEDDING_SHARE)
        mean = mean + EMBEDDING_SHARE * embedding
        self.embedding = mean / np.linalg.norm(mean)

    def likeness(self, embedding: Floats) -> float:
        """Cosine of an embedding to the person's; 1 where none is known."""
        return 1.0 if self.embedding is None else float(embedding @ self.embedding)

    def _note(self, look: Look, frame: int, seconds: float) -> None:
        assert self.hold is not None
        smooth, trust = self.hold.smooth, trust_of(look)
        self.frames.append(frame)
        self.seconds.append(seconds)
        self.trusts.append(trust)
        self.log.append(np.concatenate([look.points.ravel(), look.expression]))
        self.last = TrackedFace(
            id=self.number,
            found=True,
            frame=frame,
            seconds=seconds,
            trust=trust,
            rotation=axis_angle(smooth.state),
            translation=smooth.state.translation,
            expression=smooth.state.expression.clip(0, 1),
            names=self.model.expression_names,
            landmarks468=smooth.landmarks[MESH468],
            landmarks68=smooth.landmarks[MARKUP68],
        )

    def _offer(self, hold: FaceHold, look: Look, pixels: NDArray[np.uint8], seconds: float) -> None:
        box = box_of(look.points)
        unit = self.camera.focal_px / hold.state.translation[2]
        sharp = sharpness(pixels, box)
        score = key_score(self.trusts[-1], unit, sharp, hold.state.expression, hold.speed)
        face = Detection(box.astype(np.float32), self.trusts[-1], five_of(look.points).astype(np.float32))
        self.key_frames.offer(pixels, face, yaw_deg(hold.state), score, seconds)


_KEPT = ("id", "trust", "rotation", "translation", "expression", "names", "landmarks468", "landmarks68")
