"""The pose network learns from windows at any roll; held-out windows are turned with their points."""

import pytest
import torch

from coarse.face_model import load_face_model
from coarse.morphable import MorphableModel
from coarse.position_map import WINDOW_PX, window_camera
from gcnface.training.pose import PoseModule, turned
from gcnface.training.windows import WindowBatch
from tests.tolerances import STORED


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    made = PoseModule()
    made.log = lambda *args, **kwargs: None
    return made


@pytest.fixture(scope="module")
def batch(module):
    """Three turned heads, the last one mirrored, and a window without a face."""
    model = MorphableModel(load_face_model(), level=2)
    c = model.layout.decode(torch.zeros(4, model.layout.total))
    rotation = torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.8, 0.0], [0.0, 0.8, 0.0], [0.0, 0.0, 0.0]])
    camera = window_camera().px_from_cam.repeat(4, 1, 1)
    camera[2] = torch.tensor([[-1.0, 0, WINDOW_PX], [0, 1, 0], [0, 0, 1]]) @ camera[2]
    images = torch.rand(4, 3, WINDOW_PX, WINDOW_PX, generator=torch.Generator().manual_seed(0))
    face = torch.tensor([True, True, True, False])
    return WindowBatch(images, c.identity, c.expression, rotation, c.translation, camera, face)


def test_a_mirrored_head_is_the_mirror_image_of_the_head_turned_the_other_way(module, batch):
    points = module.landmarks(batch)
    other = WindowBatch(**{name: getattr(batch, name).clone() for name in batch.__dataclass_fields__})
    other.rotation[2] = torch.tensor([0.0, -0.8, 0.0])
    other.px_from_cam[2] = batch.px_from_cam[0]
    torch.testing.assert_close(points[2], module.landmarks(other)[2], atol=0.6, rtol=0)


def test_one_batch_is_learned(module, batch):
    optimizer = torch.optim.AdamW(module.network.parameters(), 3e-3)
    module.network.train()
    losses = []
    for _ in range(40):
        loss = module.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]
    answer = module.network(batch.image)
    assert (answer.face_logit[:3] > answer.face_logit[3]).all()


@pytest.mark.parametrize("degrees", [45, 90, 270])
def test_turned_windows_keep_their_points(degrees):
    image = torch.zeros(1, 3, 64, 64)
    image[0, :, 18:22, 40:44] = 1.0
    points = torch.tensor([[[42.0, 20.0, 5.0]]])
    moved, there = turned(image, points, degrees)
    y, x = (moved[0, 0] > 0.5).nonzero().float().mean(0) + 0.5
    torch.testing.assert_close(torch.stack([x, y]), there[0, 0, :2], atol=0.7, rtol=0)
    assert there[0, 0, 2] == 5


def test_a_quarter_turn_is_counter_clockwise():
    _, there = turned(torch.zeros(1, 3, 64, 64), torch.tensor([[[64.0, 32.0, 0.0]]]), 90)
    torch.testing.assert_close(there, torch.tensor([[[32.0, 0.0, 0.0]]]), **STORED)
