"""Flattened faces of real photos with a localiser that answers the neutral face, and what a known theta gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from coarse.face_model import load_face_model
from coarse.losses import landmark_distance_loss
from coarse.spatial_transformer.localizer import Localizer
from coarse.spatial_transformer.theta import theta_layout_of
from gcnface.dense.flattener import Flattener, mean_face
from gcnface.errors import NoFaceError
from gcnface.options import ReconstructionOptions
from gcnface.photo.crop import align_face, warp_points
from gcnface.pipeline import Reconstructor
from gcnface.stages.coarse import Stopwatch

SIZE = 64


@pytest.fixture(scope="module")
def flattener(detector):
    torch.manual_seed(0)
    layout = theta_layout_of(load_face_model(), identity=5, expression=5)
    return Flattener(size=SIZE, localizer=Localizer(layout), detector=detector)


@pytest.fixture(scope="module")
def flat(flattener, portrait):
    return flattener(portrait)


@pytest.fixture
def neutral(flattener):
    layout = flattener.localizer.layout
    return layout.decode(torch.zeros(1, layout.total))


def waves(hw, px=40.0):
    y, x = np.mgrid[: hw[0], : hw[1]] + 0.5
    return (np.stack([np.sin(x / px), np.cos(y / px), np.sin((x + y) / px)], -1) / 2 + 0.5).astype(np.float32)


def test_record_of_a_photo(flat, flattener, portrait):
    assert flat.texture.shape == (SIZE, SIZE, 3)
    assert flat.texture.dtype == np.float32
    assert flat.mask.mean() > 0.8
    assert flat.texture[~flat.mask].max(initial=0) == 0
    assert flat.rgba.shape == (SIZE, SIZE, 4)
    np.testing.assert_array_equal(flat.rgba[..., 3] > 0, flat.mask)
    assert (flat.rotation.shape, flat.identity.shape, flat.expression.shape) == ((3,), (5,), (5,))
    inside = (flat.landmarks468 >= 0) & (flat.landmarks468 <= portrait.shape[1::-1])
    assert inside.all()
    points = flat.landmarks468
    assert points[33, 0] < points[263, 0]
    assert points[10, 1] < points[152, 1]


def test_stages_are_told(flattener, portrait):
    stages = []
    flattener(portrait, on_stage=stages.append)
    assert stages == ["detect", "align", "localise", "flatten"]


def test_photo_without_a_face_is_named(flattener):
    with pytest.raises(NoFaceError, match="wall.jpg: shows no face"):
        flattener(np.full((120, 120, 3), 0.5, np.float32), name="wall.jpg")


@pytest.mark.parametrize("size", [15, 63, 8, 5000])
def test_sizes_are_checked(size):
    with pytest.raises(ValueError, match=f"size is {size}"):
        Flattener(size=size)


def test_colours_are_those_of_the_photo_itself(flattener, detector, portrait, neutral):
    crop = align_face(portrait, detector.detect(portrait)[0])
    picture = waves(portrait.shape)
    flat = flattener.resampled(picture, crop, neutral)
    screen = flattener.grid(flattener.pose(flattener.shape(neutral.alpha), neutral))[0, :, :2].numpy()
    homogenous = np.column_stack([screen, np.ones(len(screen))]) @ crop.photo_from_crop.T
    x, y = homogenous[:, :2].reshape(SIZE, SIZE, 2)[flat.mask].T
    expected = np.stack([np.sin(x / 40), np.cos(y / 40), np.sin((x + y) / 40)], -1) / 2 + 0.5
    assert np.abs(flat.texture[flat.mask] - expected).max() < 0.03


def test_detail_of_a_large_photo_is_kept_and_nothing_is_skipped(flattener, crop, neutral):
    """At 5 px a texel stripes of 4 px average out; a texel alone would show black or white."""
    large = replace(crop, crop_from_photo=np.diag([0.1, 0.1, 1.0]))
    stripes = np.zeros((2240, 2240, 3), np.float32)
    stripes[:, (np.arange(2240) // 4) % 2 == 0] = 1
    flat = flattener.resampled(stripes, large, neutral)
    assert np.abs(flat.texture[flat.mask] - 0.5).max() < 0.25
    coarse = np.zeros_like(stripes)
    coarse[:, (np.arange(2240) // 80) % 2 == 0] = 1
    sharp = flattener.resampled(coarse, large, neutral)
    assert sharp.texture[sharp.mask].std() > 0.35


def test_texels_outside_the_photo_are_hidden(flattener, crop, neutral):
    left_half = np.full((224, 112, 3), 0.5, np.float32)
    aligned = replace(crop, crop_from_photo=np.eye(3))
    flat = flattener.resampled(left_half, aligned, neutral)
    assert flat.mask[:, : SIZE // 2 - 4].mean() > 0.85
    assert not flat.mask[:, SIZE // 2 + 4 :].any()


def test_far_side_of_a_turned_head_is_hidden(flattener, crop, neutral):
    rotated = replace(neutral, rotation=torch.tensor([[0.0, 0.8, 0.0]]))  # the nose to the viewer's right
    flat = flattener.resampled(np.ones((224, 224, 3), np.float32), replace(crop, crop_from_photo=np.eye(3)), rotated)
    assert flat.mask[:, 8 : SIZE // 2].mean() > 0.8
    assert flat.mask[:, 3 * SIZE // 4 :].mean() < 0.2


def test_mirrored_photo_gives_the_mirrored_texture(flattener, crop, neutral):
    aligned, picture = replace(crop, crop_from_photo=np.eye(3)), waves((224, 224), 15)
    one = flattener.resampled(picture, aligned, neutral)
    other = flattener.resampled(np.ascontiguousarray(picture[:, ::-1]), aligned, neutral)
    both = one.mask & other.mask[:, ::-1]
    assert both.mean() > 0.8
    assert np.abs(one.texture - other.texture[:, ::-1])[both].max() < 0.05


def test_mean_counts_the_photos_that_show_a_texel(flat):
    half = flat.mask.copy()
    half[:, : SIZE // 2] = False
    one = replace(flat, texture=np.full_like(flat.texture, 0.2) * flat.mask[..., None])
    other = replace(flat, texture=np.full_like(flat.texture, 0.6) * half[..., None], mask=half)
    mean = mean_face([one, other])
    np.testing.assert_allclose(mean.texture[half], 0.4, atol=1e-6)
    np.testing.assert_allclose(mean.texture[flat.mask & ~half], 0.2, atol=1e-6)
    assert mean.texture[~flat.mask].max(initial=0) == 0
    np.testing.assert_allclose(mean.seen, (flat.mask.astype(float) + half) / 2)
    np.testing.assert_array_equal(mean.rgba[..., 3], flat.mask)


def test_means_need_faces_of_one_size(flat):
    with pytest.raises(ValueError, match="0 flattened faces"):
        mean_face([])
    with pytest.raises(ValueError, match="2 flattened faces"):
        mean_face([flat, replace(flat, texture=np.zeros((8, 8, 3)), mask=np.zeros((8, 8), bool))])


@pytest.fixture(scope="module")
def shipped(detector):
    return Flattener(size=SIZE, detector=detector)


def test_shipped_localiser_finds_the_landmarks(shipped, portrait, glasses_portrait):
    """Nearer than the neutral face to where the coarse stage, networks of its own and a fit, sees the landmarks."""
    stages = Reconstructor(ReconstructionOptions(texture_size=SIZE)).stages
    layout = shipped.localizer.layout
    theta = layout.decode(torch.zeros(1, layout.total))
    neutral = shipped.pose(shipped.landmarks(theta.alpha), theta)[..., :2]
    errors = []
    for picture in (portrait, glasses_portrait):
        face = shipped.detector.detect(picture)[0]
        fitted = stages.fit_face(picture, face, Stopwatch())
        from_photo = align_face(picture, face).crop_from_photo
        with torch.no_grad():
            landmarks = stages.coarse.morphable.landmarks_cam(fitted.coarse.coefficients)
            seen = fitted.camera.project(landmarks)[0, :, :2].numpy()
        truth, found = (
            torch.from_numpy(warp_points(points, from_photo)).float()[None]
            for points in (seen, shipped(picture).landmarks468)
        )
        errors.append([100 * landmark_distance_loss(points, truth) for points in (found, neutral)])
    own, of_neutral = torch.tensor(errors).unbind(1)
    assert own.max() < 3.0
    assert own.mean() < 0.8 * of_neutral.mean()


def test_shipped_localiser_mirrors(shipped, portrait):
    one, other = shipped(portrait), shipped(np.ascontiguousarray(portrait[:, ::-1]))
    turn = one.rotation * [1, -1, -1] - other.rotation
    assert np.abs(turn).max() < np.radians(6)
    both = one.mask & other.mask[:, ::-1]
    assert both.mean() > 0.7
    assert np.abs(one.texture - other.texture[:, ::-1])[both].mean() < 0.04
