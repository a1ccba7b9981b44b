"""A viewer whose network knows the head in the photo, where the window shows it about as a network would know it."""

import numpy as np
import torch

from gcnface.photo.crop import WINDOW_FROM_CROP, warp_points
from gcnface.stages.looks import Viewer, crop_distance_px
from tests.gcnface.dense_stub import shared_model


class KnownViewer(Viewer):
    """Answers a head's true map where the window is roughly right, else a face that no head has.

    Args:
        head: in the photo.
        right_crop: (3, 3) the crop that is right.
        reach_px: windows of crops this near to the right one are known.
        drift_px: what answers are off by, to one side and the other in turn, so that no crop ever stands.
    """

    def __init__(self, head, right_crop, reach_px=60.0, drift_px=0.0):
        model, reader = shared_model()
        super().__init__(model.landmarks468(model.mean), reader.layout, self._maps)
        self.known, self.right_crop, self.reach_px, self.drift_px = head, right_crop, reach_px, drift_px
        self.calls, self.mirrored, self._crops = [], [], []

    def __call__(self, photo, face, crops):
        self.calls.append([origin for origin, _ in crops])
        self._crops = [crop for _, crop in crops]
        return super().__call__(photo, face, crops)

    def twice(self, look):
        self.mirrored.append(look)
        return look.position_map + 0.5

    def _maps(self, windows):
        assert windows.shape == (len(self._crops), 3, 256, 256)
        model, _ = shared_model()
        vertices = []
        for crop in self._crops:
            window = warp_points(self.known.in_photo(model.mean), WINDOW_FROM_CROP @ crop)
            if crop_distance_px(crop, self.right_crop) > self.reach_px:
                window = window @ np.array([[0.6, 0.5, 0], [-0.3, 0.4, 0], [0, 0, 1.0]], np.float32) + (60, 90, 0)
            vertices.append(window + (self.drift_px * (-1) ** len(self.calls), 0, 0))
        return self.layout.encode(torch.from_numpy(np.stack(vertices).astype(np.float32)))
