"""Faces followed through frames, one frame at a time.

A face that is held needs no detector: its window in the next frame comes from its points in the last one. The detector
looks every so often for faces that are new, lost or mistaken; FaceNet tells who they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from coarse.face_model import FaceModel
from coarse.held_identity import PinholeCamera
from gcnface.face_model import shipped_model
from gcnface.options import TrackerOptions
from gcnface.photo.crop import TEMPLATE_POINTS5_PX, WINDOW_FROM_CROP, similarity_from_points, similarity_scale
from gcnface.photo.detection import SMALLEST_PHOTO_PX, Detection, FaceDetector
from gcnface.system.isolation import plain_torch
from gcnface.tracking.finding import FrameFinder
from gcnface.tracking.hold import FaceHold, window_of
from gcnface.tracking.looking import FaceReader, Look
from gcnface.tracking.matching import STRANGER, doubled, exchanged, matched, recognized
from gcnface.tracking.person import Person
from gcnface.tracking.tracked_face import TrackedFace

if TYPE_CHECKING:
    from gcnface.stages.coarse import OnStage
    from gcnface.tracking.track import Track

Floats = NDArray[np.float64]

DEFAULT_FPS = 30.0
"""Of frames that come without times."""

SEARCH_EVERY, SEARCH_EVERY_WITHOUT = 15, 3
"""Frames between two looks of the detector while faces are held, and while none is."""

MOST_FACES = 8
"""That are followed at once."""

REPORTED_S = 5.0
"""So long a lost face is reported as such; it is known again later too."""

MISSES = 2
"""Looks in a row at which FaceNet does not know a face, nor perhaps the detector find it, before it is lost."""

CROP_FOCAL_PX = 1015.0
"""Of the crop's camera, which sees faces at 1 m."""
FOCAL_LIMITS = (0.6, 4.0)
"""Of a focal length that is guessed, in longer sides of the frame."""


class Reader(Protocol):
    """Looks at windows of frames; `FaceReader` in earnest."""

    def look(self, pixels: NDArray[np.uint8], window_from_frame: Floats) -> Look:
        """What a window shows."""
        ...

    def embed(self, pixels: NDArray[np.uint8], window_from_frame: Floats) -> Floats:
        """(512,) who it shows, unit length."""
        ...


