"""Rendered heads for tests: noise with the landmarks of random people."""

import numpy as np
import torch

from coarse.face_model import load_face_model
from coarse.morphable import MorphableModel, crop_camera
from gcnface.data.faces import CANVAS_MARGIN_PX, CANVAS_PX
from gcnface.data.heads import HeadRenders, save_heads

SOURCES = (0, 0, 0, 2, 2, 2, 2, 3, 3)
"""Rows of the prepared faces the heads are made from; the last person is held out."""


def write_heads(folder, sources=SOURCES, held_out=3, photographic=()):
    """Write heads of `sources` to `folder`, which is returned; those in `photographic` count as turned photographs.

    The person `held_out` is.
    """
    folder.mkdir(exist_ok=True)
    layout_model = MorphableModel(load_face_model(), level=3)
    layout, count = layout_model.layout, len(sources)
    generator = torch.Generator().manual_seed(0)
    raw = torch.zeros(count, layout.total)
    raw[:, : layout.identity] = torch.randn(4, layout.identity, generator=generator)[torch.tensor(sources)]
    c = layout.decode(raw)
    margin = np.float32([CANVAS_MARGIN_PX] * 2 + [0])
    points = crop_camera(count).project(layout_model.landmarks_cam(c)).numpy() + margin
    canvases = np.random.default_rng(0).integers(0, 255, (count, CANVAS_PX, CANVAS_PX, 3), np.uint8)
    np.save(folder / "canvases.npy", canvases)
    save_heads(
        HeadRenders(
            canvases=canvases,
            identity=c.identity.numpy(),
            expression=c.expression.numpy(),
            rotation=c.rotation.numpy(),
            translation=c.translation.numpy(),
            canvas_from_crop=np.tile(np.eye(3, dtype=np.float32), (count, 1, 1)),
            landmarks=points,
            person=np.array(sources),
            yaw=np.zeros(count, np.float32),
            photographic=np.isin(np.arange(count), photographic),
            validation=np.array(sources) == held_out,
        ),
        folder,
    )
    return folder
