"""Every layer does what its name says, and its gradient is that of its values."""

import math

import numpy as np
import pytest
import torch

from coarse.spatial_transformer.linear_model import (
    LinearModel,
    UvGrid,
    grid_model,
    landmark_model,
    landmark_uv,
    vertex_model,
)
from coarse.spatial_transformer.pose import (
    AxisAngleToRotation,
    LogScaleToScale,
    OrthographicProjection,
    Rotate3d,
    Scale2d,
    Translate2d,
)
from coarse.spatial_transformer.sampling import (
    LANDMARKS21_FROM_468,
    BilinearSampler,
    DepthVisibility,
    LandmarkSelection,
    Masking,
    NormalVisibility,
    grid_faces,
)
from render.shapes import ShapeError
from tests.tolerances import STORED, SUMS


def leaf(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (AxisAngleToRotation(), [(2, 3)]),
        (Rotate3d(), [(2, 5, 3), (2, 3, 3)]),
        (OrthographicProjection(), [(2, 5, 3)]),
        (LogScaleToScale(), [(2, 1)]),
        (Scale2d(), [(2, 5, 2), (2, 1)]),
        (Translate2d(), [(2, 5, 2), (2, 2)]),
        (LandmarkSelection([3, 0, 3]), [(2, 5, 2)]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, torch.nn.Module) else "",
)
def test_gradients_agree_with_finite_differences(layer, inputs):
    assert torch.autograd.gradcheck(layer, [leaf(*shape) for shape in inputs])


def test_rotation_has_a_gradient_at_rest():
    rest = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(AxisAngleToRotation(), rest)


def test_gradients_of_the_model_layer():
    layer = LinearModel(leaf(5, 3).detach(), leaf(5, 3, 4).detach())
    assert torch.autograd.gradcheck(layer, leaf(2, 4))


def test_gradients_of_the_grid(model):
    grid = UvGrid(model, 4)
    corners, grid.vertex = grid.vertex.unique(return_inverse=True)
    values = leaf(1, len(corners), 2)
    assert torch.autograd.gradcheck(grid, values)
    assert grid(torch.ones_like(values)).sub(1).abs().max() < 1e-6


def test_gradients_of_the_sampler_between_pixel_centres():
    image = leaf(2, 3, 6, 7)
    grid = (torch.rand(2, 4, 4, 2, dtype=torch.float64) * 0.8 + 0.6 + torch.arange(4)[:, None]).requires_grad_()
    assert torch.autograd.gradcheck(BilinearSampler(), (image, grid))


def test_masking_stops_at_the_mask():
    texture, mask = leaf(2, 3, 4, 4), torch.rand(2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: Masking()(x, mask.detach()), texture)
    Masking()(texture, mask).sum().backward()
    assert mask.grad is None
    torch.testing.assert_close(texture.grad, mask.detach()[:, None].expand_as(texture))


def test_sampler_reads_pixel_centres_at_half_and_rows_downwards():
    image = torch.arange(12.0).view(1, 1, 3, 4)
    grid = torch.tensor([[[[0.5, 0.5], [1.5, 0.5]], [[0.5, 1.5], [2.0, 1.0]]]])
    assert BilinearSampler()(image, grid).flatten().tolist() == pytest.approx([0.0, 1.0, 4.0, 3.5], abs=1e-5)


def test_closed_forms_of_the_pose_layers():
    points = torch.tensor([[[1.0, 2.0, 3.0]]])
    quarter = AxisAngleToRotation()(torch.tensor([[0.0, 0.0, math.pi / 2]]))
    torch.testing.assert_close(Rotate3d()(points, quarter), torch.tensor([[[-2.0, 1.0, 3.0]]]))
    plane = OrthographicProjection()(points)
    assert plane.tolist() == [[[1.0, -2.0]]]
    assert LogScaleToScale()(torch.tensor([[math.log(2)]])).item() == pytest.approx(2)
    assert Scale2d()(plane, torch.tensor([[3.0]])).tolist() == [[[3.0, -6.0]]]
    assert Translate2d()(plane, torch.tensor([[10.0, 20.0]])).tolist() == [[[11.0, 18.0]]]


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (Rotate3d(), [(2, 5, 3), (1, 3, 3)]),
        (Scale2d(), [(2, 5, 2), (2, 2)]),
        (Translate2d(), [(2, 5, 3), (2, 2)]),
        (Masking(), [(2, 3, 4, 4), (2, 4, 5)]),
        (LinearModel(torch.zeros(5, 3), torch.zeros(5, 3, 2)), [(2, 3)]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, torch.nn.Module) else "",
)
def test_wrong_shapes_are_named(layer, inputs):
    with pytest.raises(ShapeError, match="expected"):
        layer(*(torch.zeros(shape) for shape in inputs))


