"""The end of a video: the best frames become one textured face, and all frames are fitted again with its identity."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from coarse.held_identity import MARKUP68, MESH468, POINTS, HeadState, HeldIdentity, PinholeCamera, SeenPoints
from gcnface.errors import LowQualityError, LowQualityWarning, NoFaceError
from gcnface.loading import load_reconstructor
from gcnface.multi_photo import PersonReconstructor
from gcnface.options import ReconstructionOptions
from gcnface.photo.detection import Detection
from gcnface.photo.input import NamedPhoto
from gcnface.result.reconstruction import Reconstruction
from gcnface.stages.coarse import OnStage
from gcnface.tracking.filters import continuous, of_matrix
from gcnface.tracking.log import RowLog
from gcnface.tracking.person import Person
from gcnface.tracking.pooling import KeyFrame
from gcnface.tracking.smoothing import DetailSmoother, HeadSmoothing, smoothed_both_ways
from gcnface.tracking.track import Track

if TYPE_CHECKING:
    from gcnface.tracking.tracker import Tracker

Floats = NDArray[np.float64]

LEAST_FRAMES = 5
"""Whoever is seen in fewer was no person."""

_REMEDY = "give a video that shows a face larger, longer or more from the front"


def finished(tracker: Tracker, name: Path, on_stage: OnStage | None = None) -> list[Track]:
    """The tracks of the persons that a tracker has seen; see `Tracker.finish`."""
    persons = sorted((p for p in tracker.persons if len(p.frames) >= LEAST_FRAMES), key=lambda p: -len(p.frames))
    if not persons:
        raise NoFaceError(name, "shows no face that can be followed", _REMEDY)
    options = ReconstructionOptions(device=tracker.options.device, texture_size=tracker.options.texture_size)
    tracks = []
    for person in persons if tracker.options.all_faces else persons[:1]:
        face = textured_face(person.key_frames.best(), name, options, on_stage)
        tracks.append(refitted(person, face, tracker))
    return tracks


class KnownFaces:
    """A detector of faces that are known already.

    Args:
        frames: photos (H, W, 3) float32 and the face in each.
    """

    def __init__(self, frames: Sequence[tuple[NDArray[np.float32], Detection]]) -> None:
        self.frames = frames

    def detect(self, photo: NDArray[np.float32]) -> list[Detection]:
        """The face of a photo that is one of them; nobody in others."""
        return [face for pixels, face in self.frames if pixels is photo]


def textured_face(
    frames: Sequence[KeyFrame], name: Path, options: ReconstructionOptions, on_stage: OnStage | None = None
) -> Reconstruction:
    """One face of several key frames, the first of which gives the light; what cannot be used is left out.

    Raises:
        NoFaceError: none can be used.
    """
    photos = [NamedPhoto(_photo(frame), Path(f"{name.name} at {frame.seconds:.2f} s")) for frame in frames]
    faces = [frame.face for frame in frames]
    while photos:
        known = KnownFaces([(photo.pixels, face) for photo, face in zip(photos, faces, strict=True)])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", LowQualityWarning)
                return PersonReconstructor(load_reconstructor(options), detector=known)(photos, on_stage=on_stage)
        except LowQualityError as error:
            raise error.of(name) from error
        except NoFaceError as error:
            kept = [(photo, face) for photo, face in zip(photos, faces, strict=True) if photo.name != error.path]
            if len(kept) == len(photos):
                raise
            photos, faces = [photo for photo, _ in kept], [face for _, face in kept]
    raise NoFaceError(name, "shows no face well enough", _REMEDY)


def _photo(frame: KeyFrame) -> NDArray[np.float32]:
    return frame.pixels.astype(np.float32) / np.float32(255)


def refitted(person: Person, face: Reconstruction, tracker: Tracker) -> Track:
    """The person's frames fitted with the face's identity, smoothed without lag."""
    camera, settings = person.camera, HeadSmoothing()
    held = HeldIdentity(person.model, face.identity.astype(np.float64))
    count = len(person.frames)
    landmarks = RowLog(POINTS * 3)
    states: list[HeadState] = []
    for rows in _unbroken(person.frames):
        measured = _measured(person, held, rows)
        seconds = [person.seconds[row] for row in rows]
        smooth = smoothed_both_ways(measured, seconds, camera, settings)
        detail = DetailSmoother(camera, settings)
        for row, raw, state, at in zip(rows, measured, smooth, seconds, strict=True):
            landmarks.append(detail(held, raw, state, _points(person, row), at).ravel())
        states += smooth
    points = landmarks.rows().reshape(count, POINTS, 3)
    return Track(
        id=person.number,
        frames=np.array(person.frames),
        seconds=np.array(person.seconds),
        trust=np.array(person.trusts),
        rotation=continuous(np.stack([of_matrix(state.rotation) for state in states])),
        translation=np.stack([state.translation for state in states]),
        expression=np.stack([state.expression for state in states]).clip(0, 1),
        landmarks468=points[:, MESH468],
        landmarks68=points[:, MARKUP68],
        names=person.model.expression_names,
        face=face,
        camera=camera,
        frame_hw=tracker.frame_hw,
        video_frames=tracker.frame + 1,
        video_seconds=tracker.seconds,
    )


def _unbroken(frames: Sequence[int]) -> list[list[int]]:
    """Rows of frames, cut where the face was lost in between."""
    cuts = [0, *(k for k in range(1, len(frames)) if frames[k] != frames[k - 1] + 1), len(frames)]
    return [list(range(begin, end)) for begin, end in zip(cuts[:-1], cuts[1:], strict=True)]


def _points(person: Person, row: int) -> Floats:
    return person.log.rows()[row, : POINTS * 3].reshape(POINTS, 3).astype(np.float64)


def _measured(person: Person, held: HeldIdentity, rows: Sequence[int]) -> list[HeadState]:
    """The head's states in frames that follow each other."""
    states: list[HeadState] = []
    log = person.log.rows()
    for row in rows:
        points, expected = _points(person, row), log[row, POINTS * 3 :].astype(np.float64)
        states.append(_fitted(held, points, expected, person.camera, states[-1] if states else None))
    return states


def _fitted(
    held: HeldIdentity, points: Floats, expected: Floats, camera: PinholeCamera, before: HeadState | None
) -> HeadState:
    even = SeenPoints(points, np.ones(len(points)), 1.0)
    start = before or held.fit(held.pose(even, camera, expected), even, camera, expected, 8)
    unit_px = camera.focal_px / start.translation[2]
    return held.fit(start, SeenPoints(points, held.facing(start), unit_px), camera, expected)
