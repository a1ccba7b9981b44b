"""A drawn head in a known pose, the detection of its five points, and a network that knows its position map."""

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from coarse.dense_alignment import DenseReader
from coarse.face_model import LANDMARKS5_FROM_468, load_face_model
from coarse.morphable import VIEW_FROM_CAM
from coarse.position_map import mirrored_maps
from gcnface.dense.aligner import DenseAligner
from gcnface.photo.crop import TEMPLATE_POINTS5_PX, WINDOW_FROM_CROP, similarity_from_points, warp_points
from gcnface.photo.detection import Detection
from render.camera import pixel_camera
from render.interpolate import interpolate
from render.rasterize import rasterize
from render.rotation import rotation_from_euler

PHOTO_HW = (420, 560)
LIFT = 1000.0


@dataclass(frozen=True)
class Head:
    """A head in a photo: what is true about it."""

    yaw: float
    pitch: float
    roll: float
    scale: float
    place: tuple[float, float, float]

    @property
    def rotation(self):
        angles = (torch.tensor([math.radians(a)]) for a in (self.yaw, self.pitch, self.roll))
        return rotation_from_euler(*angles)[0].numpy()

    def in_photo(self, points):
        """Points (N, 3) in model mm: (N, 3) photo px."""
        return self.scale * (points @ self.rotation.T * np.array(VIEW_FROM_CAM)) + np.array(self.place)


STRAIGHT = Head(0, 0, 0, 1.6, (280.0, 210.0, 0.0))
TURNED = Head(50, -5, 20, 1.2, (200.0, 220.0, 0.0))


def colors(points):
    """(N, 3) RGB that tells where on the mean head a point lies."""
    return np.clip(0.5 + points / np.array([200.0, 300.0, 300.0]), 0, 1).astype(np.float32)


def drawn(model, heads, hw=PHOTO_HW):
    """(H, W, 3) photo of the heads over a dark ground."""
    photo = torch.full((*hw, 3), 0.05)
    faces = torch.from_numpy(model.faces.astype(np.int64))
    for head in heads:
        screen = torch.from_numpy(head.in_photo(model.mean) + (0, 0, LIFT)).float()[None]
        fragments = rasterize(screen, faces, pixel_camera(hw))
        picture = interpolate(torch.from_numpy(colors(model.mean)), faces, fragments)[0]
        photo = torch.where(fragments.mask[0, ..., None], picture, photo)
    return photo.numpy()


class ExactDetector:
    """Knows the heads, the largest first; finds nobody in a black photo."""

    def __init__(self, model, heads):
        landmarks = model.landmarks468(model.mean)
        five = np.stack([landmarks[list(index)].mean(0) for index in LANDMARKS5_FROM_468])
        self.found = []
        for head in heads:
            box = head.in_photo(landmarks)[:, :2]
            points5 = head.in_photo(five)[:, :2].astype(np.float32)
            self.found.append(Detection(np.concatenate([box.min(0), box.max(0)]).astype(np.float32), 0.99, points5))

    def detect(self, photo):
        return self.found if photo.any() else []


def window_matrix(detection):
    """(3, 3) window_from_photo of the crop that the five points ask for."""
    return WINDOW_FROM_CROP @ similarity_from_points(detection.points5, TEMPLATE_POINTS5_PX)


class ExactNetwork:
    """Answers the true maps of the heads' windows in turn; of a mirrored window, the mirrored map."""

    def __init__(self, model, layout, heads, detections):
        self.maps = []
        for head, detection in zip(heads, detections, strict=True):
            points = warp_points(head.in_photo(model.mean), window_matrix(detection))
            self.maps.append(layout.encode(torch.from_numpy(points)[None]))
        self.windows = []

    def __call__(self, windows):
        assert windows.shape == (1, 3, 256, 256)
        for seen, answered in zip(self.windows, itertools.cycle(self.maps)):
            if torch.equal(windows, seen.flip(3)):
                return mirrored_maps(answered)
        self.windows.append(windows)
        return self.maps[(len(self.windows) - 1) % len(self.maps)]


@lru_cache(maxsize=1)
def shared_model():
    """The face model and its reader, which take seconds to make."""
    model = load_face_model()
    return model, DenseReader(model)


def exact_aligner(heads, **options):
    """A `DenseAligner` whose detector and network know the truth."""
    model, reader = shared_model()
    detector = ExactDetector(model, heads)
    network = ExactNetwork(model, reader.layout, heads, detector.found)
    return DenseAligner(network=network, detector=detector, reader=reader, **options)