def test_grid_and_landmarks_lie_on_the_mesh(model):
    identity, expression, side = 3, 2, 32
    alpha = torch.randn(2, identity + expression)
    vertices = vertex_model(model, identity, expression)(alpha)
    grid = UvGrid(model, side)
    torch.testing.assert_close(
        grid_model(model, grid, identity, expression)(alpha), grid(vertices), atol=1e-3, rtol=1e-5
    )
    found = landmark_model(model, identity, expression)(alpha)[1]
    np.testing.assert_allclose(found, model.landmarks468(vertices[1].numpy()), atol=1e-3)


def test_grid_holds_the_chart_coordinates_of_its_texels(model):
    side = 32
    grid = UvGrid(model, side)
    assert grid.mask.float().mean() > 0.99
    uv = torch.from_numpy(np.nan_to_num(model.chart_uv))
    found = grid(uv[None])[0].view(side, side, 2)
    centers = (torch.arange(side) + 0.5) / side
    v, u = torch.meshgrid(1 - centers, centers, indexing="ij")
    torch.testing.assert_close(found[grid.mask], torch.stack([u, v], -1)[grid.mask], **SUMS)


def test_flipping_the_grid_mirrors_the_face(model):
    side = 32
    grid = UvGrid(model, side)
    assert torch.equal(grid.mask, grid.mask.flip(1))
    points = grid(torch.from_numpy(model.mean)[None])[0].view(side, side, 3)
    mirrored = points.flip(1) * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(mirrored, points, **STORED)


@pytest.mark.parametrize("side", [3, 33, 2])
def test_sides_without_a_mirror_plane_between_columns_are_refused(model, side):
    with pytest.raises(ValueError, match=f"side is {side}"):
        UvGrid(model, side)


def test_grid_faces_run_counter_clockwise_seen_from_outside(model):
    faces = grid_faces(8)
    assert len(faces) == 2 * 7 * 7
    plane = torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")[::-1], -1).view(-1, 2)
    a, b, c = (plane * torch.tensor([1.0, -1.0]))[faces].unbind(1)
    one, two = b - a, c - a
    assert (one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0] > 0).all()


def test_landmarks_know_their_place_on_the_chart(model):
    uv = landmark_uv(model)
    assert uv[33, 0] < 0.5 < uv[263, 0]
    assert uv[152, 1] < uv[13, 1] < uv[4, 1] < uv[10, 1]
    assert uv[4, 0].item() == pytest.approx(0.5, abs=0.01)


def test_published_points_mirror_as_published(model):
    points = torch.from_numpy(model.landmarks468(model.mean)).float()
    mirror = torch.cdist(points * torch.tensor([-1.0, 1, 1]), points).argmin(1).tolist()
    lookup = [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 16, 15, 14, 13, 12, 19, 18, 17, 20]  # of the released code
    chosen = LANDMARKS21_FROM_468
    assert [mirror[point] for point in chosen] == [chosen[place] for place in lookup]


def ball(side=40):
    """Points of half a ball of radius 50 before the viewer, as a grid."""
    y, x = torch.meshgrid(torch.linspace(50, -50, side), torch.linspace(-50, 50, side), indexing="ij")
    return torch.stack([x, y, (5000 - x.square() - y.square()).clamp(min=0).sqrt()], -1).view(1, -1, 3)


def test_normals_show_the_side_that_is_turned_to_the_viewer():
    points = ball()
    assert NormalVisibility()(points, 40).all()
    rotated = Rotate3d()(points, AxisAngleToRotation()(torch.tensor([[0.0, math.pi, 0.0]])))
    assert not NormalVisibility()(rotated, 40).any()
    aside = Rotate3d()(points, AxisAngleToRotation()(torch.tensor([[0.0, math.pi / 2, 0.0]])))
    seen = NormalVisibility()(aside, 40)[0, 20]
    # The face looks to the viewer's right: its own image-left half is seen, the other is not.
    assert seen[5:18].all()
    assert not seen[22:35].any()


def test_depth_finds_what_normals_miss():
    """A wall with a board before its middle: the wall behind the board is turned to the viewer, and hidden."""
    side = 24
    wall = ball(side) * torch.tensor([1.0, 1.0, 0.0])
    board = wall * 0.4 + torch.tensor([0.0, 0.0, 30.0])
    screen = torch.cat([wall, board], 1) * torch.tensor([1.0, -1.0, -1.0]) + torch.tensor([112.0, 112.0, 0.0])
    faces = torch.cat([grid_faces(side), grid_faces(side) + side * side])
    seen = DepthVisibility(faces)(screen, screen)[0]
    behind = (wall[0, :, :2].abs() < 18).all(1)
    before = (wall[0, :, :2].abs() > 22).any(1)
    assert not seen[: side * side][behind].any()
    assert seen[: side * side][before].all()
    assert seen[side * side :].all()
    far = screen + torch.tensor([5000.0, -300.0, 7000.0])
    assert torch.equal(DepthVisibility(faces)(far, far)[0], seen)
