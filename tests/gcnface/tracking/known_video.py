"""Frames that only tell their number, and a reader and a detector that know which heads they show."""

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from coarse.held_identity import HeadState, HeldIdentity, PinholeCamera
from gcnface.face_model import shipped_model
from gcnface.photo.detection import Detection
from gcnface.tracking.hold import five_of, size_of
from gcnface.tracking.looking import Look
from gcnface.tracking.smoothing import landmarks_px
from gcnface.tracking.tracked_face import box_of

HW = (240, 320)
FPS = 30.0
FOV_DEG = 40.0
CAMERA = PinholeCamera(160 / np.tan(np.radians(FOV_DEG / 2)), np.array([160.0, 120.0]))


def frame(number):
    picture = np.full((*HW, 3), 90, np.uint8)
    picture[0, 0] = (number % 256, number // 256, 0)
    return picture


def number_of(pixels):
    return int(pixels[0, 0, 0]) + 256 * int(pixels[0, 0, 1])


def state(x_mm=0.0, yaw_deg=0.0, jaw=0.0, z_mm=900.0):
    names = shipped_model().expression_names
    expression = np.zeros(len(names))
    expression[names.index("jawOpen")] = jaw
    turn = Rotation.from_euler("Y", yaw_deg, degrees=True).as_matrix()
    return HeadState(turn, np.array([x_mm, 0.0, z_mm]), expression)


@dataclass
class Scene:
    """People, each a function from the frame's number to a `HeadState`, or None where they are not seen.

    A detector (`detect`), a reader (`look`, `embed`); the largest face hides what is behind it.
    """

    people: list
    noise_px: float = 0.0
    calls: dict = field(default_factory=lambda: {"detect": 0, "look": 0, "embed": 0})
    last: int = 0

    def __post_init__(self):
        model = shipped_model()
        self.held = HeldIdentity(model, np.zeros(model.identity_basis.shape[2]))
        self.rng = np.random.default_rng(0)

    def faces(self, number):
        """(index, points, state) of those seen; of two in one place the nearer one."""
        there = [(k, person(number)) for k, person in enumerate(self.people)]
        found = [(k, landmarks_px(self.held, s, CAMERA), s) for k, s in there if s is not None]
        found.sort(key=lambda item: item[2].translation[2])
        kept = []
        for item in found:
            middle = item[1][:, :2].mean(0)
            if all(np.linalg.norm(middle - other[1][:, :2].mean(0)) > 0.4 * size_of(other[1]) for other in kept):
                kept.append(item)
        return kept

    def detect(self, photo):
        self.calls["detect"] += 1
        found = []
        for _, points, _ in self.faces(self.last):
            found.append(Detection(box_of(points).astype(np.float32), 0.99, five_of(points).astype(np.float32)))
        return sorted(found, key=lambda face: -face.area)

    def _nearest(self, window):
        middle = np.linalg.inv(window) @ (128, 128, 1)
        faces = self.faces(self.last)
        return min(faces, key=lambda f: np.linalg.norm(f[1][:, :2].mean(0) - middle[:2]), default=None), middle[:2]

    def look(self, pixels, window):
        self.calls["look"] += 1
        self.last = number_of(pixels)
        model, unit = shipped_model(), 1 / np.sqrt(np.linalg.det(window[:2, :2]))
        found, middle = self._nearest(window)
        ones = np.ones(model.identity_basis.shape[2])
        if found is None or np.linalg.norm(found[1][:, :2].mean(0) - middle) > 60 * unit:
            points = np.column_stack([np.tile(middle, (536, 1)), np.zeros(536)]) + self.rng.normal(0, 30, (536, 3))
            return Look(points, np.zeros(52), 0 * ones, ones, unit, -5.0, 30.0)
        points = found[1] + self.rng.normal(0, self.noise_px, (536, 3))
        return Look(points, found[2].expression, 0 * ones, ones, unit, 4.0, 2.0)

    def embed(self, pixels, window):
        self.calls["embed"] += 1
        self.last = number_of(pixels)
        found, _ = self._nearest(window)
        vector = np.zeros(512)
        vector[511 if found is None else found[0]] = 1.0
        return vector
