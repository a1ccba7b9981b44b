"""Rendered heads as the regressor sees them: what is known of them follows every change of the picture."""

import numpy as np
import pytest
import torch

from coarse.face_model import identity_mirror_sign, load_face_model
from coarse.morphable import FOCAL_PX, crop_camera
from gcnface.data.faces import CANVAS_MARGIN_PX, PreparedFaces
from gcnface.data.heads import HeadRenders, load_heads, save_heads
from gcnface.errors import GcnfaceError
from gcnface.training.crops import Augmentation, CropBatch, CropDataset, mirror468
from gcnface.training.regressor import RegressorModule

MOVED_ONLY = Augmentation(color=0, gray=0, blur=0, jpeg=0, occluder=0, small=0)


@pytest.fixture(scope="module")
def module():
    return RegressorModule(rendered=0, depth=10.0, known_identity=0.3)


@pytest.fixture(scope="module")
def raw(module):
    values = torch.zeros(3, module.model.layout.total)
    values[:, : module.model.layout.identity] = 0.5 * torch.randn(3, 100, generator=torch.Generator().manual_seed(2))
    parts = module.model.layout.split(values)
    parts["rotation"] += torch.tensor([[0.2, 1.0, 0.0], [0.0, -2.0, 0.3], [0.1, 0.0, 0.0]])
    return torch.cat(list(parts.values()), dim=1)


@pytest.fixture(scope="module")
def heads(module, raw):
    c = module.model.layout.decode(raw)
    screen = crop_camera(3).project(module.model.landmarks_cam(c))
    origin = c.translation[:, None, 2]
    depth = (screen[..., 2] - origin) * FOCAL_PX / origin
    points = torch.cat([screen[..., :2] + CANVAS_MARGIN_PX, depth[..., None]], dim=2)
    shift = np.eye(3, dtype=np.float32)
    shift[:2, 2] = CANVAS_MARGIN_PX
    return HeadRenders(
        canvases=np.zeros((3, 288, 288, 3), np.uint8),
        identity=c.identity.numpy(),
        expression=c.expression.numpy(),
        rotation=c.rotation.numpy(),
        translation=c.translation.numpy(),
        canvas_from_crop=np.stack([shift] * 3),
        landmarks=points.numpy(),
        person=np.arange(3),
        yaw=np.zeros(3, np.float32),
        photographic=np.zeros(3, bool),
        validation=np.zeros(3, bool),
    )


def no_faces():
    canvas = np.zeros((1, 288, 288, 3), np.uint8)
    labels, points = np.zeros((1, 288, 288), np.uint8), np.zeros((1, 468, 3), np.float32)
    text, yes = np.array(["a"]), np.array([True])
    return PreparedFaces(canvas, labels, points, text, yes, yes, text)


def batch(heads, *, augment):
    data = CropDataset(no_faces(), np.array([False]), augment=augment, heads=heads, kinds=[MOVED_ONLY])
    return CropBatch.stack([data[i] for i in range(len(data))])


def test_the_truth_costs_nothing(module, raw, heads):
    terms = module._landmark_terms(raw, batch(heads, augment=False))
    assert terms["depth"] < 1e-3
    assert terms["known_identity"] < 1e-8
    assert terms["distance"] < 0.012  # the square root under a distance is kept from zero
    worse = raw.clone()
    worse[:, module.model.layout.identity + module.model.layout.expression + 60 + 1] += 0.5
    assert module._landmark_terms(worse, batch(heads, augment=False))["depth"] > 10 * terms["depth"]


def test_mirrored_heads_have_mirrored_points_and_identity(heads):
    torch.manual_seed(0)
    sign, seen = identity_mirror_sign(load_face_model()), set()
    for _ in range(6):
        found = batch(heads, augment=True)
        for i in range(3):
            mirrored = not torch.allclose(found.identity[i], torch.from_numpy(heads.identity[i]))
            expected = heads.identity[i] * (sign if mirrored else 1)
            assert np.allclose(found.identity[i].numpy(), expected)
            order = mirror468() if mirrored else slice(None)
            scale = np.ptp(found.depth[i].numpy()) / np.ptp(heads.landmarks[i, :, 2])
            assert np.allclose(found.depth[i].numpy(), scale * heads.landmarks[i, order, 2], atol=1e-3)
            assert 0.9 < scale < 1.12
            seen.add(mirrored)
    assert seen == {True, False}


def test_heads_are_stored_and_found_again(heads, tmp_path):
    np.save(tmp_path / "canvases.npy", heads.canvases)
    save_heads(heads, tmp_path)
    again = load_heads(tmp_path)
    assert all(np.array_equal(getattr(again, name), getattr(heads, name)) for name in heads.__dataclass_fields__)
    with pytest.raises(GcnfaceError, match="rendered_heads"):
        load_heads(tmp_path / "nowhere")


def test_coefficients_and_cameras_put_the_points_back(module, heads):
    rows = np.array([2, 0])
    known = heads.coefficients(rows, module.model)
    points = heads.cameras(rows).project(module.model.landmarks_cam(known))[..., :2]
    assert np.allclose(points.numpy(), heads.landmarks[rows, :, :2], atol=1e-2)
