from dataclasses import replace

import numpy as np
import pytest
import torch

from gcnface.evaluation.identity_networks import points5_of
from gcnface.evaluation.records import MethodResult
from gcnface.evaluation.rendering import HeadRenderer, rotated
from render.color import linear_from_srgb, srgb_from_linear


@pytest.fixture(scope="module")
def renderer(reconstructor):
    return HeadRenderer(reconstructor.model)


def plain(fitted, color, *, texture=None):
    count = fitted.view.coarse.verts.shape[1]
    return MethodResult(torch.full((count, 3), color), torch.ones(count, 3), texture)


def test_one_colour_is_drawn_as_it_is(renderer, fitted):
    drawing = renderer.render(fitted, plain(fitted, 0.25))
    expected = float(srgb_from_linear(torch.tensor(0.25)))
    assert drawing.picture[drawing.mask] == pytest.approx(expected, abs=1e-4)
    assert (drawing.picture[~drawing.mask] == 0).all()
    assert 0.3 < drawing.mask.mean() < 0.9


def test_texture_and_vertex_colours_agree(renderer, fitted, reconstructor):
    texture = np.full((256, 256, 3), 0.5, np.float32)
    texture[..., 1] = 0.3
    shading = torch.rand(fitted.view.coarse.verts.shape[1], 3) * 0.5 + 0.5
    albedo = linear_from_srgb(torch.tensor([0.5, 0.3, 0.5])).expand_as(shading)
    frame = renderer.frame(fitted.view.coarse)
    one = renderer.shade(frame, MethodResult(albedo, shading))
    two = renderer.shade(frame, MethodResult(albedo, shading, texture))
    assert np.array_equal(one.mask, two.mask)
    assert one.picture == pytest.approx(two.picture, abs=2e-3)


def test_turned_heads_have_their_own_light(renderer, fitted):
    result = replace(plain(fitted, 0.25), light=torch.full_like(plain(fitted, 0.25).shading, 2.0))
    ahead, rotated_head = renderer.render(fitted, result), renderer.render(fitted, result, 30.0)
    for drawing, linear in ((ahead, 0.25), (rotated_head, 0.5)):
        expected = float(srgb_from_linear(torch.tensor(linear)))
        assert drawing.picture[drawing.mask] == pytest.approx(expected, abs=1e-4)


def test_texture_lies_as_the_atlas_says(renderer, fitted, reconstructor):
    """A texture that holds its own u and v must be drawn as the vertices' u and v."""
    v, u = np.meshgrid(1 - (np.arange(512) + 0.5) / 512, (np.arange(512) + 0.5) / 512, indexing="ij")
    texture = np.stack([u, v, np.zeros_like(u)], 2).astype(np.float32)
    frame = renderer.frame(fitted.view.coarse)
    drawn = renderer.shade(frame, plain(fitted, 0.5, texture=texture))
    fine, covered = np.zeros((448 * 448, 2)), np.zeros(448 * 448, bool)
    fine[frame.pixel], covered[frame.pixel] = frame.uv.numpy(), True
    fine, inside = fine.reshape(224, 2, 224, 2, 2), covered.reshape(224, 2, 224, 2).all((1, 3))
    mean, spread = fine.mean((1, 3)), (fine.max((1, 3)) - fine.min((1, 3))).max(-1)
    away_from_seams = inside & (spread < 0.05)
    error = np.abs(drawn.picture[..., :2] - mean)[away_from_seams]
    assert np.quantile(error, 0.95) < 0.02


def test_sizes_show_the_same(reconstructor, fitted, renderer):
    result = plain(fitted, 0.5)
    small, large = renderer.render(fitted, result), HeadRenderer(reconstructor.model, 448).render(fitted, result)
    assert (large.mask.reshape(224, 2, 224, 2).mean((1, 3)) - small.mask).mean() == pytest.approx(0, abs=2e-3)


def test_frame_is_that_of_the_aligned_crop(renderer, fitted):
    assert np.array_equal(renderer.photo(fitted), fitted.view.image[0].permute(1, 2, 0).numpy())


def test_positive_turns_take_the_nose_to_the_right(reconstructor, fitted):
    ahead, right = (points5_of(reconstructor.model, fitted.view.coarse, yaw, 224) for yaw in (0.0, 30.0))
    assert right[2, 0] > ahead[2, 0] + 20
    assert np.linalg.norm(right[1] - right[0]) < np.linalg.norm(ahead[1] - ahead[0])


def test_turns_are_rigid_and_add_up():
    points, origin = torch.randn(1, 5, 3) * 50, torch.tensor([[1.0, 2.0, 900.0]])
    back = rotated(rotated(points, origin, 25.0), origin, -25.0)
    assert torch.allclose(back, points, atol=1e-3)
    assert torch.allclose(rotated(points, origin, 30.0)[..., 1], points[..., 1])
    assert torch.allclose(rotated(origin[:, None], origin, 70.0), origin[:, None])


def test_points_lie_on_the_detected_ones(reconstructor, fitted):
    crop = fitted.view.crop
    detected = np.column_stack([crop.points5, np.ones(5)]) @ crop.crop_from_photo.T
    found = points5_of(reconstructor.model, fitted.view.coarse, 0.0, 224)
    assert np.linalg.norm(found - detected[:, :2], axis=1).max() < 10
