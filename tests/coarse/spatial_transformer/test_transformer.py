"""The transformer as a whole: equivariance, round trip, mirror, gradients."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from coarse.face_model import expression_mirror, identity_mirror_sign
from coarse.spatial_transformer.linear_model import vertex_model
from coarse.spatial_transformer.transformer import SpatialTransformer
from render.camera import pixel_camera
from render.interpolate import interpolate
from render.rasterize import rasterize

SIDE = 48
IDENTITY, EXPRESSION = 5, 5


@pytest.fixture(scope="module")
def transformer(model):
    return SpatialTransformer(model, SIDE, identity=IDENTITY, expression=EXPRESSION)


@pytest.fixture(scope="module")
def careful(model):
    return SpatialTransformer(model, SIDE, identity=IDENTITY, expression=EXPRESSION, visibility="depth")


@pytest.fixture
def theta(small_layout):
    decoded = small_layout.decode(0.5 * torch.randn(2, small_layout.total))
    return replace(decoded, rotation=torch.tensor([[0.1, 0.5, -0.1], [-0.2, -0.3, 0.05]]))


def waves(side=224):
    """A smooth picture (1, 3, side, side)."""
    y, x = torch.meshgrid(*[torch.arange(side) + 0.5] * 2, indexing="ij")
    return torch.stack([(x / 17).sin(), (y / 23).cos(), ((x + y) / 31).sin()])[None] / 2 + 0.5


def test_translation_moves_the_grid(transformer, theta):
    image, step = waves().expand(2, -1, -1, -1), torch.tensor([[3.0, -7.0], [1.5, 2.0]])
    moved = transformer(image, replace(theta, translation=theta.translation + step))
    at_rest = transformer(image, theta)
    torch.testing.assert_close(moved.grid_px, at_rest.grid_px + step[:, None, None])
    torch.testing.assert_close(
        transformer.landmarks(moved.theta), transformer.landmarks(theta) + step[:, None], atol=1e-4, rtol=1e-5
    )


def test_scale_spreads_the_grid_about_the_origin(transformer, theta):
    image = waves().expand(2, -1, -1, -1)
    larger = transformer(image, replace(theta, log_scale=theta.log_scale + math.log(1.5)))
    offset = transformer(image, theta).grid_px - theta.translation[:, None, None]
    torch.testing.assert_close(larger.grid_px - theta.translation[:, None, None], 1.5 * offset, atol=1e-4, rtol=1e-5)


def test_quarter_turn_about_z_turns_the_grid_counter_clockwise(transformer, small_layout):
    upright = small_layout.decode(torch.zeros(1, small_layout.total))
    rotated = replace(upright, rotation=torch.tensor([[0.0, 0.0, math.pi / 2]]))
    before = transformer(waves(), upright).grid_px - upright.translation
    after = transformer(waves(), rotated).grid_px - upright.translation
    torch.testing.assert_close(after, torch.stack([before[..., 1], -before[..., 0]], -1), atol=1e-4, rtol=1e-5)


def test_face_looks_into_the_camera_at_rest(transformer, small_layout):
    flat = transformer(waves(), small_layout.decode(torch.zeros(1, small_layout.total)))
    points = transformer.landmarks(flat.theta)[0]
    assert points[33, 0] < points[263, 0]
    assert points[10, 1] < points[152, 1]
    assert flat.mask.float().mean() > 0.9


def test_masked_texels_are_black_and_others_are_the_photo(transformer, theta):
    image = waves().expand(2, -1, -1, -1)
    flat = transformer(image, theta)
    assert 0.3 < flat.mask.float().mean() < 0.95
    assert flat.texture.permute(0, 2, 3, 1)[~flat.mask].abs().max() == 0
    x, y = flat.grid_px[flat.mask].unbind(-1)
    expected = torch.stack([(x / 17).sin(), (y / 23).cos(), ((x + y) / 31).sin()], -1) / 2 + 0.5
    torch.testing.assert_close(flat.texture.permute(0, 2, 3, 1)[flat.mask], expected, atol=4e-3, rtol=0)


def test_texels_outside_the_crop_are_masked(transformer, small_layout):
    theta = small_layout.decode(torch.zeros(1, small_layout.total))
    flat = transformer(waves(), replace(theta, translation=torch.tensor([[0.0, 106.0]])))
    assert not flat.mask[..., : SIDE // 2 - 2].any()
    assert flat.mask[..., SIDE // 2 + 2 : -8].float().mean() > 0.9


def test_painted_face_comes_back_flat(model, careful, theta):
    """A texture painted on the model, drawn with theta and flattened with theta, is the texture where it is visible."""
    vertices = vertex_model(model, IDENTITY, EXPRESSION)(theta.alpha)
    screen = careful.pose(vertices, theta) + torch.tensor([0.0, 0.0, 1000.0])
    faces = torch.from_numpy(model.faces.astype(np.int64))
    fragments = rasterize(screen, faces, pixel_camera((224, 224)))
    uv = torch.from_numpy(np.nan_to_num(model.chart_uv, nan=0.5))
    drawn = interpolate(uv, faces, fragments).permute(0, 3, 1, 2)
    flat = careful(drawn, theta)
    centers = (torch.arange(SIDE) + 0.5) / SIDE
    v, u = torch.meshgrid(1 - centers, centers, indexing="ij")
    error = (flat.texture - torch.stack([u, v])).abs().amax(1)[flat.mask]
    assert error.quantile(0.9) < 0.002
    assert (error > 0.02).float().mean() < 0.08, "more than the rims of face, eyes and lips"
    blind = SpatialTransformer(model, SIDE, identity=IDENTITY, expression=EXPRESSION)(drawn, theta)
    behind = blind.mask & ~flat.mask
    wrong = (blind.texture - torch.stack([u, v])).abs().amax(1)[behind] > 0.02
    assert len(wrong) > 40
    assert wrong.float().mean() > 0.5, "what normals alone take for visible is mostly another part of the face"


@pytest.mark.parametrize("visibility", ["transformer", "careful"])
def test_mirrored_photo_gives_the_mirrored_texture(model, theta, visibility, request):
    transformer = request.getfixturevalue(visibility)
    image = torch.rand(2, 3, 224, 224)
    image = torch.nn.functional.avg_pool2d(image, 15, 1, 7)
    sign = torch.from_numpy(identity_mirror_sign(model)[:IDENTITY])
    other = expression_mirror(model.expression_names)[:EXPRESSION]
    assert sorted(other) == list(range(EXPRESSION)), "units of a pair must both be in theta"
    mirrored = replace(
        theta,
        rotation=theta.rotation * torch.tensor([1.0, -1.0, -1.0]),
        translation=torch.stack([224 - theta.translation[:, 0], theta.translation[:, 1]], 1),
        identity=theta.identity * sign,
        expression=theta.expression[:, other],
    )
    flat, flipped = transformer(image, theta), transformer(image.flip(3), mirrored)
    # The bases mirror but for a hundredth of a millimetre, which at a rim decides what is seen.
    assert (flipped.mask != flat.mask.flip(2)).float().mean() < 0.005
    both = flipped.mask & flat.mask.flip(2)
    difference = (flipped.texture - flat.texture.flip(3)).abs().amax(1)[both]
    assert difference.max() < 0.02


def test_gradients_of_the_whole_agree_with_finite_differences(model, small_layout):
    transformer = SpatialTransformer(model, 6, identity=IDENTITY, expression=EXPRESSION).double()
    raw = (0.3 * torch.randn(1, small_layout.total, dtype=torch.float64)).requires_grad_()
    image = torch.nn.functional.avg_pool2d(torch.rand(1, 1, 224, 224, dtype=torch.float64), 25, 1, 12)

    def flatten(vector):
        return transformer(image, small_layout.decode(vector)).texture

    assert torch.autograd.gradcheck(flatten, raw, eps=1e-7, atol=1e-4)

    def points(vector):
        return transformer.landmarks(small_layout.decode(vector))[:, ::40]

    assert torch.autograd.gradcheck(points, raw, atol=1e-4)


def test_landmarks_are_seen_where_their_texels_are(transformer, small_layout):
    theta = small_layout.decode(torch.zeros(1, small_layout.total))
    rotated = replace(theta, rotation=torch.tensor([[0.0, 0.9, 0.0]]))  # the nose to the viewer's right
    seen = transformer.landmark_visibility(transformer(waves(), rotated).mask)[0]
    assert seen[[33, 50, 61]].all()
    assert not seen[[454, 323, 356]].any()
    assert transformer.landmark_visibility(torch.ones(1, SIDE, SIDE)).all()


def test_unknown_visibility_is_named(model):
    with pytest.raises(ValueError, match="x-ray"):
        SpatialTransformer(model, SIDE, visibility="x-ray")
