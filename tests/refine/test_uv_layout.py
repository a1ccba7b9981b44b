from types import SimpleNamespace

import numpy as np
import pytest
import torch

from coarse.face_model import load_face_model
from refine.uv_layout import UVLayout
from render.shapes import ShapeError
from tests.refine.meshes import random

SIDE = 256


@pytest.fixture(scope="module")
def model():
    return load_face_model()


@pytest.fixture(scope="module")
def layout(model):
    return UVLayout(model, SIDE)


def sheet(cells=8, *, torn=False):
    """A square sheet whose place is its texture coordinate; torn in the middle, its right half is drawn on the left."""
    x, y = np.meshgrid(*[np.linspace(0, 1, cells + 1, dtype=np.float32)] * 2)
    place = np.stack([x, y], -1).reshape(-1, 2)
    a = np.arange(len(place)).reshape(cells + 1, cells + 1)
    corners = (a[:-1, :-1], a[:-1, 1:], a[1:, 1:], a[1:, :-1])
    faces = np.concatenate([np.stack([corners[i] for i in pick], -1).reshape(-1, 3) for pick in ((0, 1, 2), (0, 2, 3))])
    uv, uv_faces = place, faces
    if torn:
        uv = np.concatenate([place * [0.45, 1] + [0.5, 0], place * [0.45, 1] - [0.2, 0]]).astype(np.float32)
        right = place[faces].mean(1)[:, 0] > 0.5
        uv_faces = np.where(right[:, None], faces + len(place), faces)
    mean = np.concatenate([place, np.zeros_like(place[:, :1])], 1)
    return SimpleNamespace(mean=mean, faces=faces, uv=uv, uv_faces=uv_faces)


def features(array):
    return torch.as_tensor(array, dtype=torch.float32)[None]


def test_a_linear_function_of_the_sheet_is_drawn_exactly_with_v_up():
    layout = UVLayout(sheet(), 16)
    image = layout.to_image(features(sheet().mean[:, :2]))[0]
    centers = (torch.arange(16) + 0.5) / 16
    assert torch.allclose(image[0], centers.expand(16, 16), atol=1e-5)
    assert torch.allclose(image[1], centers.flip(0)[:, None].expand(16, 16), atol=1e-5)
    assert layout.mask.all()


def test_vertices_are_sampled_bilinearly_with_the_edge_repeated():
    image = random(1, 2, 16, 16)
    uv = torch.as_tensor(sheet().uv)
    grid = torch.stack([2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1]], -1)[None, None]
    expected = torch.nn.functional.grid_sample(image, grid, padding_mode="border", align_corners=False)[0, :, 0].T
    assert torch.allclose(UVLayout(sheet(), 16).to_vertices(image)[0], expected, atol=1e-5)


def test_at_a_seam_both_sides_are_read_and_averaged_and_neither_reads_the_other():
    torn = sheet(torn=True)
    layout = UVLayout(torn, 64)
    x = features(torn.mean[:, :1])
    left = layout.to_image(torch.where(x < 0.5, -1.0, 0.0))[0, 0]
    assert left[:, 40:].amin() == -1
    back = layout.to_vertices((torch.arange(64.0) < 20).float().expand(1, 1, 64, 64))[0, :, 0]
    assert (back[x[0, :, 0] < 0.5] == 0).all()
    assert torch.allclose(back[x[0, :, 0] == 0.5], torch.tensor(0.5))
    assert (back[x[0, :, 0] > 0.5] == 1).all()


@pytest.mark.parametrize("name", ["paint", "sample"])
def test_constants_stay_constant_also_in_the_gutters(layout, name):
    rows = getattr(layout, name)
    ones = torch.ones(1, rows.shape[1], 1)
    assert torch.allclose(rows(ones), torch.ones(()), atol=1e-5)
    assert layout.mask.float().mean() < 0.95


def test_smooth_functions_survive_the_round_trip(model, layout):
    points = features(model.mean / 100)
    smooth = torch.cat([points, torch.sin(3 * points)], -1)
    error = (layout.to_vertices(layout.to_image(smooth)) - smooth).abs()
    assert error.mean() < 2.5e-3
    assert error.flatten().quantile(0.99) < 0.04
    face = torch.as_tensor(model.region_mask("face"))
    assert error[0, face].mean() < 5e-4
    assert error[0, face].max() < 0.08


def test_no_vertex_is_mixed_with_far_ones(model, layout):
    """Of the texels that a vertex reads, each shows a point near it on the mean face, in mm."""
    shown = layout.to_image(features(model.mean))
    center = layout.to_vertices(shown)
    assert (center[0] - torch.as_tensor(model.mean)).norm(dim=1).max() < 16
    spread = layout.to_vertices(shown.square()) - center.square()
    assert spread.sum(-1).clamp_min(0).sqrt().max() < 16


def test_batches_channels_and_gradients(model):
    layout = UVLayout(sheet(torn=True), 16)
    x = random(2, 81, 3).requires_grad_()
    image = layout.to_image(x)
    assert image.shape == (2, 3, 16, 16)
    assert image.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(layout.to_image(x[1:])[0], image[1])
    weight = random(2, 81, 3, seed=1)
    (layout.to_vertices(image) * weight).sum().backward()
    dense = torch.linalg.multi_dot([layout.sample(torch.eye(256)[None])[0], layout.paint(torch.eye(81)[None])[0]])
    assert torch.allclose(x.grad, dense.T @ weight, atol=1e-4)


def test_tables_are_constants_of_the_model(layout):
    assert not layout.state_dict()
    with pytest.raises(ShapeError, match="features"):
        layout.to_image(torch.zeros(1, 5, 3))
    with pytest.raises(ShapeError, match="image"):
        layout.to_vertices(torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match="side is 1"):
        UVLayout(sheet(), 1)