class Tracker:
    """Follows the faces of a video; call it with each frame, then `finish` it.

    Args:
        options: which faces, how wide the camera sees, and how they are reconstructed at the end.
        detector: finds faces; None makes one that takes a single look a frame.
        reader: looks at windows; None loads the networks.

    Example:
        >>> import gcnface
        >>> tracker = gcnface.Tracker()
        >>> frame = gcnface.read_photo("examples/portrait.jpg")
        >>> [tracker(frame, seconds=number / 30)[0].id for number in range(3)]
        [1, 1, 1]
    """

    @plain_torch()
    def __init__(
        self,
        options: TrackerOptions | None = None,
        *,
        detector: FaceDetector | None = None,
        reader: Reader | None = None,
    ) -> None:
        self.options = options or TrackerOptions()
        self.model: FaceModel = shipped_model()
        self.reader = reader or FaceReader(self.model, self.options.device)
        self.finder = FrameFinder(detector)
        self.camera: PinholeCamera | None = None
        self.persons: list[Person] = []
        self.frame, self.seconds = -1, -np.inf
        self._hw: tuple[int, int] | None = None
        self._searched = -SEARCH_EVERY

    @plain_torch()
    def __call__(self, frame: NDArray, seconds: float | None = None) -> list[TrackedFace]:
        """The faces of the next frame: those held, and those lost not long ago (`TrackedFace.found` is false).

        Args:
            frame: (H, W, 3) RGB of sRGB, uint8 or floats in [0, 1]; all of one size.
            seconds: its time, later than that of the frame before; None is a thirtieth of a second later.

        Raises:
            ValueError: the frame has another shape or size, or time does not go on.
        """
        pixels = self._checked(frame)
        self._advance(seconds)
        lost = [person for person in self._holders() if not self._follow(person, pixels)]
        self._part(pixels)
        cut = self.finder.is_cut(pixels)
        if cut or lost or self.frame - self._searched >= self._pause():
            self._search(pixels, cut=cut)
        shown = [p for p in self.persons if p.hold is not None or self.seconds - p.seconds[-1] <= REPORTED_S]
        return [person.report(self.frame, self.seconds) for person in shown]

    def finish(self, name: str | Path = "the video", *, on_stage: OnStage | None = None) -> list[Track]:
        """The persons, those seen longest first: identity and texture pooled, pose and blendshapes of every frame.

        The best frames of each are reconstructed as photos of one person are; with that identity all frames are fitted
        again, and smoothed forwards and backwards, so that nothing lags. Without `all_faces` it is the one person who
        was seen longest.

        Args:
            name: of the video, for messages and provenance.
            on_stage: called with the name of each stage as it begins.

        Raises:
            NoFaceError: there was no face, or no frame shows one well enough.
        """
        from gcnface.tracking.finishing import finished

        return finished(self, Path(name), on_stage)

    @property
    def frame_hw(self) -> tuple[int, int]:
        """Height and width of the frames; (0, 0) before the first."""
        return self._hw or (0, 0)

    def _checked(self, frame: NDArray) -> NDArray[np.uint8]:
        pixels = np.asarray(frame)
        if pixels.ndim != 3 or pixels.shape[2] != 3 or min(pixels.shape[:2]) < SMALLEST_PHOTO_PX:
            least = SMALLEST_PHOTO_PX
            raise ValueError(f"frame has shape {pixels.shape}; expected (H, W, 3) RGB of {least} px or more a side")
        if self._hw not in (None, pixels.shape[:2]):
            raise ValueError(f"frame has size {pixels.shape[:2]}, those before had {self._hw}; give all in one size")
        if pixels.dtype.kind == "f":
            pixels = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
        if pixels.dtype != np.uint8:
            raise ValueError(f"frame has type {pixels.dtype}; expected uint8, or floats in [0, 1]")
        self._hw = (pixels.shape[0], pixels.shape[1])
        return pixels

    def _advance(self, seconds: float | None) -> None:
        if seconds is None:
            seconds = 0.0 if self.frame < 0 else self.seconds + 1 / DEFAULT_FPS
        if not (np.isfinite(seconds) and seconds > self.seconds):
            raise ValueError(f"seconds is {seconds}; expected a time after {self.seconds:g}")
        self.frame, self.seconds = self.frame + 1, float(seconds)

    def _holders(self) -> list[Person]:
        return [person for person in self.persons if person.hold is not None]

    def _room(self) -> int:
        """How many faces more may be followed."""
        return (MOST_FACES if self.options.all_faces else 1) - len(self._holders())

    def _pause(self) -> int:
        return SEARCH_EVERY if self._holders() else SEARCH_EVERY_WITHOUT

    def _follow(self, person: Person, pixels: NDArray[np.uint8]) -> bool:
        assert person.hold is not None
        look = self.reader.look(pixels, person.hold.window)
        return person.see(person.hold, look, pixels, self.frame, self.seconds)

    def _part(self, pixels: NDArray[np.uint8]) -> None:
        """Two persons who have come to hold one face: it is the one's whom it is more like."""
        pair = doubled(self._holders())
        while pair is not None:
            embedding = self._embedding(pixels, pair[0])
            min(pair, key=lambda person: person.likeness(embedding)).lose()
            pair = doubled(self._holders())

    def _search(self, pixels: NDArray[np.uint8], *, cut: bool) -> None:
        """Look at the whole frame: confirm the faces that are held, find those that are not."""
        self._searched = self.frame
        found = self.finder.find(pixels)
        held = self._holders()
        pairs = matched(found, held)
        for index, person in enumerate(held):
            person.misses = 0 if index in pairs else person.misses + 1
            if cut and index not in pairs:
                person.lose()
        self._identify(pixels)
        for face in (face for k, face in enumerate(found) if k not in pairs.values()):
            if self._room() > 0:
                self._begin(pixels, face)

    def _identify(self, pixels: NDArray[np.uint8]) -> None:
        """Ask FaceNet whether each face is still the person's; faces that were exchanged go back."""
        held = self._holders()
        embeddings = [self._embedding(pixels, person) for person in held]
        for one, other in exchanged(held, embeddings):
            one.exchange(other)
            i, k = held.index(one), held.index(other)
            embeddings[i], embeddings[k] = embeddings[k], embeddings[i]
        for person, embedding in zip(held, embeddings, strict=True):
            if person.likeness(embedding) >= STRANGER:
                person.strange = 0
                person.remember(embedding)
                continue
            person.strange += 1
            if max(person.misses, person.strange) >= MISSES:
                person.lose()

    def _begin(self, pixels: NDArray[np.uint8], face: Detection) -> None:
        """Take hold of a face that was found, as that of a person who was lost, or of a new one."""
        first = WINDOW_FROM_CROP @ similarity_from_points(face.points5, TEMPLATE_POINTS5_PX)
        window = window_of(self.reader.look(pixels, first).points)
        camera = self.camera or self._camera_for(window)
        look = self.reader.look(pixels, window)
        embedding = self.reader.embed(pixels, window)
        lost = [person for person in self.persons if person.hold is None]
        person = recognized(embedding, face.box.astype(np.float64), self.seconds, lost)
        known = person is not None
        person = person or Person(len(self.persons) + 1, self.model, camera)
        if not person.see(FaceHold(camera, window), look, pixels, self.frame, self.seconds):
            return
        self.camera = camera
        person.remember(embedding)
        if not known:
            self.persons.append(person)

    def _embedding(self, pixels: NDArray[np.uint8], person: Person) -> Floats:
        assert person.hold is not None
        return self.reader.embed(pixels, person.hold.window)

    def _camera_for(self, window_from_frame: Floats) -> PinholeCamera:
        """The camera of the video: as wide as asked for, else such that its first face is 1 m away."""
        assert self._hw is not None
        height, width = self._hw
        longer = max(self._hw)
        if self.options.fov is not None:
            focal = longer / 2 / np.tan(np.radians(self.options.fov) / 2)
        else:
            least, most = (limit * longer for limit in FOCAL_LIMITS)
            focal = np.clip(CROP_FOCAL_PX / similarity_scale(window_from_frame), least, most)
        return PinholeCamera(float(focal), np.array([width / 2, height / 2]))
