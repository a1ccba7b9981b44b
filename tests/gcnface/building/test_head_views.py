"""Rendered heads and turned photographs show their landmarks where they say."""

import numpy as np
import pytest
import torch

from coarse.coefficients import Coefficients
from coarse.face_model import load_face_model
from coarse.morphable import MorphableModel
from gcnface.building.head_views import (
    DrawnModel,
    RenderedViews,
    Source,
    aligned_canvas_camera,
    bare_head,
    draw_views,
    landmarks_px,
)
from gcnface.building.rotated_photo import photo_camera, rotated_photo
from gcnface.data.faces import CANVAS_PX
from render.color import srgb_from_linear
from render.rotation import rotation_from_euler

NOSE_TIP, LEFT_LIP = 4, 61


@pytest.fixture(scope="module")
def model():
    return load_face_model()


@pytest.fixture(scope="module")
def network(model):
    return MorphableModel(model)


@pytest.fixture(scope="module")
def fit(network):
    raw = torch.zeros(1, network.layout.total)
    raw[:, :10] = 0.4
    c = network.layout.decode(raw)
    rotation = torch.tensor([[0.05, 0.15, 0.0]])
    return Coefficients(c.identity, c.expression, c.albedo, rotation, c.translation, c.lighting)


@pytest.fixture(scope="module")
def painted(model, network):
    """Grey skin with a red nose tip and a blue corner of the mouth, (V, 3) linear."""
    colors = torch.full((len(model.mean), 3), 0.3)
    tips = network.landmark_mean[[NOSE_TIP, LEFT_LIP]]
    near = torch.cdist(tips, torch.from_numpy(model.mean).float()) < 4.0
    colors[near[0]] = torch.tensor([1.0, 0, 0])
    colors[near[1]] = torch.tensor([0.0, 0, 1])
    return colors


def centroid(picture, channel):
    others = [c for c in range(3) if c != channel]
    y, x = (picture[..., channel] - picture[..., others].amax(2) > 0.4).nonzero().T.float()
    return torch.stack([x.mean(), y.mean()]) + 0.5


def test_bare_heads_show_their_landmarks(network, fit, painted):
    matrix, camera = aligned_canvas_camera(network, fit)
    picture = bare_head(network, fit, painted, torch.zeros(CANVAS_PX, CANVAS_PX, 3), camera)
    points = landmarks_px(network, fit, camera)
    assert np.abs(centroid(picture, 0).numpy() - points[NOSE_TIP, :2]).max() < 2
    assert np.abs(centroid(picture, 2).numpy() - points[LEFT_LIP, :2]).max() < 3
    assert points[NOSE_TIP, 2] < points[LEFT_LIP, 2] < 0  # nearer to the camera than the origin between the ears
    assert np.linalg.det(matrix[:2, :2]) > 0


def test_what_no_head_covers_shows_the_background(network, fit, painted):
    behind = torch.zeros(CANVAS_PX, CANVAS_PX, 3)
    behind[..., 1] = 1.0
    picture = bare_head(network, fit, painted, behind, aligned_canvas_camera(network, fit)[1])
    assert torch.allclose(picture[:20, :20], behind[:20, :20], atol=1e-6)


def test_a_photo_that_is_not_turned_is_itself(network, fit):
    photo = torch.rand(6, 6, 3, generator=torch.Generator().manual_seed(0))
    photo = photo.repeat_interleave(48, 0).repeat_interleave(48, 1)
    same = rotated_photo(network, fit, photo, torch.eye(3)[None], torch.zeros_like(photo), photo_camera(CANVAS_PX))
    assert (same - photo)[8:-8, 8:-8].abs().mean() < 0.01


@pytest.mark.parametrize("yaw", [-0.6, 0.5])
def test_a_turned_photo_shows_its_landmarks(model, network, fit, painted, yaw):
    camera = photo_camera(CANVAS_PX)
    photo = bare_head(network, fit, painted, torch.full((CANVAS_PX, CANVAS_PX, 3), 0.5), camera)
    turn = rotation_from_euler(torch.tensor([yaw]), torch.tensor([0.1]), torch.tensor([0.0]))
    settings = RenderedViews(views=1, altered=0.0, photographic=1.0)
    source = Source(fit, (photo * 255).byte().numpy(), painted, torch.ones(1, 3))
    (view,) = draw_views(
        DrawnModel(model, network), source, np.zeros((1, 288, 288, 3), np.uint8), settings, np.random.default_rng(1)
    )
    assert view.photographic
    picture = torch.from_numpy(view.canvas / 255)
    assert np.abs(centroid(picture, 0).numpy() - view.landmarks[NOSE_TIP, :2]).max() < 4
    rotated = rotated_photo(network, fit, photo, turn, torch.zeros_like(photo), camera)
    assert (rotated - photo).abs().mean() > 0.02


def test_views_of_a_person_share_the_shape_and_reach_profiles(model, network, fit, painted):
    settings = RenderedViews(views=6, altered=1.0)
    source = Source(fit, np.zeros((288, 288, 3), np.uint8), painted, torch.ones(1, 3))
    views = list(
        draw_views(
            DrawnModel(model, network), source, np.zeros((2, 288, 288, 3), np.uint8), settings, np.random.default_rng(0)
        )
    )
    assert all(torch.equal(view.posed.identity, views[0].posed.identity) for view in views)
    assert not torch.equal(views[0].posed.identity, fit.identity)
    assert max(abs(view.yaw) for view in views) > 0.9
    assert not any(view.photographic for view in views)
    again = list(
        draw_views(
            DrawnModel(model, network), source, np.zeros((2, 288, 288, 3), np.uint8), settings, np.random.default_rng(0)
        )
    )
    assert all(np.array_equal(a.canvas, b.canvas) for a, b in zip(views, again, strict=True))


def test_edges_are_smooth(network, fit):
    """Averaged from twice the size, so outlines have mixed pixels."""
    white = torch.ones(len(network.mean), 3)
    picture = bare_head(
        network, fit, white, torch.zeros(CANVAS_PX, CANVAS_PX, 3), aligned_canvas_camera(network, fit)[1]
    )
    quarter = srgb_from_linear(torch.tensor(0.25))
    assert ((picture[..., 0] - quarter).abs() < 1e-3).sum() > 20
