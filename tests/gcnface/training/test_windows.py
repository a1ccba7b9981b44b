"""Windows of known faces: the true map follows the picture through every change."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from coarse.face_model import load_face_model
from coarse.position_map import WINDOW_PX, PositionMapLayout, window_camera
from coarse.position_network import PositionMapConfig, PositionMapNetwork
from gcnface.data.faces import CANVAS_PX, load_prepared
from gcnface.data.heads import KNOWN
from gcnface.training import windows
from gcnface.training.augment import Augmentation, middle_window, taken
from gcnface.training.position_map import PositionMapModule, PositionMapSettings, head_yaw_deg
from gcnface.training.windows import KnownFaces, WindowBatch, WindowDataset, fitted_faces
from tests.gcnface.annotated_folder import write_prepared_faces

NOSE_TIP = 4
MOVED_ONLY = Augmentation(angle_rad=0.8, scale=0.2, color=0, gray=0, blur=0, jpeg=0, occluder=0, small=0)


@pytest.fixture(scope="module")
def module():
    return PositionMapModule(side=64)


@pytest.fixture(scope="module")
def known(module):
    """Four posed faces; each canvas is black but for a white square at the nose tip."""
    model, generator = module.model, torch.Generator().manual_seed(0)
    raw = torch.zeros(4, model.layout.total)
    raw[:, : model.layout.identity] = 0.5 * torch.randn(4, model.layout.identity, generator=generator)
    c = model.layout.decode(raw)
    rotation = torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.6, 0.0], [0.0, -1.2, 0.1], [0.2, 0.3, -0.1]])
    canvas_from_window = torch.from_numpy(middle_window(WINDOW_PX, CANVAS_PX)).float()
    camera = window_camera().transformed(canvas_from_window, (CANVAS_PX, CANVAS_PX))
    posed = type(c)(c.identity, c.expression, c.albedo, rotation, c.translation, c.lighting)
    tips = camera.project(model.landmarks_cam(posed))[:, NOSE_TIP, :2].numpy()
    canvases = np.zeros((4, CANVAS_PX, CANVAS_PX, 3), np.uint8)
    for canvas, (x, y) in zip(canvases, tips, strict=True):
        canvas[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = 255
    arrays = (np.array(a) for a in (posed.identity, posed.expression, posed.rotation, posed.translation))
    points = camera.project(model.landmarks_cam(posed))[..., :2].numpy()
    return KnownFaces(canvases, *arrays, camera.px_from_cam.repeat(4, 1, 1).numpy(), points, np.arange(4))


def batches(known, count, *, augment):
    torch.manual_seed(5)
    data = WindowDataset(known, augment=augment, kinds=[MOVED_ONLY])
    return [WindowBatch.stack([data[i] for i in range(len(data))]) for _ in range(count)]


@pytest.mark.parametrize("augment", [False, True])
def test_the_map_follows_the_picture(module, known, augment):
    mirrored = set()
    for batch in batches(known, 6 if augment else 1, augment=augment):
        tips = module.layout.landmarks468(module.true_maps(batch))[:, NOSE_TIP, :2]
        for image, tip, flip in zip(batch.image, tips, batch.mirrored, strict=True):
            y, x = (image[0] > 0.4).nonzero().float().mean(0) + 0.5
            assert abs(x - tip[0]) < 2.5
            assert abs(y - tip[1]) < 2.5
            mirrored.add(bool(flip))
    assert mirrored == ({True, False} if augment else {False})


def test_windows_come_as_often_as_asked(known):
    order = taken(np.array([False, True, False, True]), 3)
    assert np.bincount(order).tolist() == [1, 3, 1, 3]
    data = WindowDataset(known, augment=False, order=order)
    assert len(data) == 8
    assert all(torch.equal(data[i].rotation, torch.from_numpy(known.rotation[order[i]])) for i in range(8))


def test_of_several_kinds_of_changes_each_is_made(known):
    torch.manual_seed(0)
    turned = replace(MOVED_ONLY, flip=0.0, angle_rad=1e-6), replace(MOVED_ONLY, flip=1.0, angle_rad=1e-6)
    data = WindowDataset(known, augment=True, kinds=turned)
    mirrored = [bool(WindowBatch.stack([data[i % 4]]).mirrored) for i in range(60)]
    assert 15 < sum(mirrored) < 45


def test_mirrored_windows_have_mirrored_maps(module, known):
    (plain,) = batches(known, 1, augment=False)
    flip = torch.tensor([[-1.0, 0, WINDOW_PX], [0, 1, 0], [0, 0, 1]])
    mirrored = replace(plain, image=plain.image.flip(3), px_from_cam=flip @ plain.px_from_cam)
    maps, other = module.true_maps(plain), module.true_maps(mirrored)
    assert mirrored.mirrored.all()
    assert torch.allclose(other[:, 0], WINDOW_PX - maps[:, 0].flip(2), atol=1e-3)
    assert torch.allclose(other[:, 1:], maps[:, 1:].flip(3), atol=1e-3)


def test_depth_is_in_the_pictures_scale(module, known):
    (plain,) = batches(known, 1, augment=False)
    double = torch.diag(torch.tensor([2.0, 2.0, 1.0]))
    larger = replace(plain, px_from_cam=double @ plain.px_from_cam)
    assert torch.allclose(module.true_maps(larger), 2 * module.true_maps(plain), atol=1e-2)


def test_the_truth_has_no_error(module, known):
    (plain,) = batches(known, 1, augment=False)
    maps = module.true_maps(plain)
    assert module.dense_percent(maps, maps).max() == 0
    shifted = maps + torch.tensor([3.0, 0.0, 50.0])[:, None, None]
    points = module.layout.vertices(maps)[..., :2]
    side = (points.amax(1) - points.amin(1)).prod(1).sqrt()
    assert torch.allclose(module.dense_percent(shifted, maps), 300 / side, rtol=1e-3)


def test_yaw_is_positive_to_the_viewers_right():
    assert head_yaw_deg(torch.tensor([[0.0, 0.5, 0.0]])).item() == pytest.approx(28.648, abs=1e-3)


def test_one_batch_is_learned(module, known):
    """A narrow network, its mean face at first, comes closer to four faces with every few steps."""
    torch.manual_seed(0)
    network = PositionMapNetwork(module.layout, PositionMapConfig(8, (8, 16, 24, 32), (16, 16, 8, 8)))
    (batch,) = batches(known, 1, augment=False)
    truth = module.true_maps(batch)
    image = batch.image + 0.1 * torch.rand_like(batch.image)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    errors = []
    for _ in range(25):
        loss = (network(image) - truth).abs().mean()
        errors.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert errors[-1] < 0.6 * errors[0]


def test_layouts_of_any_side_agree(module):
    finer = PositionMapLayout(load_face_model(), 128)
    assert torch.allclose(finer.template.mean((1, 2)), module.layout.template.mean((1, 2)), atol=0.5)


def test_unknown_network_is_refused():
    with pytest.raises(ValueError, match="prnet"):
        PositionMapSettings(network="unet")


def test_windows_may_lie_at_any_roll_and_the_map_follows(module, known):
    astray = replace(MOVED_ONLY, astray=1.0)
    torch.manual_seed(3)
    data = WindowDataset(known, augment=True, kinds=[astray])
    rolls = []
    for _ in range(12):
        batch = WindowBatch.stack([data[i] for i in range(len(data))])
        tips = module.layout.landmarks468(module.true_maps(batch))[:, NOSE_TIP, :2]
        for image, tip, camera in zip(batch.image, tips, batch.px_from_cam, strict=True):
            lit = (image[0] > 0.4).nonzero().float() + 0.5
            inside = ((tip > 6) & (tip < WINDOW_PX - 6)).all()
            if inside and len(lit):
                assert (lit.flip(1) - tip).norm(dim=1).min() < 3.5
            rolls.append(float(torch.atan2(camera[1, 0], camera[1, 1])))
    assert min(rolls) < -2
    assert max(rolls) > 2


def test_a_window_without_a_face_teaches_no_geometry(module, known):
    (batch,) = batches(known, 1, augment=False)
    trusting = PositionMapModule(side=64, trust=1.0)
    torch.manual_seed(0)
    trusting.network = PositionMapNetwork(module.layout, PositionMapConfig(8, (8, 16, 24, 32), (16, 16, 8, 8)))
    trusting.log = lambda *args, **kwargs: None
    nobody = replace(batch, face=torch.zeros(4, dtype=torch.bool))
    trusting.training_step(nobody, 0).backward()
    assert trusting.network.pose.weight.grad is None or not trusting.network.pose.weight.grad.any()
    bias = trusting.network.trust[-1].bias.grad
    assert bias[0] == 0
    assert bias[1] > 0  # the odds of a face must fall


def test_trust_learns_which_windows_show_faces_and_how_far_the_map_is_off(module, known):
    torch.manual_seed(0)
    trusting = PositionMapModule(side=64, trust=1.0, learning_rate=1e-2)
    trusting.network = PositionMapNetwork(module.layout, PositionMapConfig(8, (8, 16, 24, 32), (16, 16, 8, 8)))
    trusting.log = lambda *args, **kwargs: None
    (batch,) = batches(known, 1, augment=False)
    image = batch.image.clone()
    image[2:] = torch.rand_like(image[2:])
    batch = replace(batch, image=image, face=torch.tensor([True, True, False, False]))
    optimizer = torch.optim.AdamW(trusting.network.parameters(), 1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        trusting.training_step(batch, 0).backward()
        optimizer.step()
    trusting.network.train()
    with torch.no_grad():
        answer = trusting.network.answer(batch.image)
    error = module.dense_percent(answer.maps, module.true_maps(batch))
    assert (answer.face_logit[:2] > 0).all()
    assert (answer.face_logit[2:] < 0).all()
    assert (answer.expected_error_percent[:2] / error[:2]).log().abs().max() < 1.0


def test_trust_is_the_light_networks():
    with pytest.raises(ValueError, match="light network"):
        PositionMapSettings(network="prnet", trust=1.0)


def test_fits_are_made_once_for_the_same_landmarks(tmp_path, monkeypatch):
    faces = load_prepared(write_prepared_faces(tmp_path))
    model, rows = load_face_model(), np.array([0, 3])
    first = fitted_faces(model, faces, rows, tmp_path / "fits")
    assert [path.suffix for path in (tmp_path / "fits").iterdir()] == [".npz"]
    with monkeypatch.context() as patch:
        patch.setattr(windows, "fit_landmarks", None)
        again = fitted_faces(model, faces, rows, tmp_path / "fits")
    assert all(np.array_equal(getattr(first, name), getattr(again, name)) for name in KNOWN)
    other = fitted_faces(model, faces, rows[::-1].copy(), tmp_path / "fits")
    assert np.allclose(other.identity[::-1], first.identity, atol=1e-5)
    assert len(list((tmp_path / "fits").iterdir())) == 2
