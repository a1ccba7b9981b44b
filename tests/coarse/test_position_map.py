"""Position maps of faces with known geometry: there and back, the mirror, the weights."""

import dataclasses

import numpy as np
import pytest
import torch

from coarse.coefficients import Coefficients
from coarse.face_model import REGIONS, load_face_model
from coarse.morphable import MorphableModel, crop_camera
from coarse.position_map import (
    WINDOW_MARGIN_PX,
    WINDOW_PX,
    PositionMapLayout,
    position_map_loss,
    window_camera,
    window_points,
)
from render.shapes import ShapeError
from tests.coarse.variants import mirrored_map

MIRROR = torch.tensor([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def model():
    return load_face_model()


@pytest.fixture(scope="module")
def layout(model):
    return PositionMapLayout(model)


@pytest.fixture(scope="module")
def network(model):
    return MorphableModel(model)


@pytest.fixture(scope="module")
def coefficients(network):
    """Two people who make faces, turned to different sides."""
    generator = torch.Generator().manual_seed(3)
    return Coefficients(
        identity=torch.randn(2, network.identity_count, generator=generator),
        expression=0.3 * torch.rand(2, network.expression_count, generator=generator),
        albedo=torch.zeros(2, network.albedo_count),
        rotation=torch.tensor([[0.1, 0.5, 0.2], [-0.2, -0.9, 0.0]]),
        translation=torch.tensor([[3.0, 8.0, 1090.0], [-5.0, 2.0, 1010.0]]),
        lighting=torch.zeros(2, 9, 3),
    )


@pytest.fixture(scope="module")
def points(network, coefficients):
    verts = network.vertices(coefficients.identity, coefficients.expression)
    return window_points(verts, coefficients, window_camera())


@pytest.fixture(scope="module")
def maps(layout, points):
    return layout.encode(points)


def on_surface(model, points):
    """(B, 468, 3) true landmarks of (B, V, 3)."""
    corners = points[:, torch.from_numpy(model.faces[model.landmarks468_face].astype(np.int64))]
    return (corners * torch.from_numpy(model.landmarks468_bary)[..., None]).sum(2)


def test_landmarks_there_and_back(layout, model, maps, points):
    distance = (layout.landmarks468(maps) - on_surface(model, points)).norm(dim=-1)
    assert distance.mean() < 0.05
    assert distance.quantile(0.99) < 0.15


def test_the_68_points_there_and_back(layout, model, maps, points):
    truth = torch.from_numpy(np.stack([model.landmarks68(one.numpy()) for one in points]))
    distance = (layout.landmarks68(maps) - truth).norm(dim=-1)
    assert distance.median() < 0.05
    assert distance.max() < 0.5  # before the ears, at the chart's border
    half_texel = 0.5 / layout.side
    assert (layout.landmark68_uv > half_texel).all()
    assert (layout.landmark68_uv < 1 - half_texel).all()


def test_vertices_there_and_back(layout, maps, points):
    found, truth = layout.vertices(maps), points[:, layout.vertex_index]
    distance = (found - truth).norm(dim=-1)
    assert distance.median() < 0.03
    assert distance.quantile(0.9) < 0.15  # the rest: the rims of eyes and mouth, squeezed into a texel, and the border


def test_texels_are_points_of_the_surface(layout, maps, points):
    row, column = 100, 90
    corner = points[:, layout.texel_corners[row, column]]
    expected = (corner * layout.texel_bary[row, column][:, None]).sum(1)
    torch.testing.assert_close(maps[:, :, row, column], expected)
    uv = torch.tensor([(column + 0.5) / layout.side, 1 - (row + 0.5) / layout.side])
    nearest = (layout.vertex_uv - uv).norm(dim=1).argmin()
    assert layout.vertex_index[nearest] in layout.texel_corners[row, column]


def test_depth_is_counted_from_the_origin_in_pixels_of_the_same_scale(network, coefficients, points):
    camera = window_camera()
    verts = network.vertices(coefficients.identity, coefficients.expression)
    distance_mm = coefficients.translation[:, 2]
    px_per_mm = camera.px_from_cam[0, 0, 0] / distance_mm
    away_mm = network.in_camera(verts, coefficients)[..., 2] - distance_mm[:, None]
    torch.testing.assert_close(points[..., 2], away_mm * px_per_mm[:, None], atol=1e-3, rtol=1e-4)
    nose = network.mean[:, 2].argmax()
    assert (points[:, nose, 2] < -30).all()  # it stands before the origin


def test_the_window_is_the_crop_with_a_margin(network, coefficients):
    verts = network.in_camera(network.vertices(coefficients.identity, coefficients.expression), coefficients)
    crop, window = (camera.project(verts)[..., :2] for camera in (crop_camera(), window_camera()))
    torch.testing.assert_close(window, crop + WINDOW_MARGIN_PX)
    assert WINDOW_PX == 224 + 2 * WINDOW_MARGIN_PX


def test_mirrored_face_has_the_flipped_map(layout, model, maps, points):
    other = points[:, torch.from_numpy(model.mirror.astype(np.int64))] * MIRROR + torch.tensor([float(WINDOW_PX), 0, 0])
    difference = (layout.encode(other) - mirrored_map(maps)).norm(dim=1)[:, layout.mask & layout.mask.flip(1)]
    assert difference.median() < 0.01
    assert difference.quantile(0.99) < 0.3
    assert (mirrored_map(mirrored_map(maps)) - maps).abs().max() < 1e-4
    assert (layout.encode(other) - maps).norm(dim=1).median() > 5  # it does matter


def test_weights_are_the_published_ones(layout, model):
    weight, mask = layout.weight, layout.mask
    assert set(weight[mask].tolist()) <= {16.0, 4.0, 3.0, 0.0}
    assert {16.0, 4.0, 3.0} <= set(weight[mask].tolist())
    texel = (torch.stack([layout.landmark68_uv[:, 0], 1 - layout.landmark68_uv[:, 1]], 1) * layout.side).long()
    texel = texel.clamp(0, layout.side - 1)
    marked = torch.zeros_like(mask)
    marked[texel[:, 1], texel[:, 0]] = True
    assert torch.equal(weight == 16, marked)
    assert 60 <= marked.sum() <= 68
    region = torch.from_numpy(model.region.astype(np.int64))[layout.texel_corners]
    features, face = REGIONS.index("eyes_nose_mouth"), REGIONS.index("face")
    assert (weight[(region == features).any(-1) & ~marked] == 4).all()
    assert (weight[(region == face).all(-1) & ~marked] == 3).all()


def test_the_neck_weighs_nothing(model):
    low = (model.mean[:, 1] < -90) & (model.region == REGIONS.index("face"))
    region = np.where(low, REGIONS.index("neck"), model.region).astype(np.uint8)
    layout = PositionMapLayout(dataclasses.replace(model, region=region), side=64)
    neck = torch.from_numpy(low)[layout.texel_corners].all(-1)
    landmark = layout.weight == 16
    assert (layout.weight[neck & ~landmark] == 0).all()
    assert (neck & ~landmark).any()


def test_mask_leaves_out_eyes_and_mouth_alone(layout):
    holes = ~layout.mask
    assert 0 < holes.float().mean() < 0.05
    rows, columns = holes.nonzero().unbind(1)
    center = layout.side / 2
    assert (rows > 0.2 * layout.side).all()
    assert (rows < 0.9 * layout.side).all()
    assert (columns < center - 10).any()
    assert (columns > center + 10).any()


def test_loss_is_the_weighted_mean_distance():
    predicted, truth = torch.zeros(2, 3, 2, 2), torch.zeros(2, 3, 2, 2)
    truth[0, :, 0, 0] = torch.tensor([3.0, 0.0, 4.0])  # 5 px in a texel of weight 16
    truth[1, :, 1, 1] = torch.tensor([0.0, 2.0, 0.0])  # 2 px where nothing weighs
    weight = torch.tensor([[16.0, 4.0], [3.0, 0.0]])
    loss = position_map_loss(predicted, truth, weight)
    assert loss.item() == pytest.approx(16 * 5 / 2 / 23, abs=2e-3)


def test_gradients_there_and_back(layout, points):
    leaf = points.clone().requires_grad_()
    layout.vertices(layout.encode(leaf)).square().mean().backward()
    touched = leaf.grad.abs().sum((0, 2)) > 0
    inside = torch.zeros(len(touched), dtype=torch.bool)
    inside[layout.vertex_index] = True
    assert not touched[~inside].any()
    assert touched[inside].float().mean() > 0.8


def test_other_shapes_are_refused(layout):
    with pytest.raises(ShapeError, match="maps"):
        layout.vertices(torch.zeros(1, 3, 128, 128))
    with pytest.raises(ShapeError, match="points"):
        layout.encode(torch.zeros(10, 3))
    with pytest.raises(ShapeError, match="truth"):
        position_map_loss(torch.zeros(1, 3, 8, 8), torch.zeros(2, 3, 8, 8), torch.ones(8, 8))
